// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// statusMisdirected is the response to a request on a connection whose SNI belongs to
// another listener.
const statusMisdirected = 421

// renderHTTP creates the listener of a port for HTTP without TLS, which all of the port's
// listeners share. Their hostnames distinguish requests.
func (g *gateway) renderHTTP(k portKey, group []*listener) {
	envoy := g.listener(g.where, k.protocol, k.port)
	name := fmt.Sprintf("http/%d", k.port)
	stat := fmt.Sprintf("port_%d", k.port)
	envoy.FilterChains = []*listenerv3.FilterChain{{
		Name:    "http",
		Filters: append(g.admission(stat, envoy.Name), serve(g.connectionManager(stat, name))),
	}}
	g.renderRoutes(name, group, group, nil)
	g.put(resource.Listener, envoy.Name, envoy, g.proxy)
}

// encodedRoute is one of Envoy's routes with its sort keys.
type encodedRoute struct {
	// body is the encoded message.
	body []byte
	// field is the field of its match in the GWRoute.
	field string
	// order and key are those of its match.
	order matchOrder
	key   string
}

// entry is one of Envoy's routes and the route to which it belongs.
type entry struct {
	*encodedRoute
	from *route
}

// renderRoutes creates the route configuration of listeners that share connections. For
// other listeners of the port, which have separate connections, it responds with 421.
// headers are added to responses.
func (g *gateway) renderRoutes(name string, own, group []*listener, headers []*corev3.HeaderValueOption) {
	hosts := map[string][]entry{}
	var from []*route
	for _, l := range own {
		// A hostname without routes gets a 404 response, and does not fall back to a
		// shorter one.
		hosts[l.hostname] = nil
	}
	for _, l := range own {
		g.collect(l, group, hosts)
		from = append(from, l.attached...)
	}
	var all []virtualHost
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		all = append(all, virtualHost{host, g.sorted(host, hosts[host])})
	}
	for _, l := range group {
		if _, ok := hosts[l.hostname]; !ok && !slices.Contains(own, l) {
			all = append(all, virtualHost{l.hostname, [][]byte{misdirected}})
		}
	}
	slices.SortFunc(all, func(a, b virtualHost) int { return strings.Compare(a.name, b.name) })
	g.putRoutes(name, all, headers, g.sourcesOf(from))
}

// collect adds the routes of a listener to its hostnames. It skips names that belong to a
// more specific listener of the port.
func (g *gateway) collect(l *listener, group []*listener, hosts map[string][]entry) {
	kinds := map[string]*route{}
	attached := l.attached
	l.attached = nil
	for _, r := range attached {
		var domains []string
		conflicts := 0
		for _, host := range r.domains(l) {
			if owner(group, host) != l {
				continue
			}
			// HTTPRoutes and GRPCRoutes can't share a hostname; the older one gets it.
			if other := kinds[host]; other != nil && other.kind != r.kind {
				conflicts++
				g.problems.add(r.source, "spec."+r.kind+".hostnames", ReasonRouteConflict,
					"%s is not used on the listener %q: the older GWRoute %s, of the kind %s, uses it: use another hostname", host, l.spec.Name, other.source.Name, other.routeKind)
				continue
			}
			domains = append(domains, host)
		}
		if conflicts > 0 && len(domains) == 0 {
			for _, p := range r.parents {
				if slices.Contains(p.listeners, l) {
					p.refused.first(ReasonRouteConflict, "older routes of another kind use all of its hostnames on the listener %q: use other hostnames", l.spec.Name)
				}
			}
			continue
		}
		n := g.matchesOf(r) * len(domains)
		if g.envoyRoutes+n > maxEnvoyRoutes {
			const message = "the proxy has more than %d routes, counting each match, hostname and listener, and older routes take precedence: use fewer matches and hostnames, or several gateway proxies"
			r.refuse(ReasonTooManyRoutes, fmt.Sprintf(message, maxEnvoyRoutes))
			g.problems.add(r.source, "spec."+r.kind, ReasonTooManyRoutes, message, maxEnvoyRoutes)
			continue
		}
		g.envoyRoutes += n
		l.attached = append(l.attached, r)
		for _, host := range domains {
			if kinds[host] == nil {
				kinds[host] = r
			}
			routes := g.encoded(l, r, host)
			for i := range routes {
				hosts[host] = append(hosts[host], entry{&routes[i], r})
			}
		}
	}
}

// matchesOf returns the number of matches in the rules of a route.
func (g *gateway) matchesOf(r *route) int {
	if known := g.recall(r); known != nil {
		return known.matches
	}
	n := 0
	for _, rule := range g.rulesOf(r) {
		n += len(rule.matches)
	}
	return n
}

// encoded returns Envoy's routes of a route for a hostname of a listener, by rule and
// match.
func (g *gateway) encoded(l *listener, r *route, host string) []encodedRoute {
	if routes, ok := g.recall(r).at(l, host); ok {
		return routes
	}
	rules := g.rulesOf(r)
	problems := len(g.problems)
	var out []encodedRoute
	for _, rule := range rules {
		for _, m := range rule.matches {
			name := fmt.Sprintf("%s/%s/%d", r.source.Name, r.kind, rule.index)
			envoy := &routev3.Route{Name: name, StatPrefix: statisticName(name), Match: m.match}
			rule.apply(envoy, place{listener: l, host: host, match: m})
			field := fmt.Sprintf("%s.matches[%d]", rule.field, m.index)
			body, err := encode(envoy)
			if err != nil {
				g.unsupported(r, field, ReasonNotEncodable, "is left out, because it can't be encoded: %v: use plain text in all fields", err)
				continue
			}
			out = append(out, encodedRoute{body: body, field: field, order: m.order, key: m.key})
		}
	}
	if len(g.problems) == problems {
		g.rememberPlace(l, r, host, out)
	}
	return out
}

// sorted orders the routes of a hostname as the Gateway API requires, and reports those
// that an older one hides. The entries are ordered by age and position.
func (g *gateway) sorted(host string, entries []entry) [][]byte {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.order.compare(b.order) })
	seen := make(map[string]*route, len(entries))
	out := make([][]byte, 0, len(entries))
	for _, e := range entries {
		if other := seen[e.key]; other != nil {
			if other != e.from {
				g.unsupported(e.from, e.field, ReasonRouteConflict, "gets no request for %s: the older GWRoute %s has the same match: change or remove one of the two", host, other.source.Name)
			}
			// Envoy would never reach it.
			continue
		}
		seen[e.key] = e.from
		out = append(out, e.body)
	}
	return out
}

// anyRequest matches every request.
func anyRequest() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// respond responds without a backend.
func respond(status uint32) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}}
}
