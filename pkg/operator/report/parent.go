// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// RouteParents returns the status of a route for each of its parents that were
// translated, in the order of the parents and of the route's references.
func RouteParents(route *epicv1.GWRoute, parents []Parent) []epicv1.RouteParentStatus {
	var all []epicv1.RouteParentStatus
	for i := range parents {
		p := &parents[i]
		if p.Outcome == nil {
			continue
		}
		against := cmp.Or(refusedRoute(route, p), notProgrammed(p))
		for _, r := range p.Outcome.Routes {
			if !isRoute(r.Route, route) {
				continue
			}
			for _, at := range r.Parents {
				ref := parentReference(p.Name, &at.Ref)
				conditions := translated(at.Conditions)
				accepted := meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionAccepted))
				c := programmedNow()
				switch {
				case accepted != nil && accepted.Status != metav1.ConditionTrue:
					c = unprogrammed(accepted.Reason, "%s", accepted.Message)
				case against != nil:
					c = *against
				}
				all = merge(all, ref, append(conditions, c), route.Generation)
			}
		}
	}
	return all
}

// merge adds the conditions of a route for a parent. A GWRoute with several kinds of
// routes has several for the same parent: a condition that is false for one of them is
// false.
func merge(all []epicv1.RouteParentStatus, ref epicv1.RouteParentReference, conditions []metav1.Condition, generation int64) []epicv1.RouteParentStatus {
	for i := range conditions {
		conditions[i].ObservedGeneration = generation
	}
	at := slices.IndexFunc(all, func(s epicv1.RouteParentStatus) bool { return s.ParentRef == ref })
	if at < 0 {
		return append(all, epicv1.RouteParentStatus{ParentRef: ref, Conditions: conditions})
	}
	for _, c := range conditions {
		has := meta.FindStatusCondition(all[at].Conditions, c.Type)
		switch {
		case has == nil:
			all[at].Conditions = append(all[at].Conditions, c)
		case has.Status == metav1.ConditionTrue && c.Status != metav1.ConditionTrue:
			*has = c
		}
	}
	return all
}

func parentReference(proxy string, ref *gatewayv1.ParentReference) epicv1.RouteParentReference {
	return epicv1.RouteParentReference{Name: proxy, SectionName: string(ptr.Deref(ref.SectionName, "")), Port: ptr.Deref(ref.Port, 0)}
}

// refusedRoute returns the condition Programmed of a route that an Envoy refused, either
// one of a parent's or the one that validates configurations, or nil if none did.
func refusedRoute(route *epicv1.GWRoute, p *Parent) *metav1.Condition {
	var told []string
	for _, pod := range p.State.Pods {
		for _, r := range pod.Refused {
			if concerns(r.Resource, route) {
				told = append(told, refusal(pod.Pod, r))
			}
		}
	}
	reason := ReasonRejectedByProxy
	if len(told) == 0 && p.Outcome != nil {
		reason = ReasonRejectedByValidator
		for _, problem := range p.Outcome.Problems {
			if problem.Reason == reason && isRoute(problem.Object, route) {
				told = append(told, problem.String())
			}
		}
	}
	if len(told) == 0 {
		return nil
	}
	return ptr.To(unprogrammed(reason, "%s", tell(told)))
}

// notProgrammed returns the condition Programmed of routes whose parent serves nothing,
// or an older configuration, or nil if it serves them. It ignores refusals of other
// objects.
func notProgrammed(p *Parent) *metav1.Condition {
	switch {
	case p.Programmed == nil:
		return ptr.To(unprogrammed(ReasonPending, "GWProxy %s has no Envoy yet", p.Name))
	case p.Programmed.Status != metav1.ConditionTrue && !isRefusal(p.Programmed.Reason):
		return ptr.To(unprogrammed(p.Programmed.Reason, "GWProxy %s: %s", p.Name, p.Programmed.Message))
	}
	return nil
}
