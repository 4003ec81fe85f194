// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
)

// Input is the input for the status of a load balancer or gateway proxy.
type Input struct {
	Proxy *workload.Proxy
	// Outcome is the outcome of the last translation, or nil if there was none.
	Outcome *feed.Outcome
	// Progress is the progress of what runs.
	Progress runner.Progress
	// State is the xDS server's state of the pods, and Accepted the versions of a
	// resource that they have.
	State    xds.State
	Accepted func(resource.Key) map[string]string
	// Shared lists hostnames that older gateway proxies of the account also have.
	Shared []objects.Shared
}

// Status is the part of the status of a load balancer or gateway proxy that the operator
// writes.
type Status struct {
	Envoy      epicv1.EnvoyStatus
	Conditions []metav1.Condition
	// Listeners is the status of the listeners of a gateway proxy.
	Listeners []epicv1.GatewayListenerStatus
	// Settling indicates that Envoys have everything except the newest change, to which
	// they have not responded yet.
	Settling bool
}

// Proxy returns the status of a load balancer or gateway proxy.
func Proxy(in *Input) Status {
	s := Status{Envoy: epicv1.EnvoyStatus{
		ObservedGeneration: in.Proxy.Generation, Replicas: in.Proxy.Replicas,
		UpdatedReplicas: in.Progress.Updated, ReadyReplicas: in.Progress.Ready, Image: Line(in.Progress.Image, maxImage),
	}}
	if in.Outcome != nil {
		s.Envoy.Listeners = listeners(in)
	}
	s.Envoy.LastRejection = lastRejection(in.State)
	s.Conditions = []metav1.Condition{accepted(in.Outcome), programmed(in, &s)}
	if len(in.Shared) > 0 {
		s.Conditions = append(s.Conditions, shared(in.Shared))
	}
	if c := skew(in); c != nil {
		s.Conditions = append(s.Conditions, *c)
	}
	s.Listeners = gatewayListeners(in, &s.Conditions[1])
	for i := range s.Conditions {
		s.Conditions[i].ObservedGeneration = in.Proxy.Generation
	}
	return s
}

func listeners(in *Input) []epicv1.EnvoyListenerStatus {
	var all []epicv1.EnvoyListenerStatus
	for _, l := range in.Outcome.Listeners {
		one := l.EnvoyListenerStatus
		for _, version := range in.Accepted(l.Key) {
			if version == l.Version {
				one.ProgrammedReplicas++
			}
		}
		all = append(all, one)
	}
	return all
}

// shared returns the condition for hostnames that can only resolve to one of several
// gateway proxies.
func shared(all []objects.Shared) metav1.Condition {
	told := make([]string, 0, len(all))
	for _, s := range all {
		told = append(told, fmt.Sprintf("%s is also a hostname of GWProxy %s on %s", s.Hostname, s.Older.Name, s.Older.Spec.PublicAddress))
	}
	return condition(ConditionSharedHostname, metav1.ConditionTrue, ReasonHostnameInUse,
		"%s: DNS can point to only one of the addresses: use one gateway proxy for it, or another hostname", tell(told))
}

// lastRejection returns the newest refusal that still applies.
func lastRejection(state xds.State) *epicv1.EnvoyRejection {
	var newest *epicv1.EnvoyRejection
	var at time.Time
	for _, pod := range state.Pods {
		for _, r := range pod.Refused {
			if newest == nil || r.At.After(at) {
				at = r.At
				newest = &epicv1.EnvoyRejection{
					Time: metav1.NewTime(r.At.Truncate(time.Second)), Proxy: pod.Pod,
					Type: r.Resource.Type.String(), Resource: Line(r.Resource.Name, maxText), Message: Line(r.Text, maxText),
				}
			}
		}
	}
	return newest
}

// accepted returns the condition for parts of the object that can't be configured.
func accepted(o *feed.Outcome) metav1.Condition {
	if o == nil {
		return condition(ConditionAccepted, metav1.ConditionUnknown, ReasonPending, "The operator has not observed the object yet")
	}
	if len(o.Problems) > 0 {
		told := make([]string, 0, len(o.Problems))
		for _, p := range o.Problems {
			told = append(told, p.String())
		}
		return condition(ConditionAccepted, metav1.ConditionFalse, o.Problems[0].Reason, "%s", tell(told))
	}
	for _, p := range o.EndpointProblems {
		if p.Reason == template.ReasonRefused {
			return condition(ConditionAccepted, metav1.ConditionFalse, p.Reason, "%s", p)
		}
	}
	return condition(ConditionAccepted, metav1.ConditionTrue, ReasonAccepted, "Everything is configured")
}

// refusedTemplate returns why the envoy-template is refused, or nil if it is not.
func refusedTemplate(o *feed.Outcome) *translate.Problem {
	for i := range o.Problems {
		if o.Problems[i].Reason == template.ReasonRefused {
			return &o.Problems[i]
		}
	}
	return nil
}

// programmed returns the condition for the configuration that the Envoys have.
func programmed(in *Input, s *Status) metav1.Condition {
	var told []string
	current, connected := 0, len(in.State.Pods)
	for _, pod := range in.State.Pods {
		for _, r := range pod.Refused {
			told = append(told, refusal(pod.Pod, r))
		}
		if pod.Current {
			current++
		}
	}
	switch {
	case in.Outcome == nil:
		return unprogrammed(ReasonPending, "The operator has not observed the object yet")
	case len(told) > 0:
		return unprogrammed(ReasonRejectedByProxy, "%s", tell(told))
	case len(in.Outcome.Withheld) > 0:
		return unprogrammed(ReasonRejectedByValidator, "%s", withheld(in.Outcome))
	case refusedTemplate(in.Outcome) != nil:
		return unprogrammed(template.ReasonRefused, "%s", refusedTemplate(in.Outcome))
	case len(in.Outcome.Listeners) == 0 && len(in.Outcome.Problems) > 0:
		return unprogrammed(in.Outcome.Problems[0].Reason, "Nothing is published: %s", in.Outcome.Problems[0])
	case len(in.Outcome.Listeners) == 0:
		return unprogrammed(ReasonNoListeners, "Nothing is published: add a port or a listener")
	case in.Progress.Reason != "" && in.Progress.Ready == 0:
		return unprogrammed(in.Progress.Reason, "%s", in.Progress.Message)
	case in.Progress.Ready == 0:
		return unprogrammed(ReasonPending, "No Envoy is ready yet")
	case current < connected:
		s.Settling = true
		return unprogrammed(ReasonPending, "%d of %d Envoys run the newest configuration", current, max(connected, int(in.Proxy.Replicas)))
	case in.Progress.Reason != "":
		return condition(ConditionProgrammed, metav1.ConditionTrue, in.Progress.Reason, "%s", in.Progress.Message)
	}
	return programmedNow()
}

// withheld describes the resources that Envoys do not get.
func withheld(o *feed.Outcome) string {
	var told []string
	for _, p := range o.Problems {
		if p.Reason == ReasonRejectedByValidator {
			told = append(told, p.String())
		}
	}
	return tell(told)
}

// refusal formats a refusal.
func refusal(pod string, r delta.Refusal) string {
	var of string
	if len(r.Resource.Sources) > 0 {
		source := r.Resource.Sources[0]
		of = fmt.Sprintf(" of %s %s", source.Kind, source.Name)
	}
	return fmt.Sprintf("the Envoy of %s rejected the %s %q%s: %s", pod, r.Resource.Type, r.Resource.Name, of, strings.TrimSpace(r.Text))
}
