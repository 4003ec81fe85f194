// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"maps"
	"net/netip"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// services maps the UIDs of the Services of a proxy's routes to their state.
type services map[string]service

// service is the state of a Service, and the endpoint slices that it was read from.
type service struct {
	*translate.Service
	slices []*epicv1.GWEndpointSlice
}

// service returns the state of a Service. If it is unchanged, it returns the known value,
// which the translation recognizes quickly.
func (f *Feed) service(s *source, uid string, known services) service {
	all := f.o.Store.SlicesOf(s.id.Namespace, uid)
	before, ok := known[uid]
	if ok && sameObjects(before.slices, all) {
		return before
	}
	now := service{translate.ServiceOf(all), all}
	if ok && now.Equal(before.Service) {
		now.Service = before.Service
	}
	return now
}

// sameObjects reports whether two lists contain the same versions of objects, in any
// order.
func sameObjects[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(o T) bool { return !slices.Contains(b, o) })
}

// rendered is the rendered endpoints of one backend: those for pods without endpoints of
// their own, and those for each pod whose node is known.
type rendered struct {
	shared *resource.Resource
	own    map[string]*resource.Resource
	// troubles are the problems found while rendering.
	troubles []translate.Problem
	// Input of the rendering, in addition to the states of tunnels. Each change of it
	// triggers another rendering.
	backend *translate.Backend
	slices  []*epicv1.GWEndpointSlice
	pods    map[string]netip.Addr
	status  *epicv1.ProxyStatus
}

// keepRendered stores the endpoints of a backend and their problems. The caller holds the
// lock.
func (p *proxy) keepRendered(backend string, r rendered) {
	p.rendered[backend] = r
	if len(r.troubles) > 0 {
		p.troubles[backend] = r.troubles
	} else {
		delete(p.troubles, backend)
	}
}

// unchanged returns a function that reports whether rendering the endpoints of a backend
// again would yield the same result. So a translation only renders the backends that
// changed. The caller holds the lock.
func (f *Feed) unchanged(s *source, p *proxy) func(b *translate.Backend, before *rendered) bool {
	if s.lb != nil || p.template != nil {
		return func(*translate.Backend, *rendered) bool { return false }
	}
	// Most backends were rendered from the same status.
	compared, same := s.status, true
	return func(b *translate.Backend, before *rendered) bool {
		if compared != before.status {
			compared = before.status
			same = apiequality.Semantic.DeepEqual(compared.GUETunnelEndpoints, s.status.GUETunnelEndpoints)
		}
		if !same || before.backend == nil || !before.backend.Equal(b) || !maps.Equal(before.pods, p.pods) || !sameObjects(before.slices, f.slicesOf(s, b)) {
			return false
		}
		// Share the memory of equal values.
		before.backend, before.pods, before.status = b, p.pods, s.status
		return true
	}
}

// slicesOf returns the endpoint slices of a backend of a gateway proxy.
func (f *Feed) slicesOf(s *source, b *translate.Backend) []*epicv1.GWEndpointSlice {
	var all []*epicv1.GWEndpointSlice
	for _, m := range b.Members {
		all = append(all, f.o.Store.SlicesOf(s.id.Namespace, m.Service)...)
	}
	return all
}

// assign renders the endpoints of a backend. The caller holds the lock.
func (f *Feed) assign(s *source, b *translate.Backend, p *proxy) rendered {
	in := translate.EndpointsInput{Namespace: s.id.Namespace}
	out := rendered{own: map[string]*resource.Resource{}, pods: p.pods, status: s.status}
	if p.lb != nil {
		in.LoadBalancer = p.lb
		in.RemoteEndpoints = f.o.Store.RemoteEndpointsOf(s.id.Namespace, s.id.Name)
	} else {
		in.Slices = f.slicesOf(s, b)
		out.slices = in.Slices
		if p.template == nil {
			out.backend = b
		}
	}
	byNode := map[netip.Addr]*resource.Resource{}
	for pod, node := range p.pods {
		r := byNode[node]
		if r == nil {
			in.Reach = f.reach(s.status, node)
			r, _ = b.Assignment(in)
			r, _ = p.template.endpoints(s, r)
			byNode[node] = r
		}
		out.own[pod] = r
	}
	// A pod whose node is not known yet has no tunnels either.
	in.Reach = func(netip.Addr) translate.Reach { return translate.ReachUnknown }
	out.shared, out.troubles = b.Assignment(in)
	var refused []translate.Problem
	out.shared, refused = p.template.endpoints(s, out.shared)
	out.troubles = append(out.troubles, refused...)
	return out
}
