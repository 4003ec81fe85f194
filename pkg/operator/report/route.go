// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Parent is the operator's state of a gateway proxy that a route names.
type Parent struct {
	proxyidentity.Proxy
	// Outcome is the outcome of the last translation of the proxy, or nil if there was
	// none.
	Outcome *feed.Outcome
	// State is the xDS server's state of the proxy's pods.
	State xds.State
	// Programmed is the proxy's own condition, or nil if it has none yet.
	Programmed *metav1.Condition
}

// Route returns the condition Programmed of a route. The first obstacle determines it.
func Route(route *epicv1.GWRoute, parents []Parent) metav1.Condition {
	c := programmedRoute(route, parents)
	c.ObservedGeneration = route.Generation
	return c
}

func programmedRoute(route *epicv1.GWRoute, parents []Parent) metav1.Condition {
	if len(parents) == 0 {
		return unprogrammed(ReasonNoParents, "None of the route's gateway proxies exists: see the condition Accepted")
	}
	for i := range parents {
		if c := refusedRoute(route, &parents[i]); c != nil {
			return *c
		}
	}
	for _, p := range parents {
		if p.Outcome == nil {
			return unprogrammed(ReasonPending, "GWProxy %s is not translated yet", p.Name)
		}
		if reason, problems := routeProblems(p.Outcome, route); len(problems) > 0 {
			return unprogrammed(reason, "%s", tell(problems))
		}
	}
	for i := range parents {
		if c := notProgrammed(&parents[i]); c != nil {
			return *c
		}
	}
	return programmedNow()
}

func concerns(r *resource.Resource, route *epicv1.GWRoute) bool {
	// The first source is the one most likely at fault.
	return len(r.Sources) > 0 && isRoute(r.Sources[0], route)
}

func isRoute(s resource.Source, route *epicv1.GWRoute) bool {
	return s.Kind == "GWRoute" && s.Namespace == route.Namespace && s.Name == route.Name
}

// routeProblems returns the problems of a route in the translation of a proxy.
func routeProblems(o *feed.Outcome, route *epicv1.GWRoute) (reason string, told []string) {
	add := func(why, text string) {
		if reason == "" {
			reason = why
		}
		told = append(told, text)
	}
	for _, r := range o.Routes {
		if !isRoute(r.Route, route) {
			continue
		}
		for _, parent := range r.Parents {
			for _, c := range parent.Conditions {
				if !c.Status && c.Type == "Accepted" {
					add(c.Reason, fmt.Sprintf("%s: %s", sectionOf(parent), c.Message))
				}
			}
		}
	}
	for _, p := range o.Problems {
		if isRoute(p.Object, route) {
			add(p.Reason, p.String())
		}
	}
	return reason, told
}

func sectionOf(p translate.ParentStatus) string {
	if p.Ref.SectionName != nil {
		return fmt.Sprintf("listener %s of %s", *p.Ref.SectionName, p.Ref.Name)
	}
	return string(p.Ref.Name)
}
