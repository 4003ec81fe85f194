// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// rule is one rule of an HTTPRoute or a GRPCRoute.
type rule struct {
	index   int
	field   string
	matches []match
	filters filters
	// backends are the clusters with their weights.
	backends []weightedBackend
	// timeouts and retry are those of the rule.
	timeouts *gatewayv1.HTTPRouteTimeouts
	retry    *gatewayv1.HTTPRouteRetry
	// perFilter configures HTTP filters for the rule.
	perFilter map[string]*anypb.Any
	g         *gateway
	from      *route
}

// place is where a rule is applied: redirects depend on it.
type place struct {
	listener *listener
	host     string
	match    match
}

// weightedBackend is a backend of a rule.
type weightedBackend struct {
	share
	filters filters
}

// rulesOf translates the rules of a route, and caches the result.
func (g *gateway) rulesOf(r *route) []*rule {
	if rules, ok := g.rules[r]; ok {
		return rules
	}
	var rules []*rule
	problems := len(g.problems)
	g.using, g.unforeseeable = nil, false
	switch spec := &r.object.Spec; r.kind {
	case "http":
		for i := range spec.HTTP.Rules {
			rules = append(rules, g.httpRule(r, i, &spec.HTTP.Rules[i]))
		}
	case "grpc":
		for i := range spec.GRPC.Rules {
			rules = append(rules, g.grpcRule(r, i, &spec.GRPC.Rules[i]))
		}
	}
	g.rules[r] = rules
	g.remember(r, rules, problems)
	return rules
}

func (g *gateway) httpRule(r *route, i int, spec *gatewayv1.HTTPRouteRule) *rule {
	out := &rule{
		index: i, field: fmt.Sprintf("spec.http.rules[%d]", i), g: g, from: r,
		timeouts: spec.Timeouts, retry: spec.Retry,
	}
	for j := range spec.Matches {
		m, ok := httpMatch(j, &spec.Matches[j])
		if !ok {
			g.unsupported(r, fmt.Sprintf("%s.matches[%d]", out.field, j), string(gatewayv1.RouteReasonUnsupportedValue), "%s", unmatchable(spec.Matches[j].Path))
			continue
		}
		out.matches = append(out.matches, m)
	}
	if len(spec.Matches) == 0 {
		m, _ := httpMatch(0, &gatewayv1.HTTPRouteMatch{})
		out.matches = append(out.matches, m)
	}
	out.filters = g.readFilters(r, out.field+".filters", spec.Filters)
	out.perFilter = out.filters.perFilter(sessions(spec.SessionPersistence))
	for j := range spec.BackendRefs {
		b := &spec.BackendRefs[j]
		out.addBackend(fmt.Sprintf("%s.backendRefs[%d]", out.field, j), &b.BackendRef, b.Filters, useHTTP)
	}
	return out
}

func (g *gateway) grpcRule(r *route, i int, spec *gatewayv1.GRPCRouteRule) *rule {
	out := &rule{index: i, field: fmt.Sprintf("spec.grpc.rules[%d]", i), g: g, from: r}
	for j := range spec.Matches {
		out.matches = append(out.matches, grpcMatch(j, &spec.Matches[j]))
	}
	if len(spec.Matches) == 0 {
		out.matches = append(out.matches, grpcMatch(0, &gatewayv1.GRPCRouteMatch{}))
	}
	out.filters = g.readFilters(r, out.field+".filters", httpFilters(spec.Filters))
	out.perFilter = out.filters.perFilter(sessions(spec.SessionPersistence))
	for j := range spec.BackendRefs {
		b := &spec.BackendRefs[j]
		out.addBackend(fmt.Sprintf("%s.backendRefs[%d]", out.field, j), &b.BackendRef, httpFilters(b.Filters), useGRPC)
	}
	return out
}

