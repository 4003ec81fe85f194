// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Functions that merge the connector's part into a status that others also write. They
// change the status in place and keep what does not belong to the connector: conditions
// of other types, and entries of other controllers.

// owned lists the types of conditions that the connector sets, and removes if it has
// nothing to report.
var owned = []string{
	string(gatewayv1.GatewayConditionAccepted), string(gatewayv1.GatewayConditionProgrammed), string(gatewayv1.GatewayConditionResolvedRefs),
	string(gatewayv1.GatewayConditionInsecureFrontendValidationMode), string(gatewayv1.ListenerConditionConflicted),
	string(gatewayv1.ListenerConditionOverlappingTLSConfig), string(gatewayv1.RouteConditionPartiallyInvalid),
	string(gatewayv1.GatewayClassConditionStatusSupportedVersion), ConditionProxiesProgrammed,
}

// MergeConditions merges conditions into existing ones. A transition time only changes
// with the status of its condition, and conditions of a later generation are kept.
func MergeConditions(now *[]metav1.Condition, want []metav1.Condition, at metav1.Time) {
	for _, c := range want {
		i := slices.IndexFunc(*now, func(have metav1.Condition) bool { return have.Type == c.Type })
		switch {
		case i < 0:
			c.LastTransitionTime = at
			*now = append(*now, c)
		case (*now)[i].ObservedGeneration <= c.ObservedGeneration:
			c.LastTransitionTime = at
			if (*now)[i].Status == c.Status && !(*now)[i].LastTransitionTime.IsZero() {
				c.LastTransitionTime = (*now)[i].LastTransitionTime
			}
			(*now)[i] = c
		}
	}
	*now = slices.DeleteFunc(*now, func(have metav1.Condition) bool {
		return slices.Contains(owned, have.Type) && !slices.ContainsFunc(want, func(c metav1.Condition) bool { return c.Type == have.Type })
	})
}

// merged returns the result of MergeConditions without changing its input.
func merged(have, want []metav1.Condition, at metav1.Time) []metav1.Condition {
	have = slices.Clone(have)
	MergeConditions(&have, want, at)
	return have
}

// MergeClass merges the connector's part into the status of a GatewayClass.
func MergeClass(now *gatewayv1.GatewayClassStatus, want *gatewayv1.GatewayClassStatus, at metav1.Time) {
	MergeConditions(&now.Conditions, want.Conditions, at)
	now.SupportedFeatures = want.SupportedFeatures
}

// MergeGateway merges the connector's part into the status of a Gateway.
func MergeGateway(now *gatewayv1.GatewayStatus, want *gatewayv1.GatewayStatus, at metav1.Time) {
	MergeConditions(&now.Conditions, want.Conditions, at)
	now.Addresses = want.Addresses
	now.AttachedListenerSets = want.AttachedListenerSets
	now.Listeners = mergeListeners(now.Listeners, want.Listeners, at, func(l *gatewayv1.ListenerStatus) (gatewayv1.SectionName, *[]metav1.Condition) {
		return l.Name, &l.Conditions
	})
}

// MergeListenerSet merges the connector's part into the status of a ListenerSet.
func MergeListenerSet(now *gatewayv1.ListenerSetStatus, want *gatewayv1.ListenerSetStatus, at metav1.Time) {
	MergeConditions(&now.Conditions, want.Conditions, at)
	now.Listeners = mergeListeners(now.Listeners, want.Listeners, at, func(l *gatewayv1.ListenerEntryStatus) (gatewayv1.SectionName, *[]metav1.Condition) {
		return l.Name, &l.Conditions
	})
}

// mergeListeners returns the wanted listeners, with the conditions that others set on
// existing ones.
func mergeListeners[T any](now, want []T, at metav1.Time, read func(*T) (gatewayv1.SectionName, *[]metav1.Condition)) []T {
	out := slices.Clone(want)
	for i := range out {
		name, conditions := read(&out[i])
		var have []metav1.Condition
		for j := range now {
			if other, its := read(&now[j]); other == name {
				have = *its
			}
		}
		*conditions = merged(have, *conditions, at)
	}
	return out
}

// maxParents is the maximum number of parents, or ancestors, in a status.
const (
	maxParents   = 32
	maxAncestors = 16
)

// MergeRoute merges the connector's entries into the status of a route, and removes those
// that no longer apply.
func MergeRoute(now *gatewayv1.RouteStatus, want []gatewayv1.RouteParentStatus, at metav1.Time) {
	now.Parents = mergeEntries(now.Parents, want, maxParents, at, func(s *gatewayv1.RouteParentStatus) entry {
		return entry{s.ControllerName, s.ParentRef, &s.Conditions}
	})
}

// MergePolicy is MergeRoute for a policy.
func MergePolicy(now *gatewayv1.PolicyStatus, want []gatewayv1.PolicyAncestorStatus, at metav1.Time) {
	now.Ancestors = mergeEntries(now.Ancestors, want, maxAncestors, at, func(s *gatewayv1.PolicyAncestorStatus) entry {
		return entry{s.ControllerName, s.AncestorRef, &s.Conditions}
	})
}

// entry is the common part of entries in the statuses of routes and of policies.
type entry struct {
	controller gatewayv1.GatewayController
	ref        gatewayv1.ParentReference
	conditions *[]metav1.Condition
}

// mergeEntries returns the entries of other controllers, followed by the wanted ones up
// to the limit. The result is never nil.
func mergeEntries[T any](now, want []T, room int, at metav1.Time, read func(*T) entry) []T {
	out := []T{}
	for i := range now {
		if read(&now[i]).controller != ControllerName {
			out = append(out, now[i])
		}
	}
	for _, w := range want {
		if len(out) == room {
			break
		}
		e := read(&w)
		var conditions []metav1.Condition
		for i := range now {
			if have := read(&now[i]); have.controller == ControllerName && equality.Semantic.DeepEqual(have.ref, e.ref) {
				conditions = *have.conditions
			}
		}
		*e.conditions = merged(conditions, *e.conditions, at)
		out = append(out, w)
	}
	return out
}
