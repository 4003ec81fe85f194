// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// gatewayStatus returns the status of a Gateway whose routes are attached.
func (p *publisher) gatewayStatus(s *gatewayState, published published, proxy *epicv1.GWProxy) gatewayv1.GatewayStatus {
	status := gatewayv1.GatewayStatus{AttachedListenerSets: ptr.To[int32](0)}
	if proxy != nil && !s.accepted.no {
		for _, address := range []string{proxy.Spec.PublicAddress, proxy.Spec.AltAddress} {
			if address != "" {
				status.Addresses = append(status.Addresses, gatewayv1.GatewayStatusAddress{Type: ptr.To(gatewayv1.IPAddressType), Value: address})
			}
		}
	}
	own := Parent{GatewayKind, nameOf(s.gateway)}
	var invalid, unresolved []gatewayv1.SectionName
	serving := 0
	for _, l := range s.listeners {
		if l.serves() && !l.reported.absent {
			serving++
		}
		if l.owner != own {
			continue
		}
		accepted, resolved, conflicted := l.verdicts()
		if accepted.no || conflicted.no {
			invalid = append(invalid, l.Name)
		}
		if resolved.no {
			unresolved = append(unresolved, l.Name)
		}
		status.Listeners = append(status.Listeners, gatewayv1.ListenerStatus{
			Name: l.Name, SupportedKinds: l.kinds, AttachedRoutes: l.attached(), Conditions: l.conditions(s.gateway.Generation, published),
		})
	}
	for _, set := range s.sets {
		if !set.verdict().no && !s.accepted.no {
			*status.AttachedListenerSets++
		}
	}

	accepted := s.accepted
	if len(invalid) > 0 && !accepted.no {
		accepted = verdict{
			reason:  string(gatewayv1.GatewayReasonListenersNotValid),
			message: "these listeners are not valid: " + list(invalid) + ": see their conditions",
			no:      !anyUsable(s.listeners),
		}
	}
	c := conditions{generation: s.gateway.Generation}
	c.state(string(gatewayv1.GatewayConditionAccepted), accepted, string(gatewayv1.GatewayReasonAccepted), "the Gateway is published in EPIC")
	if serving == 0 && (!published.no || published.reason == string(gatewayv1.GatewayReasonPending)) {
		published.verdict = verdict{reason: string(gatewayv1.GatewayReasonInvalid), message: "no listener can be served: see their conditions", no: true}
	}
	message := ""
	if proxy != nil {
		message = "published on " + proxy.Spec.PublicAddress
		for i := range proxy.Spec.Endpoints {
			if name := proxy.Spec.Endpoints[i].DNSName; name != "" {
				message += " (" + name + ")"
			}
		}
	}
	c.state(string(gatewayv1.GatewayConditionProgrammed), published.verdict, string(gatewayv1.GatewayReasonProgrammed), message)

	var resolved verdict
	if _, problem := p.clientCertificate(s); problem != nil {
		resolved.refuse(problem.reason, problem.message)
	}
	if len(unresolved) > 0 {
		resolved.refuse(string(gatewayv1.GatewayReasonListenersNotResolved), "references of these listeners can't be resolved: "+list(unresolved))
	}
	c.state(string(gatewayv1.GatewayConditionResolvedRefs), resolved, string(gatewayv1.GatewayReasonResolvedRefs), "all references resolve")
	if insecure(s.gateway) {
		c.set(string(gatewayv1.GatewayConditionInsecureFrontendValidationMode), metav1.ConditionTrue, string(gatewayv1.GatewayReasonConfigurationChanged),
			"clients without a valid certificate are accepted: set mode to AllowValidOnly to refuse them")
	}
	status.Conditions = c.list
	return status
}

func anyUsable(all []*listener) bool {
	for _, l := range all {
		if l.usable() {
			return true
		}
	}
	return false
}

// insecure reports whether a Gateway admits clients without a valid certificate.
func insecure(gateway *gatewayv1.Gateway) bool {
	if gateway.Spec.TLS == nil || gateway.Spec.TLS.Frontend == nil {
		return false
	}
	lax := func(c *gatewayv1.TLSConfig) bool {
		return c.Validation != nil && c.Validation.Mode == gatewayv1.AllowInsecureFallback
	}
	frontend := gateway.Spec.TLS.Frontend
	for i := range frontend.PerPort {
		if lax(&frontend.PerPort[i].TLS) {
			return true
		}
	}
	return lax(&frontend.Default)
}