// httpFilters converts filters of a GRPCRoute to those of an HTTPRoute.
func httpFilters(all []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	var out []gatewayv1.HTTPRouteFilter
	for i := range all {
		f := &all[i]
		out = append(out, gatewayv1.HTTPRouteFilter{
			Type:                  gatewayv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier: f.RequestHeaderModifier, ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	return out
}

// addBackend adds a backend. One whose filters can't be applied gets no requests; its
// share of them gets an error response.
func (r *rule) addBackend(field string, ref *gatewayv1.BackendRef, specs []gatewayv1.HTTPRouteFilter, u use) {
	b := weightedBackend{share: share{weight: 1}}
	if ref.Weight != nil {
		b.weight = uint32(max(*ref.Weight, 0))
	}
	b.cluster = r.g.clusterOf(r.from, field, &ref.BackendObjectReference, u)
	b.filters = r.g.readFilters(r.from, field+".filters", specs)
	f := &b.filters
	if !f.broken && (f.redirect != nil || len(f.mirrors) > 0 || f.cors != nil || f.auth != nil || f.rewrite != nil && f.rewrite.Path != nil) {
		r.g.unsupported(r.from, field+".filters", string(gatewayv1.RouteReasonUnsupportedValue),
			"requests for this backend are answered with 500: a backend's filters can only change headers and the hostname: move other filters to the rule")
		f.broken = true
	}
	if f.broken {
		b.cluster = invalidCluster
	}
	r.backends = append(r.backends, b)
}

// apply sets what one of Envoy's routes does with requests.
func (r *rule) apply(envoy *routev3.Route, at place) {
	f := &r.filters
	f.applyHeaders(envoy)
	envoy.TypedPerFilterConfig = r.perFilter
	switch {
	case f.broken:
		envoy.Action = respond(500)
	case f.redirect != nil:
		r.redirect(envoy, at)
	default:
		r.forward(envoy, at)
	}
}

// forward sends requests to the backends.
func (r *rule) forward(envoy *routev3.Route, at place) {
	action := &routev3.RouteAction{ClusterNotFoundResponseCode: routev3.RouteAction_INTERNAL_SERVER_ERROR}
	if !r.setClusters(action) {
		envoy.Action = respond(500)
		return
	}
	if w := r.filters.rewrite; w != nil {
		if w.Hostname != nil {
			action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: string(*w.Hostname)}
		}
		if w.Path != nil && !r.rewritePath(action, w.Path, at.match) {
			envoy.Action = respond(500)
			return
		}
	}
	if host := r.filters.host; host != "" && action.HostRewriteSpecifier == nil {
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	}
	action.RequestMirrorPolicies = r.filters.mirrors
	r.setTimeouts(action)
	r.setRetry(action)
	envoy.Action = &routev3.Route_Route{Route: action}
}

// setClusters sets the clusters. It returns false if no backend has a weight.
func (r *rule) setClusters(action *routev3.RouteAction) bool {
	var used []weightedBackend
	for _, b := range r.backends {
		if b.weight > 0 {
			used = append(used, b)
		}
	}
	if len(used) == 0 {
		if len(r.backends) == 0 {
			r.g.problems.add(r.from.source, r.field, string(gatewayv1.RouteReasonBackendNotFound), "has no backend, so requests are answered with 500: add backendRefs, or a redirect")
		} else {
			r.g.problems.add(r.from.source, r.field+".backendRefs", ReasonNoWeight, "all have a weight of 0, so requests are answered with 500: set a weight above 0")
		}
		return false
	}
	if len(used) == 1 && !used[0].filters.changes() {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: used[0].cluster}
		return true
	}
	weighted := &routev3.WeightedCluster{}
	for _, b := range used {
		c := &routev3.WeightedCluster_ClusterWeight{Name: b.cluster, Weight: wrapperspb.UInt32(b.weight)}
		b.filters.applyCluster(c)
		weighted.Clusters = append(weighted.Clusters, c)
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}
	return true
}
