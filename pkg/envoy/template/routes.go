// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// routesOf prepares the routes of a port for templates, which therefore can stay simple:
//
//   - One HTTP route per hostname, because Envoy has one virtual host for each.
//   - One match per rule, because the most specific match has to be tried first.
//   - Rules with the same match and filters are merged, with all of their backends.
//   - Rules are in the order in which they have to be tried.
//   - Defaults of the API are filled in.
func (g *gateway) routesOf(c *collapsed) []Route {
	hosts := map[string][]gatewayv1.HTTPRouteRule{}
	var out []Route
	for _, r := range g.routes {
		for _, l := range c.listeners {
			if r.Spec.HTTP != nil && g.attached(r, "http", l) {
				rules := g.httpRules(r)
				for _, host := range hostsOf(l, r.Spec.HTTP.Hostnames) {
					hosts[host] = append(hosts[host], rules...)
				}
			}
		}
		if r.Spec.TCP != nil && slices.ContainsFunc(c.listeners, func(l *gatewayv1.Listener) bool { return g.attached(r, "tcp", l) }) {
			out = append(out, Route{Spec: RouteSpec{TCP: g.tcpRoute(r)}})
		}
		for kind, has := range unseen(r) {
			if has && slices.ContainsFunc(c.listeners, func(l *gatewayv1.Listener) bool { return g.attached(r, kind, l) }) {
				g.notServed(r, "spec."+kind, "is not served, because envoy-templates only support HTTP and TCP routes: use a group without a template")
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		out = append(out, Route{Spec: RouteSpec{HTTP: &gatewayv1.HTTPRouteSpec{
			Hostnames: []gatewayv1.Hostname{gatewayv1.Hostname(host)}, Rules: ordered(merged(hosts[host])),
		}}})
	}
	return out
}

// unseen yields the kinds of routes that templates do not see, and whether a route has
// them.
func unseen(r *epicv1.GWRoute) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		_ = yield("grpc", r.Spec.GRPC != nil) && yield("tls", r.Spec.TLS != nil) && yield("udp", r.Spec.UDP != nil)
	}
}

// hostsOf returns the hostnames of a route at a listener.
func hostsOf(l *gatewayv1.Listener, names []gatewayv1.Hostname) []string {
	own := ""
	if l.Hostname != nil {
		own = string(*l.Hostname)
	}
	if len(names) == 0 {
		names = []gatewayv1.Hostname{""}
	}
	var out []string
	for _, n := range names {
		if host, ok := translate.IntersectHostnames(own, string(n)); ok && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

// httpRules returns copies of a route's rules with one match each.
func (g *gateway) httpRules(r *epicv1.GWRoute) []gatewayv1.HTTPRouteRule {
	var out []gatewayv1.HTTPRouteRule
	for i := range r.Spec.HTTP.Rules {
		rule := r.Spec.HTTP.Rules[i].DeepCopy()
		total := int64(0)
		for j := range rule.BackendRefs {
			b := &rule.BackendRefs[j]
			total += int64(g.prepare(&b.BackendRef))
		}
		for j := range rule.Filters {
			if redirect := rule.Filters[j].RequestRedirect; redirect != nil && redirect.StatusCode == nil {
				redirect.StatusCode = new(302)
			}
		}
		if ruleRedirect(*rule) {
			rule.BackendRefs = nil
		} else if total == 0 {
			g.notServed(r, fmt.Sprintf("spec.http.rules[%d].backendRefs", i), "has no backend with a weight, which envoy-templates do not support: add one")
			continue
		}
		matches := rule.Matches
		if len(matches) == 0 {
			matches = []gatewayv1.HTTPRouteMatch{{}}
		}
		for j := range matches {
			one := rule.DeepCopy()
			one.Matches = []gatewayv1.HTTPRouteMatch{*matches[j].DeepCopy()}
			complete(&one.Matches[0])
			out = append(out, *one)
		}
	}
	return out
}

// prepare sets the cluster name of a backend, and returns its weight.
func (g *gateway) prepare(b *gatewayv1.BackendRef) int32 {
	b.Name = gatewayv1.ObjectName(g.names[refOf(&b.BackendObjectReference)])
	if b.Weight == nil {
		b.Weight = new(int32(1))
	}
	return *b.Weight
}

// complete sets defaults of the API.
func complete(m *gatewayv1.HTTPRouteMatch) {
	if m.Path == nil {
		m.Path = &gatewayv1.HTTPPathMatch{}
	}
	if m.Path.Type == nil {
		m.Path.Type = new(gatewayv1.PathMatchPathPrefix)
	}
	if m.Path.Value == nil {
		m.Path.Value = new("/")
	}
	for i := range m.Headers {
		if m.Headers[i].Type == nil {
			m.Headers[i].Type = new(gatewayv1.HeaderMatchExact)
		}
	}
	for i := range m.QueryParams {
		if m.QueryParams[i].Type == nil {
			m.QueryParams[i].Type = new(gatewayv1.QueryParamMatchExact)
		}
	}
}

func (g *gateway) tcpRoute(r *epicv1.GWRoute) *gatewayv1.TCPRouteSpec {
	spec := r.Spec.TCP.TCPRouteSpec.DeepCopy()
	for i := range spec.Rules {
		for j := range spec.Rules[i].BackendRefs {
			g.prepare(&spec.Rules[i].BackendRefs[j])
		}
		spec.Rules[i].BackendRefs = slices.DeleteFunc(spec.Rules[i].BackendRefs, func(b gatewayv1.BackendRef) bool { return *b.Weight == 0 })
	}
	return spec
}

// merged merges rules with the same match and filters.
func merged(rules []gatewayv1.HTTPRouteRule) []gatewayv1.HTTPRouteRule {
	var out []gatewayv1.HTTPRouteRule
	byPath := map[string][]int{}
	for i := range rules {
		rule := &rules[i]
		path := string(*rule.Matches[0].Path.Type) + *rule.Matches[0].Path.Value
		same := slices.IndexFunc(byPath[path], func(k int) bool {
			return reflect.DeepEqual(out[k].Matches, rule.Matches) && reflect.DeepEqual(out[k].Filters, rule.Filters)
		})
		if same >= 0 {
			k := byPath[path][same]
			out[k].BackendRefs = append(slices.Clone(out[k].BackendRefs), rule.BackendRefs...)
			continue
		}
		byPath[path] = append(byPath[path], len(out))
		out = append(out, *rule)
	}
	return out
}

// ordered sorts rules so that the most specific match comes first, as the Gateway API
// requires.
func ordered(rules []gatewayv1.HTTPRouteRule) []gatewayv1.HTTPRouteRule {
	slices.SortStableFunc(rules, func(x, y gatewayv1.HTTPRouteRule) int {
		a, b := &x.Matches[0], &y.Matches[0]
		return cmp.Or(
			-cmp.Compare(rank(a), rank(b)),
			-cmp.Compare(len(*a.Path.Value), len(*b.Path.Value)),
			-cmp.Compare(count(a.Method != nil), count(b.Method != nil)),
			-cmp.Compare(len(a.Headers), len(b.Headers)),
			-cmp.Compare(len(a.QueryParams), len(b.QueryParams)),
		)
	})
	return rules
}

func rank(m *gatewayv1.HTTPRouteMatch) int { return count(*m.Path.Type == gatewayv1.PathMatchExact) }

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
