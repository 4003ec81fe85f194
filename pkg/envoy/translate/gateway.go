// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"slices"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// gateway is the state while one gateway proxy is translated.
type gateway struct {
	*translation
	in        GatewayInput
	where     binding
	listeners []*listener
	routes    []*route
	// envoyRoutes is the number of Envoy's routes so far.
	envoyRoutes int
	rules       map[*route][]*rule
	// memory is for later translations, earlier the memory of an earlier one if it is
	// still valid.
	memory, earlier *memory
	// using lists the clusters of the route whose rules are being translated.
	// unforeseeable is set if they depend on something that is not in a memory.
	using         []usedCluster
	unforeseeable bool
}

// Gateway translates a gateway proxy with its routes.
func Gateway(in GatewayInput) *Result {
	g := &gateway{translation: newTranslation("GWProxy", in.Proxy, in.Group, in.Proxy.Spec.Edge), in: in, rules: map[*route][]*rule{}}
	g.now = in.Now
	g.memory, g.earlier = g.newMemory()
	g.where = bindingOf(in.Options, in.Proxy.Spec.PublicAddress, in.Proxy.Spec.AltAddress)
	g.readListeners()
	g.readRoutes()
	if len(g.where.addresses) == 0 {
		g.problems.add(g.proxy, "spec.public-address", ReasonAddressMissing, "is %q, on which no proxy can listen: leave it out, so the server assigns one", in.Proxy.Spec.PublicAddress)
	} else {
		g.renderPorts()
	}
	result := g.result()
	result.memory = g.memory
	for _, l := range g.listeners {
		result.Listeners = append(result.Listeners, l.status())
	}
	for _, r := range g.routes {
		result.Routes = append(result.Routes, r.status())
	}
	return result
}

// portKey is a port and its transport protocol.
type portKey struct {
	port     uint16
	protocol uint8
}

// renderPorts creates an Envoy listener for each port that has anything to serve.
func (g *gateway) renderPorts() {
	ports := map[portKey][]*listener{}
	for _, l := range g.listeners {
		if l.accepted() {
			ports[l.key()] = append(ports[l.key()], l)
		}
	}
	keys := make([]portKey, 0, len(ports))
	for k := range ports {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b portKey) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.port, b.port))
	})
	for _, k := range keys {
		group := ports[k]
		switch group[0].class {
		case classHTTP:
			g.renderHTTP(k, group)
		case classTLS:
			g.renderTLS(k, group)
		case classTCP:
			g.renderTCP(k, group[0])
		case classUDP:
			g.renderUDP(k, group[0])
		}
	}
}

// OwnRoutes returns the routes in the proxy's namespace that are not being deleted,
// oldest first. On conflicts, the oldest wins.
func OwnRoutes(proxy *epicv1.GWProxy, all []*epicv1.GWRoute) []*epicv1.GWRoute {
	var own []*epicv1.GWRoute
	for _, r := range all {
		if r != nil && r.Namespace == proxy.Namespace && r.DeletionTimestamp == nil {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b *epicv1.GWRoute) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return own
}

// sourcesOf returns the distinct objects of routes, and the proxy.
func (g *gateway) sourcesOf(routes []*route) []resource.Source {
	var sources []resource.Source
	seen := make(map[resource.Source]bool, len(routes))
	for _, r := range routes {
		if !seen[r.source] {
			seen[r.source] = true
			sources = append(sources, r.source)
		}
	}
	return append(sources, g.proxy)
}
