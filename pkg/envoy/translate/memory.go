// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/edge"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// memory is what a translation keeps for a later one of the same gateway proxy, so the
// cost of a change of one route is about that of translating one route. It is immutable
// once the translation is finished.
//
// It only contains a route if its translation depends on nothing but the route, the
// proxy's spec, the edge settings and the shape of its Services, and found no problem.
type memory struct {
	proxy    *epicv1.GWProxy
	edge     edge.Settings
	services map[string]*Service
	routes   map[routeKey]*rememberedRoute
	// clusters holds the clusters without TLS, whose content only depends on the edge
	// settings and their name.
	clusters map[string]*resource.Resource
}

// routeKey identifies one route of a GWRoute in exactly this version. The objects of the
// store are never modified.
type routeKey struct {
	object *epicv1.GWRoute
	kind   string
}

// rememberedRoute is the translation of a route.
type rememberedRoute struct {
	// matches is the number of matches in its rules.
	matches int
	// clusters lists the backends that it uses.
	clusters []usedCluster
	places   []rememberedPlace
}

// usedCluster is a backend of a route, and the name of its cluster.
type usedCluster struct {
	name   string
	member Member
}

// rememberedPlace identifies a hostname of a listener.
type rememberedPlace struct {
	// listener is the listener's field in the gateway proxy.
	listener string
	host     string
	routes   []encodedRoute
}

// at returns the translation of the route for a hostname of a listener, or false if it is
// not in the memory.
func (r *rememberedRoute) at(l *listener, host string) ([]encodedRoute, bool) {
	if r == nil {
		return nil, false
	}
	for i := range r.places {
		if p := &r.places[i]; p.listener == l.field && p.host == host {
			return p.routes, true
		}
	}
	return nil, false
}

// newMemory returns an empty memory for a translation, and the earlier one if it is valid
// for this translation, or nil.
func (g *gateway) newMemory() (now, earlier *memory) {
	now = &memory{
		proxy: g.in.Proxy, edge: g.edge, services: g.in.Services,
		routes: map[routeKey]*rememberedRoute{}, clusters: map[string]*resource.Resource{},
	}
	if g.in.Earlier == nil || g.in.Earlier.memory == nil {
		return now, nil
	}
	earlier = g.in.Earlier.memory
	if before := earlier.proxy; before != g.in.Proxy &&
		(before.UID != g.in.Proxy.UID || before.Namespace != g.in.Proxy.Namespace || before.Name != g.in.Proxy.Name ||
			!apiequality.Semantic.DeepEqual(before.Spec, g.in.Proxy.Spec)) {
		return now, nil
	}
	if !apiequality.Semantic.DeepEqual(earlier.edge, g.edge) {
		return now, nil
	}
	return now, earlier
}

// recall adds the remembered parts of a route to the translation, or returns nil if there
// are none.
func (g *gateway) recall(r *route) *rememberedRoute {
	key := routeKey{r.object, r.kind}
	if known, ok := g.memory.routes[key]; ok {
		return known
	}
	if g.earlier == nil {
		return nil
	}
	known := g.earlier.routes[key]
	if known == nil {
		return nil
	}
	for _, c := range known.clusters {
		now, before := g.in.Services[c.member.Service], g.earlier.services[c.member.Service]
		if now == nil || now != before && !now.Equal(before) {
			return nil
		}
		if _, ok := g.backends[c.name]; !ok && g.earlier.clusters[c.name] == nil {
			return nil
		}
	}
	for _, c := range known.clusters {
		if !g.shareCluster(r, c.name) && !g.reuseCluster(r, c) {
			return nil
		}
	}
	g.memory.routes[key] = known
	return known
}

// remember stores the translation of a route's rules if possible.
func (g *gateway) remember(r *route, rules []*rule, problems int) {
	key := routeKey{r.object, r.kind}
	if g.unforeseeable || len(g.problems) != problems || g.memory.routes[key] != nil {
		return
	}
	known := &rememberedRoute{clusters: slices.Clone(g.using)}
	for _, rule := range rules {
		known.matches += len(rule.matches)
	}
	g.memory.routes[key] = known
}

// rememberPlace stores the translation of a route for a hostname of a listener.
func (g *gateway) rememberPlace(l *listener, r *route, host string, routes []encodedRoute) {
	key := routeKey{r.object, r.kind}
	known := g.memory.routes[key]
	if known == nil {
		return
	}
	if g.earlier != nil && g.earlier.routes[key] == known {
		// The earlier translation shares it.
		known = &rememberedRoute{matches: known.matches, clusters: known.clusters, places: slices.Clone(known.places)}
		g.memory.routes[key] = known
	}
	known.places = append(known.places, rememberedPlace{listener: l.field, host: host, routes: routes})
}

// shareCluster records that a route uses an existing cluster. It returns false if it does
// not exist.
func (g *gateway) shareCluster(r *route, name string) bool {
	b, ok := g.backends[name]
	if ok && !slices.Contains(b.Sources, r.source) && len(b.Sources) < maxBackendSources {
		// The slice may be shared with an earlier result.
		b.Sources = append(slices.Clip(b.Sources), r.source)
		g.backends[name] = b
	}
	return ok
}

// reuseCluster adds a cluster of an earlier translation for a route. It returns false if
// there is none.
func (g *gateway) reuseCluster(r *route, c usedCluster) bool {
	if g.earlier == nil {
		return false
	}
	known := g.earlier.clusters[c.name]
	if known == nil {
		return false
	}
	if len(known.Sources) != 2 || known.Sources[0] != r.source || known.Sources[1] != g.proxy {
		known = &resource.Resource{Type: known.Type, Name: known.Name, Body: known.Body, Version: known.Version, Sources: []resource.Source{r.source, g.proxy}}
	}
	if g.resources.Add(known) != nil {
		return false
	}
	g.memory.clusters[c.name] = known
	g.backends[c.name] = Backend{Name: c.name, Members: []Member{c.member}, Sources: []resource.Source{r.source}}
	return true
}
