// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/events"
)

// Reasons of the events that the controller records. An event corresponds to a change of
// a condition that was written, so each change produces one event, regardless of the
// number of controllers.
const (
	// EventReady means that an object works, for the first time or again.
	EventReady = "Ready"
	// EventNotReady means that an object no longer works.
	EventNotReady = "NotReady"
	// EventTunnelsUp means that no tunnel of an object is down anymore.
	EventTunnelsUp = "TunnelsUp"
	// EventSomeTunnelsDown means that the far ends of some tunnels no longer respond.
	EventSomeTunnelsDown = "SomeTunnelsDown"
	// EventAllTunnelsDown means that no endpoint can be reached anymore.
	EventAllTunnelsDown = "AllTunnelsDown"
	// EventTunnelsNotReported means that no gateway node reports on the tunnels anymore.
	EventTunnelsNotReported = "TunnelsNotReported"
	// EventAddressesAvailable means that a prefix has enough addresses again.
	EventAddressesAvailable = "AddressesAvailable"
	// EventAddressesNearlyExhausted means that few addresses of a prefix are left.
	EventAddressesNearlyExhausted = "AddressesNearlyExhausted"
	// EventAddressesExhausted means that no address of a pool is left.
	EventAddressesExhausted = "AddressesExhausted"
	// EventQuotaAvailable means that an account may have more proxies again.
	EventQuotaAvailable = "QuotaAvailable"
	// EventQuotaNearlyExhausted means that an account may have few more proxies.
	EventQuotaNearlyExhausted = "QuotaNearlyExhausted"
	// EventQuotaExhausted means that an account has reached its limit of proxies.
	EventQuotaExhausted = "QuotaExhausted"
	// EventNodesReady means that all gateway nodes send heartbeats and are ready again.
	EventNodesReady = "NodesReady"
	// EventNodesSilent means that gateway nodes no longer send heartbeats.
	EventNodesSilent = "NodesSilent"
	// EventNodesNotReady means that gateway nodes report that they are not ready.
	EventNodesNotReady = "NodesNotReady"
	// EventNodeEvicted means that a gateway node was evicted.
	EventNodeEvicted = "NodeEvicted"
)

// kinds maps the plural names of the kinds for which the controller records events to the
// conditions whose changes are events. Service groups are not included: one prefix may
// have thousands, and the event of the prefix is enough.
var kinds = map[string]struct {
	kind       string
	conditions []string
}{
	epic.ResourceEPICs:           {"EPIC", []string{ConditionNodesReady, ConditionReady}},
	epic.ResourceServicePrefixes: {"ServicePrefix", []string{ConditionAddressesAvailable}},
	epic.ResourceAccounts:        {"Account", []string{ConditionQuotaAvailable, ConditionReady}},
	epic.ResourceLoadBalancers:   {"LoadBalancer", []string{ConditionTunnelsUp, ConditionReady}},
	epic.ResourceGWProxies:       {"GWProxy", []string{ConditionTunnelsUp, ConditionReady}},
	epic.ResourceRemoteEndpoints: {"RemoteEndpoint", []string{ConditionTunnelReady}},
}

// recordTransitions records the events for a change of an object's conditions that was
// written.
func recordTransitions(recorder *events.Recorder, plural string, obj metav1.Object, before, now []metav1.Condition) {
	for _, e := range transitions(plural, before, now) {
		recorder.Record(kinds[plural].kind, obj, e)
	}
}

// transitions returns the events for a change of conditions.
func transitions(plural string, before, now []metav1.Condition) (all []events.Event) {
	told := map[string]bool{}
	for _, name := range kinds[plural].conditions {
		was, is := meta.FindStatusCondition(before, name), meta.FindStatusCondition(now, name)
		if is == nil || told[is.Reason] && is.Status == metav1.ConditionFalse {
			// Ready repeats another condition.
			continue
		}
		reason, warning := eventOf(was, is)
		if reason == "" {
			continue
		}
		if reason == EventReady {
			// EventReady implies that the tunnels are up.
			all = slices.DeleteFunc(all, func(e events.Event) bool { return e.Reason == EventTunnelsUp })
		}
		told[is.Reason] = true
		all = append(all, events.Event{Warning: warning, Reason: reason, Message: is.Message})
	}
	return all
}

// eventOf returns the event for a change of one condition, or "" if there is none. An
// object that has just been created lacks most of what it needs, which is not an event.
func eventOf(was, is *metav1.Condition) (reason string, warning bool) {
	if events.Unchanged(was, is) &&
		// The message lists the nodes, which matter and seldom change.
		(is.Type != ConditionNodesReady || was.Message == is.Message) {
		return "", false
	}
	// bad is true if the previous state was a problem.
	bad := was != nil && (was.Status != metav1.ConditionTrue || slices.Contains([]string{ReasonSomeTunnelsDown, ReasonNearlyExhausted, ReasonQuotaNearlyExhausted}, was.Reason))
	good := is.Status == metav1.ConditionTrue
	switch is.Type {
	case ConditionReady:
		if good && (was == nil || bad) {
			return EventReady, false
		}
		if !good && was != nil && !bad {
			return EventNotReady, true
		}
	case ConditionTunnelsUp, ConditionTunnelReady:
		return tunnelEvent(was, is, bad)
	case ConditionAddressesAvailable:
		switch {
		case is.Reason == ReasonExhausted:
			return EventAddressesExhausted, true
		case is.Reason == ReasonNearlyExhausted:
			return EventAddressesNearlyExhausted, true
		case good && bad:
			return EventAddressesAvailable, false
		}
	case ConditionQuotaAvailable:
		switch {
		case is.Reason == ReasonQuotaExhausted:
			return EventQuotaExhausted, true
		case is.Reason == ReasonQuotaNearlyExhausted:
			return EventQuotaNearlyExhausted, true
		case good && bad:
			return EventQuotaAvailable, false
		}
	case ConditionNodesReady:
		switch {
		case is.Reason == ReasonNodesSilent:
			return EventNodesSilent, true
		case is.Reason == ReasonNodesNotReady:
			return EventNodesNotReady, true
		case good && bad:
			return EventNodesReady, false
		}
	}
	return "", false
}

// tunnelEvent is like eventOf, for the conditions on tunnels. When tunnels come up for
// the first time, a proxy gets an event, an endpoint does not.
func tunnelEvent(was, is *metav1.Condition, bad bool) (reason string, warning bool) {
	switch is.Reason {
	case ReasonSomeTunnelsDown:
		return EventSomeTunnelsDown, true
	case ReasonAllTunnelsDown:
		return EventAllTunnelsDown, true
	case ReasonNotReported:
		return EventTunnelsNotReported, true
	case ReasonUp:
		down := bad && slices.Contains([]string{ReasonSomeTunnelsDown, ReasonAllTunnelsDown, ReasonNotReported}, was.Reason)
		if down || is.Type == ConditionTunnelsUp && was == nil {
			return EventTunnelsUp, false
		}
	}
	return "", false
}
