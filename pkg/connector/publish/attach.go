// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// attachment is the result of attaching a route by one of its references to a parent.
type attachment struct {
	// ref is the reference in the route.
	ref gatewayv1.ParentReference
	// gateway is the Gateway to which it leads.
	gateway *gatewayState
	// listeners are the listeners to which the route is attached; empty if it is refused.
	listeners []*listener
	// accepted reports whether the parent accepts the route.
	accepted verdict
}

// attach determines the listeners that accept a route by one of its references, or
// returns nil if the connector does not serve the parent.
func (p *publisher) attach(route *Route, ref gatewayv1.ParentReference) *attachment {
	parent, ok := ParentOf(&ref, route.GetNamespace())
	if !ok {
		return nil
	}
	gateway, listeners := p.stateOf(parent)
	if gateway == nil {
		return nil
	}
	a := &attachment{ref: ref, gateway: gateway}
	a.narrow(&listeners, gatewayv1.RouteReasonNoMatchingParent, "the reference matches no listener of the "+string(parent.Kind)+": change its sectionName or its port",
		func(l *listener) bool { return names(&ref, l) })
	a.narrow(&listeners, gatewayv1.RouteReasonNotAllowedByListeners,
		fmt.Sprintf("no listener that the reference names accepts a %s of the namespace %s: change the listener's protocol or its allowedRoutes, or refer to another listener", route.Kind, route.GetNamespace()),
		func(l *listener) bool { return l.allowsKind(route.Kind) && p.allows(l, route.GetNamespace()) })
	a.narrow(&listeners, gatewayv1.RouteReasonNoMatchingListenerHostname,
		"no listener that the reference names has a hostname of the route: change the hostnames of one of the two",
		func(l *listener) bool { _, ok := hostnamesAt(l.host, route.Hostnames); return ok })
	a.listeners = listeners
	return a
}

// narrow keeps the listeners for which the rule holds, and refuses the route if none is
// left.
func (a *attachment) narrow(listeners *[]*listener, reason gatewayv1.RouteConditionReason, message string, takes func(*listener) bool) {
	if a.accepted.no {
		return
	}
	*listeners = slices.DeleteFunc(slices.Clone(*listeners), func(l *listener) bool { return !takes(l) })
	if len(*listeners) == 0 {
		a.accepted.refuse(string(reason), message)
	}
}

// names reports whether a reference to a parent names one of its listeners.
func names(ref *gatewayv1.ParentReference, l *listener) bool {
	if ref.SectionName != nil && *ref.SectionName != "" && *ref.SectionName != l.Name {
		return false
	}
	return ref.Port == nil || *ref.Port == 0 || *ref.Port == l.Port
}

// attachAll attaches every route to the listeners of a Gateway.
func (p *publisher) attachAll(s *gatewayState) {
	for _, l := range s.listeners {
		l.routes, l.rejected = nil, map[*Route]bool{}
	}
	parents := []Parent{{GatewayKind, nameOf(s.gateway)}}
	for _, set := range s.sets {
		if !set.allowed.no {
			parents = append(parents, Parent{ListenerSetKind, nameOf(set.set)})
		}
	}
	for _, parent := range parents {
		for _, route := range p.routesOf(parent) {
			if route.GetDeletionTimestamp() != nil || ruleVerdict(route).no {
				continue
			}
			taken := map[*listener]bool{}
			for _, ref := range route.refsTo(p.view, parent) {
				a := p.attach(route, ref)
				if a == nil {
					continue
				}
				for _, l := range a.listeners {
					if !taken[l] {
						taken[l] = true
						l.routes = append(l.routes, route)
					}
				}
			}
		}
	}
	for _, l := range s.listeners {
		slices.SortFunc(l.routes, compareRoutes)
		l.settleKinds()
	}
}

// routesOf returns the routes of some kinds, or of all, that may have a reference to a
// parent.
func (p *publisher) routesOf(parent Parent, kinds ...gatewayv1.Kind) []*Route {
	routes := p.view.RoutesOf(parent, kinds...)
	if parent.Kind != GatewayKind {
		return routes
	}
	gateway := p.view.Gateway(parent.NamespacedName)
	if gateway == nil || !IsDefault(gateway) {
		return routes
	}
	routes = slices.Clone(routes)
	for _, route := range p.view.DefaultRoutes() {
		if !slices.Contains(route.Parents(), parent) {
			routes = append(routes, route)
		}
	}
	return routes
}

// settleKinds rejects routes for HTTP and gRPC that share a hostname with an older one of
// the other kind.
func (l *listener) settleKinds() {
	var http, grpc bool
	for _, r := range l.routes {
		http, grpc = http || r.Kind == HTTPRouteKind, grpc || r.Kind == GRPCRouteKind
	}
	if !http || !grpc {
		return
	}
	var taken []*Route
	for _, r := range l.routes {
		if slices.ContainsFunc(taken, func(older *Route) bool { return older.Kind != r.Kind && l.share(older, r) }) {
			l.rejected[r] = true
			continue
		}
		taken = append(taken, r)
	}
}

// share reports whether two routes get requests for the same hostname at a listener.
func (l *listener) share(a, b *Route) bool {
	as, _ := hostnamesAt(l.host, a.Hostnames)
	bs, _ := hostnamesAt(l.host, b.Hostnames)
	for _, x := range as {
		for _, y := range bs {
			if hostsMeet(x, y) {
				return true
			}
		}
	}
	return false
}

// rejects reports whether another kind of route has priority over a route at a listener.
// The routes of the Gateway are attached only if there may be one.
func (p *publisher) rejects(s *gatewayState, l *listener, route *Route) bool {
	other := map[gatewayv1.Kind]gatewayv1.Kind{HTTPRouteKind: GRPCRouteKind, GRPCRouteKind: HTTPRouteKind}[route.Kind]
	if other == "" || !l.allowsKind(other) {
		return false
	}
	if l.rejected == nil {
		// There may be a thousand routes of its own kind.
		if !slices.ContainsFunc(p.routesOf(l.owner, other), func(r *Route) bool { return r.Kind == other }) {
			return false
		}
		p.attachAll(s)
	}
	for r := range l.rejected {
		if r.Kind == route.Kind && nameOf(r) == nameOf(route) {
			return true
		}
	}
	return false
}
