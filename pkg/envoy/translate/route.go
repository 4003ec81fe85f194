// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Reasons of routes, in addition to those of the Gateway API.
const (
	// ReasonRouteConflict is a route, or a rule of one, that an older one replaces.
	ReasonRouteConflict = "RouteConflict"
	// ReasonNoWeight is a rule whose backends all have no weight.
	ReasonNoWeight = "NoWeight"
	// ReasonTooManyRoutes is a route beyond the limit of a proxy.
	ReasonTooManyRoutes = "TooManyRoutes"
)

// maxEnvoyRoutes is the maximum number of Envoy's routes of one proxy. A route needs one
// for each match, hostname and listener.
const maxEnvoyRoutes = 50_000

// route is one route of a GWRoute, which may have several.
type route struct {
	object *epicv1.GWRoute
	source resource.Source
	// kind is the field of the spec, and routeKind the kind of the route in the tenant's
	// cluster.
	kind      string
	routeKind gatewayv1.Kind
	hostnames []string
	parents   []*parent
	refs      verdict
	// partial names the part of the route that is ignored.
	partial verdict
}

// parent is one reference of a route to the proxy.
type parent struct {
	ref       gatewayv1.ParentReference
	field     string
	listeners []*listener
	refused   verdict
}

// readRoutes determines the routes of the proxy and the listeners to which they attach.
func (g *gateway) readRoutes() {
	for _, object := range OwnRoutes(g.in.Proxy, g.in.Routes) {
		spec := &object.Spec
		if r := spec.HTTP; r != nil {
			g.attach(&route{object: object, kind: "http", routeKind: "HTTPRoute", hostnames: lower(r.Hostnames)}, r.ParentRefs)
		}
		if r := spec.GRPC; r != nil {
			g.attach(&route{object: object, kind: "grpc", routeKind: "GRPCRoute", hostnames: lower(r.Hostnames)}, r.ParentRefs)
		}
		if r := spec.TLS; r != nil {
			g.attach(&route{object: object, kind: "tls", routeKind: "TLSRoute", hostnames: lower(r.Hostnames)}, r.ParentRefs)
		}
		if r := spec.TCP; r != nil {
			g.attach(&route{object: object, kind: "tcp", routeKind: "TCPRoute"}, r.ParentRefs)
		}
		if r := spec.UDP; r != nil {
			g.attach(&route{object: object, kind: "udp", routeKind: "UDPRoute"}, r.ParentRefs)
		}
	}
}

// lower returns hostnames in the form in which they are compared, or any for none.
func lower(names []gatewayv1.Hostname) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if s := orAny(string(n)); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func (g *gateway) attach(r *route, refs []gatewayv1.ParentReference) {
	r.source = SourceOf("GWRoute", r.object)
	for i := range refs {
		if string(refs[i].Name) != g.in.Proxy.Name {
			continue
		}
		p := &parent{ref: refs[i], field: fmt.Sprintf("spec.%s.parentRefs[%d]", r.kind, i)}
		g.choose(r, p)
		r.parents = append(r.parents, p)
		if p.refused.given() {
			g.problems.add(r.source, p.field, p.refused.reason, "%s", p.refused.message)
		}
		for _, l := range p.listeners {
			if n := len(l.attached); n == 0 || l.attached[n-1] != r {
				l.attached = append(l.attached, r)
			}
		}
	}
	if len(r.parents) > 0 {
		g.routes = append(g.routes, r)
	}
}

// RefersTo reports whether a reference to a gateway refers to one of its listeners.
func RefersTo(ref *gatewayv1.ParentReference, l *gatewayv1.Listener) bool {
	return (ref.SectionName == nil || *ref.SectionName == "" || *ref.SectionName == l.Name) && (ref.Port == nil || *ref.Port == l.Port)
}

// choose determines the listeners to which a route attaches by one of its references.
func (g *gateway) choose(r *route, p *parent) {
	var named, allowed []*listener
	for _, l := range g.listeners {
		if RefersTo(&p.ref, l.spec) {
			named = append(named, l)
		}
	}
	for _, l := range named {
		if l.allows(r.routeKind) {
			allowed = append(allowed, l)
		}
	}
	for _, l := range allowed {
		if len(r.domains(l)) > 0 {
			p.listeners = append(p.listeners, l)
		}
	}
	switch {
	case len(named) == 0:
		p.refused.first(string(gatewayv1.RouteReasonNoMatchingParent), "the gateway proxy %q has no listener with this sectionName and port: correct them, or leave them out", g.proxy.Name)
	case len(allowed) == 0:
		p.refused.first(string(gatewayv1.RouteReasonNotAllowedByListeners), "no listener that it refers to accepts a route of kind %s: refer to another one, or change the listener's protocol or allowedRoutes", r.routeKind)
	case len(p.listeners) == 0:
		p.refused.first(string(gatewayv1.RouteReasonNoMatchingListenerHostname), "no hostname of the route matches a listener that it refers to: add a hostname below the listener's, or change the listener's")
	}
}

// domains returns the hostnames of a route at a listener.
func (r *route) domains(l *listener) []string {
	names := r.hostnames
	switch len(names) {
	case 0:
		return []string{l.hostname}
	case 1:
		if d, ok := intersect(l.hostname, names[0]); ok {
			return []string{d}
		}
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if d, ok := intersect(l.hostname, n); ok && !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}

// status returns the status of the route.
func (r *route) status() RouteStatus {
	s := RouteStatus{Route: r.source, Kind: r.kind}
	for _, p := range r.parents {
		conditions := []Condition{
			holds(string(gatewayv1.RouteConditionAccepted), p.refused, string(gatewayv1.RouteReasonAccepted)),
			holds(string(gatewayv1.RouteConditionResolvedRefs), r.refs, string(gatewayv1.RouteReasonResolvedRefs)),
		}
		if r.partial.given() {
			conditions = append(conditions, Condition{
				Type: string(gatewayv1.RouteConditionPartiallyInvalid), Status: true, Reason: r.partial.reason, Message: r.partial.message,
			})
		}
		s.Parents = append(s.Parents, ParentStatus{Ref: p.ref, Conditions: conditions})
	}
	return s
}

// refuse marks the route as refused at all references.
func (r *route) refuse(reason, message string) {
	for _, p := range r.parents {
		p.refused.first(reason, "%s", message)
	}
}

// unresolved reports a reference of the route that can't be resolved.
func (g *gateway) unresolved(r *route, field, reason, format string, args ...any) {
	r.refs.first(reason, format, args...)
	g.problems.add(r.source, field, reason, format, args...)
}

// unsupported reports a part of the route that is ignored or results in an error
// response.
func (g *gateway) unsupported(r *route, field, reason, format string, args ...any) {
	r.partial.first(reason, format, args...)
	g.problems.add(r.source, field, reason, format, args...)
}
