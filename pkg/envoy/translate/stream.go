// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// streamRules returns the lists of backends in a route's rules.
func (r *route) streamRules() [][]gatewayv1.BackendRef {
	var all [][]gatewayv1.BackendRef
	switch spec := &r.object.Spec; r.kind {
	case "tls":
		for i := range spec.TLS.Rules {
			all = append(all, spec.TLS.Rules[i].BackendRefs)
		}
	case "tcp":
		for i := range spec.TCP.Rules {
			all = append(all, spec.TCP.Rules[i].BackendRefs)
		}
	case "udp":
		for i := range spec.UDP.Rules {
			all = append(all, spec.UDP.Rules[i].BackendRefs)
		}
	}
	return all
}

// streamBackends returns the backends of the first rule of a route. Connections of
// several rules can't be distinguished, so the others are reported.
func (g *gateway) streamBackends(r *route) []gatewayv1.BackendRef {
	rules := r.streamRules()
	if len(rules) > 1 {
		g.unsupported(r, fmt.Sprintf("spec.%s.rules[1]", r.kind), string(gatewayv1.RouteReasonUnsupportedValue),
			"is not used, because its connections can't be distinguished from those of the first rule: use one rule")
	}
	if len(rules) == 0 {
		return nil
	}
	return rules[0]
}

// shares returns the clusters of a route's connections with their weights. Connections
// for backends that can't be resolved are closed.
func (g *gateway) shares(r *route) []share {
	var all []share
	refs := g.streamBackends(r)
	for i := range refs {
		field := fmt.Sprintf("spec.%s.rules[0].backendRefs[%d]", r.kind, i)
		cluster := g.clusterOf(r, field, &refs[i].BackendObjectReference, useTCP)
		weight := uint32(1)
		if refs[i].Weight != nil {
			weight = uint32(max(*refs[i].Weight, 0))
		}
		all = append(all, share{cluster, weight})
	}
	return all
}

// streamChain returns a filter chain that forwards connections. A route without
// backends closes them.
func (g *gateway) streamChain(name, stat, listener string, r *route) *listenerv3.FilterChain {
	chain := &listenerv3.FilterChain{Name: name}
	if forward := g.tcpProxy(stat, literal(r.source.Name+"/"+r.kind+"/0"), g.shares(r)); forward != nil {
		chain.Filters = append(g.admission(stat, listener), forward)
	}
	return chain
}

// oldest returns the route of a listener that takes precedence if only one can be served.
// The others are refused.
func (g *gateway) oldest(l *listener) *route {
	for _, later := range l.attached[1:] {
		message := fmt.Sprintf("the listener %q already has one, the older GWRoute %s, and their connections can't be distinguished: remove one of the two, or use another port", l.spec.Name, l.attached[0].source.Name)
		for _, p := range later.parents {
			if slices.Contains(p.listeners, l) {
				p.refused.first(ReasonRouteConflict, "%s", message)
			}
		}
		g.problems.add(later.source, "spec."+later.kind, ReasonRouteConflict, "%s", message)
	}
	l.attached = l.attached[:1]
	return l.attached[0]
}

// renderTCP creates the listener of a port for TCP. Without a route, the kernel refuses
// connections.
func (g *gateway) renderTCP(k portKey, l *listener) {
	if len(l.attached) == 0 {
		return
	}
	r := g.oldest(l)
	envoy := g.listener(g.where, k.protocol, k.port)
	envoy.FilterChains = []*listenerv3.FilterChain{g.streamChain("tcp", fmt.Sprintf("port_%d", k.port), envoy.Name, r)}
	g.put(resource.Listener, envoy.Name, envoy, g.sourcesOf(l.attached)...)
}

// renderUDP creates the listener of a port for UDP. The backends of a route are one
// cluster, whose endpoints have the weights.
func (g *gateway) renderUDP(k portKey, l *listener) {
	if len(l.attached) == 0 {
		return
	}
	r := g.oldest(l)
	b := Backend{Name: listenerName(k.protocol, k.port), Sources: []resource.Source{r.source}}
	refs := g.streamBackends(r)
	for i := range refs {
		m, ok := g.memberOf(r, fmt.Sprintf("spec.udp.rules[0].backendRefs[%d]", i), &refs[i].BackendObjectReference, useUDP)
		m.Weight = 1
		if refs[i].Weight != nil {
			m.Weight = *refs[i].Weight
		}
		if ok && m.Weight > 0 {
			b.Members = append(b.Members, m)
		}
	}
	cluster := g.cluster(b.Name)
	cluster.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	if len(b.Members) > 1 {
		// This is the only policy whose choices follow the weights exactly, regardless of
		// the load.
		cluster.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	}
	envoy := g.listener(g.where, k.protocol, k.port)
	stat := fmt.Sprintf("port_%d", k.port)
	envoy.ListenerFilters = []*listenerv3.ListenerFilter{g.udpProxy(stat, literal(r.source.Name+"/udp/0"), b.Name)}
	if g.put(resource.Cluster, b.Name, cluster, r.source, g.proxy) && g.put(resource.Listener, envoy.Name, envoy, g.sourcesOf(l.attached)...) {
		g.backends[b.Name] = b
	}
}