// conditions returns the conditions of a listener.
func (l *listener) conditions(generation int64, published published) []metav1.Condition {
	c := conditions{generation: generation}
	accepted, resolved, conflicted := l.verdicts()
	if conflicted.no {
		accepted.refuse(conflicted.reason, conflicted.message)
		c.set(string(gatewayv1.ListenerConditionConflicted), metav1.ConditionTrue, conflicted.reason, conflicted.message)
	} else {
		c.set(string(gatewayv1.ListenerConditionConflicted), metav1.ConditionFalse, string(gatewayv1.ListenerReasonNoConflicts), "it does not conflict with another listener")
	}
	c.state(string(gatewayv1.ListenerConditionAccepted), accepted, string(gatewayv1.ListenerReasonAccepted), "the listener is valid")
	c.state(string(gatewayv1.ListenerConditionResolvedRefs), resolved, string(gatewayv1.ListenerReasonResolvedRefs), "all references resolve")
	c.state(string(gatewayv1.ListenerConditionProgrammed), l.programmed(published), string(gatewayv1.ListenerReasonProgrammed), "the proxies serve it")
	if l.overlaps != "" {
		c.set(string(gatewayv1.ListenerConditionOverlappingTLSConfig), metav1.ConditionTrue, string(gatewayv1.ListenerReasonOverlappingHostnames), l.overlaps)
	}
	return c.list
}

// programmed returns whether the proxies serve a listener.
func (l *listener) programmed(published published) verdict {
	invalid := string(gatewayv1.ListenerReasonInvalid)
	switch {
	case l.conflicted.no:
		return l.conflicted
	case l.accepted.no:
		return verdict{reason: invalid, message: l.accepted.message, no: true}
	case !l.serves():
		return verdict{reason: invalid, message: l.resolved.message, no: true}
	}
	if c := l.reported.programmed; c != nil && published.each {
		switch {
		case c.Status == metav1.ConditionTrue:
			return verdict{}
		case published.no || c.Reason != string(gatewayv1.ListenerReasonPending):
			return verdict{reason: c.Reason, message: c.Message, no: true}
		}
	}
	if published.no {
		return verdict{reason: string(gatewayv1.ListenerReasonPending), message: published.message, no: true}
	}
	return verdict{}
}

// valid reports whether a listener has no problem.
func (l *listener) valid() bool {
	accepted, resolved, conflicted := l.verdicts()
	return !accepted.no && !resolved.no && !conflicted.no
}

// verdict returns whether a ListenerSet is accepted.
func (s *setState) verdict() verdict {
	if s.allowed.no {
		return s.allowed
	}
	var invalid []gatewayv1.SectionName
	for _, l := range s.listeners {
		if !l.valid() {
			invalid = append(invalid, l.Name)
		}
	}
	if len(invalid) == 0 {
		return verdict{}
	}
	return verdict{
		reason:  string(gatewayv1.ListenerSetReasonListenersNotValid),
		message: fmt.Sprintf("these listeners are not valid: %s: see their conditions", list(invalid)),
		no:      len(invalid) == len(s.listeners),
	}
}

// setStatus returns the status of a ListenerSet whose Gateway's routes are attached.
func setStatus(s *gatewayState, set *setState, published published) gatewayv1.ListenerSetStatus {
	var status gatewayv1.ListenerSetStatus
	c := conditions{generation: set.set.Generation}
	accepted := set.verdict()
	if s.accepted.no && !set.allowed.no {
		accepted = verdict{reason: string(gatewayv1.ListenerSetReasonParentNotAccepted), message: "its Gateway is not accepted", no: true}
	}
	c.state(string(gatewayv1.ListenerSetConditionAccepted), accepted, string(gatewayv1.ListenerSetReasonAccepted), "the Gateway accepts its listeners")
	programmed := accepted
	switch {
	case accepted.no:
	case published.no:
		programmed = verdict{reason: parentNotProgrammed, message: published.message, no: true}
	default:
		programmed = verdict{}
	}
	c.state(string(gatewayv1.ListenerSetConditionProgrammed), programmed, string(gatewayv1.ListenerSetReasonProgrammed), "the proxies serve its listeners")
	status.Conditions = c.list
	if set.allowed.no {
		return status
	}
	for _, l := range set.listeners {
		status.Listeners = append(status.Listeners, gatewayv1.ListenerEntryStatus{
			Name: l.Name, SupportedKinds: l.kinds, AttachedRoutes: l.attached(), Conditions: l.conditions(set.set.Generation, published),
		})
	}
	return status
}

// parentNotProgrammed is a reason that the Gateway API defines without a constant.
const parentNotProgrammed = "ParentNotProgrammed"
