// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// statusMisdirected answers a request on a connection whose SNI belongs to another
// listener.
const statusMisdirected = 421

// renderHTTP makes the listener of a port for HTTP without TLS, which all of the port's
// listeners share. Their hostnames tell requests apart.
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

// entry is one route of Envoy's with what decides its place.
type entry struct {
	route *routev3.Route
	rule  *rule
	match match
	// order is that of its rule and match, by age and position.
	order int
}

// renderRoutes makes the route configuration of listeners that share connections. Other
// listeners of the port, which have connections of their own, answer 421 here. Answers get
// the headers.
func (g *gateway) renderRoutes(name string, own, group []*listener, headers []*corev3.HeaderValueOption) {
	hosts := map[string][]entry{}
	var from []*route
	for _, l := range own {
		// A hostname without routes answers 404, and does not fall to a shorter one.
		hosts[l.hostname] = nil
	}
	for _, l := range own {
		g.collect(l, group, hosts)
		from = append(from, l.attached...)
	}
	config := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true, ValidateClusters: wrapperspb.Bool(false), ResponseHeadersToAdd: headers}
	for host, entries := range hosts {
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{Name: host, Domains: []string{host}, Routes: g.sorted(host, entries)})
	}
	for _, l := range group {
		if _, ok := hosts[l.hostname]; !ok && !slices.Contains(own, l) {
			config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
				Name: l.hostname, Domains: []string{l.hostname},
				Routes: []*routev3.Route{{Name: "misdirected", Match: anyRequest(), Action: respond(statusMisdirected)}},
			})
		}
	}
	slices.SortFunc(config.VirtualHosts, func(a, b *routev3.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
	g.put(resource.Route, name, config, g.sourcesOf(from)...)
}

// collect adds the routes of a listener to its hostnames. Names that a more specific
// listener of the port has are that one's.
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
			// HTTPRoutes and GRPCRoutes do not share a hostname; the older has it.
			if other := kinds[host]; other != nil && other.kind != r.kind {
				conflicts++
				g.problems.add(r.source, "spec."+r.kind+".hostnames", ReasonRouteConflict,
					"%s is not used at the listener %q: the older GWRoute %s is of the kind %s and has it: use another hostname", host, l.spec.Name, other.source.Name, other.routeKind)
				continue
			}
			domains = append(domains, host)
		}
		if conflicts > 0 && len(domains) == 0 {
			for _, p := range r.parents {
				if slices.Contains(p.listeners, l) {
					p.refused.first(ReasonRouteConflict, "older routes of another kind have all of its hostnames at the listener %q: use other hostnames", l.spec.Name)
				}
			}
			continue
		}
		rules := g.rulesOf(r)
		n := 0
		for _, rule := range rules {
			n += len(rule.matches) * len(domains)
		}
		if g.envoyRoutes+n > maxEnvoyRoutes {
			const message = "the proxy has more than %d routes, counting one for each match, hostname and listener, and older ones come first: use fewer matches and hostnames, or several gateway proxies"
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
			hosts[host] = append(hosts[host], g.entries(l, r, host, rules, len(hosts[host]))...)
		}
	}
}

// entries are the routes of Envoy's that a route has for a hostname.
func (g *gateway) entries(l *listener, r *route, host string, rules []*rule, order int) []entry {
	var out []entry
	for _, rule := range rules {
		for _, m := range rule.matches {
			envoy := &routev3.Route{Name: fmt.Sprintf("%s/%s/%d", r.source.Name, r.kind, rule.index), Match: m.match}
			rule.apply(envoy, place{listener: l, host: host, match: m})
			out = append(out, entry{route: envoy, rule: rule, match: m, order: order + len(out)})
		}
	}
	return out
}

// sorted orders the routes of a hostname as the Gateway API says, and reports those that
// an older one hides.
func (g *gateway) sorted(host string, entries []entry) []*routev3.Route {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(a.match.order.compare(b.match.order), cmp.Compare(a.order, b.order))
	})
	seen := map[string]*route{}
	out := make([]*routev3.Route, 0, len(entries))
	for _, e := range entries {
		from := e.rule.from
		if other := seen[e.match.key]; other != nil {
			if other != from {
				g.unsupported(from, fmt.Sprintf("%s.matches[%d]", e.rule.field, e.match.index), ReasonRouteConflict, "gets no request for %s: the older GWRoute %s has the same match: change or remove one of the two", host, other.source.Name)
			}
			// Envoy would never come to it.
			continue
		}
		seen[e.match.key] = from
		out = append(out, e.route)
	}
	return out
}

// anyRequest matches every request.
func anyRequest() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// respond answers without a backend.
func respond(status uint32) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}}
}
