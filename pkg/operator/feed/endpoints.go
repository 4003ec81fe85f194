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

// services are the Services of a proxy's routes, by UID.
type services map[string]service

// service is what is known of a Service, and the endpoint slices that it is known from.
type service struct {
	*translate.Service
	slices []*epicv1.GWEndpointSlice
}

// service returns a Service. If it is as it was known before, that is returned again, which
// the translation tells at once.
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

// sameObjects reports whether two lists have the same versions of objects, in any order.
func sameObjects[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(o T) bool { return !slices.Contains(b, o) })
}

// rendered are the endpoints of one backend: what each pod gets that has none of its
// own, and those of pods of which it is known where they run.
type rendered struct {
	shared *resource.Resource
	own    map[string]*resource.Resource
	// troubles are the problems that were found.
	troubles []translate.Problem
	// What they were rendered from, besides the states of tunnels: each change of these
	// has them rendered again.
	backend *translate.Backend
	slices  []*epicv1.GWEndpointSlice
	pods    map[string]netip.Addr
	status  *epicv1.ProxyStatus
}

// keepRendered keeps the endpoints of a backend and their problems. The lock is held.
func (p *proxy) keepRendered(backend string, r rendered) {
	p.rendered[backend] = r
	if len(r.troubles) > 0 {
		p.troubles[backend] = r.troubles
	} else {
		delete(p.troubles, backend)
	}
}

// unchanged returns a function that reports whether rendering the endpoints of a backend
// again would yield the same. So a translation renders those of the backends that changed.
// The lock is held.
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
		// Equal values do not need memory of their own.
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

// assign renders the endpoints of a backend. The lock is held.
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
	// A pod of which it is not known yet where it runs has no tunnels yet either.
	in.Reach = func(netip.Addr) translate.Reach { return translate.ReachUnknown }
	out.shared, out.troubles = b.Assignment(in)
	var refused []translate.Problem
	out.shared, refused = p.template.endpoints(s, out.shared)
	out.troubles = append(out.troubles, refused...)
	return out
}
