// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// renderTLS creates the listener of a port whose connections are distinguished by SNI:
// HTTPS, and TLS that is terminated or passed through.
func (g *gateway) renderTLS(k portKey, group []*listener) {
	envoy := g.listener(g.where, k.protocol, k.port)
	envoy.ListenerFilters = append(envoy.ListenerFilters, &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})},
	})
	var routes []*route
	quic := g.overQUIC(k, group)
	for _, l := range group {
		routes = append(routes, l.attached...)
		switch {
		case l.terminates && l.tls == nil:
			// Without a certificate, the names of this listener must not reach another
			// one.
			envoy.FilterChains = append(envoy.FilterChains, refusingChain(l))
		case l.spec.Protocol == gatewayv1.HTTPSProtocolType:
			envoy.FilterChains = append(envoy.FilterChains, g.httpsChain(k, l, group, slices.Contains(quic, l)))
		default:
			envoy.FilterChains = append(envoy.FilterChains, g.tlsChains(l, group)...)
		}
	}
	g.put(resource.Listener, envoy.Name, envoy, g.sourcesOf(routes)...)
	g.renderQUIC(k, quic)
}

// matchSNI matches the connections of clients that send a hostname as SNI.
func matchSNI(host string) *listenerv3.FilterChainMatch {
	if host == anyHost {
		return nil
	}
	return &listenerv3.FilterChainMatch{ServerNames: []string{host}}
}

// refusingChain returns a filter chain that closes the connections of a listener.
func refusingChain(l *listener) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Name: "closed/" + string(l.spec.Name), FilterChainMatch: matchSNI(l.hostname)}
}

// httpsChain returns a filter chain that serves HTTP on the connections of a listener,
// and advertises HTTP/3 if the listener serves it.
func (g *gateway) httpsChain(k portKey, l *listener, group []*listener, http3 bool) *listenerv3.FilterChain {
	name := httpsRoutes(k, l)
	var headers []*corev3.HeaderValueOption
	if http3 {
		headers = g.advertise(k)
	}
	g.renderRoutes(name, []*listener{l}, group, headers)
	stat := fmt.Sprintf("port_%d_%s", k.port, l.spec.Name)
	return &listenerv3.FilterChain{
		Name:             "https/" + string(l.spec.Name),
		FilterChainMatch: matchSNI(l.hostname),
		Filters:          append(g.admission(stat, name), serve(g.connectionManager(stat, name))),
		TransportSocket:  g.transportSocket(l.tls, "h2", "http/1.1"),
	}
}

// tlsChains returns filter chains that forward the connections of a listener by the names
// in its routes. Connections for names without a route are closed.
func (g *gateway) tlsChains(l *listener, group []*listener) []*listenerv3.FilterChain {
	var chains []*listenerv3.FilterChain
	taken := map[string]*route{}
	attached := l.attached
	l.attached = nil
	for _, r := range attached {
		wins := false
		for _, host := range r.domains(l) {
			if owner(group, host) != l {
				continue
			}
			if other := taken[host]; other != nil {
				g.problems.add(r.source, "spec."+r.kind, ReasonRouteConflict,
					"is not used for %s: the older GWRoute %s uses this name on the listener %q: remove one of the two", host, other.source.Name, l.spec.Name)
				r.partial.first(ReasonRouteConflict, "the older GWRoute %s has %s", other.source.Name, host)
				continue
			}
			taken[host], wins = r, true
			chain := g.streamChain("tls/"+string(l.spec.Name)+"/"+host, "tls_"+string(l.spec.Name), string(l.spec.Name), r)
			chain.FilterChainMatch = matchSNI(host)
			if l.terminates && len(chain.Filters) > 0 {
				chain.TransportSocket = g.transportSocket(l.tls)
			}
			chains = append(chains, chain)
		}
		if !wins && len(taken) > 0 && !slices.ContainsFunc(r.domains(l), func(h string) bool { return owner(group, h) != l }) {
			r.partial = verdict{}
			for _, p := range r.parents {
				if slices.Contains(p.listeners, l) {
					p.refused.first(ReasonRouteConflict, "older routes use all of its names on the listener %q: remove one of them", l.spec.Name)
				}
			}
			continue
		}
		l.attached = append(l.attached, r)
	}
	if taken[l.hostname] == nil {
		chains = append(chains, refusingChain(l))
	}
	slices.SortFunc(chains, func(a, b *listenerv3.FilterChain) int { return strings.Compare(a.Name, b.Name) })
	return chains
}
