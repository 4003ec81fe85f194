// SPDX-License-Identifier: Apache-2.0

package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/operator/feed"
)

// gatewayListeners returns the status of each listener of a gateway proxy whose own
// condition Programmed is proxy.
func gatewayListeners(in *Input, proxy *metav1.Condition) []epicv1.GatewayListenerStatus {
	if in.Outcome == nil {
		return nil
	}
	var all []epicv1.GatewayListenerStatus
	for i := range in.Outcome.Gateway {
		l := &in.Outcome.Gateway[i]
		conditions := translated(l.Conditions)
		for j := range conditions {
			if c := &conditions[j]; c.Type == ConditionProgrammed && c.Status == metav1.ConditionTrue {
				*c = programmedListener(in, l, proxy)
			}
			conditions[j].ObservedGeneration = in.Proxy.Generation
		}
		all = append(all, epicv1.GatewayListenerStatus{Name: l.Name, AttachedRoutes: l.AttachedRoutes, Conditions: conditions})
	}
	return all
}

// programmedListener returns the condition Programmed of a listener that the translation
// includes in the configuration.
func programmedListener(in *Input, l *feed.GatewayListener, proxy *metav1.Condition) metav1.Condition {
	if proxy.Status == metav1.ConditionTrue {
		return programmedNow()
	}
	if !isRefusal(proxy.Reason) {
		return unprogrammed(proxy.Reason, "%s", proxy.Message)
	}
	// An Envoy refused something that may belong to another listener.
	if l.Envoy == nil {
		return unprogrammed(ReasonPending, "Envoy has no listener for it")
	}
	if text := in.Outcome.Withheld[l.Envoy.Key]; text != "" {
		return unprogrammed(ReasonRejectedByValidator, "Envoy rejected the listener: %s", text)
	}
	for _, pod := range in.State.Pods {
		for _, r := range pod.Refused {
			if r.Resource.Key() == l.Envoy.Key {
				return unprogrammed(ReasonRejectedByProxy, "%s", refusal(pod.Pod, r))
			}
		}
	}
	accepted := 0
	for _, version := range in.Accepted(l.Envoy.Key) {
		if version == l.Envoy.Version {
			accepted++
		}
	}
	if accepted == 0 || accepted < len(in.State.Pods) {
		return unprogrammed(ReasonPending, "%d of %d Envoys run the newest version of the listener", accepted, len(in.State.Pods))
	}
	return condition(ConditionProgrammed, metav1.ConditionTrue, ReasonProgrammed, "Envoys run the newest version of the listener")
}

// isRefusal reports whether a reason means that an Envoy refused a part of a
// configuration. The other parts may be served.
func isRefusal(reason string) bool {
	return reason == ReasonRejectedByProxy || reason == ReasonRejectedByValidator
}

// translated converts conditions of the translation. A condition without a message gets
// one, because people read it.
func translated(all []translate.Condition) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range all {
		status := metav1.ConditionFalse
		if c.Status {
			status = metav1.ConditionTrue
		}
		message := c.Message
		if message == "" {
			message = holding[c.Type]
		}
		out = append(out, condition(c.Type, status, c.Reason, "%s", message))
	}
	return out
}

// holding holds the messages of conditions without a message of their own.
var holding = map[string]string{
	string(gatewayv1.ListenerConditionAccepted):     "It is valid and configured",
	string(gatewayv1.ListenerConditionResolvedRefs): "All references resolve",
	string(gatewayv1.ListenerConditionConflicted):   "It does not conflict with another listener",
}
