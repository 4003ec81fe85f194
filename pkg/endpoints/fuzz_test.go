// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// garbage makes objects of parts that fit together often enough to lead to
// endpoints, and that no server would let pass as often.
type garbage struct{ *rand.Rand }

func pick[T any](g garbage, from ...T) T { return from[g.IntN(len(from))] }

func maybe[T any](g garbage, from ...T) *T {
	if g.IntN(4) == 0 {
		return nil
	}
	v := pick(g, from...)
	return &v
}

func several[T any](g garbage, n int, one func() T) []T {
	var all []T
	for range g.IntN(n + 1) {
		all = append(all, one())
	}
	return all
}

func (g garbage) address() string {
	return pick(g, "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "2001:db8::1", "2001:DB8::1", "::ffff:10.0.0.1", "", "::1", "fe80::1%x", "224.0.0.1", "300.1.1.1", "0.0.0.0", "a.example.com")
}

func (g garbage) port() int32 { return pick[int32](g, 80, 80, 80, 80, 8080, 65535, 0, -1, 65536) }

func (g garbage) protocol() corev1.Protocol {
	return pick(g, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, "", "SCTP", "tcp")
}

func (g garbage) meta(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: ns, Name: name}
	switch g.IntN(12) {
	case 0:
		m.Namespace = "epic-two"
	case 1:
		m.DeletionTimestamp = &metav1.Time{}
	}
	return m
}

func (g garbage) remote(name string) *epicv1.RemoteEndpoint {
	m := g.meta(name)
	m.Labels = map[string]string{epic.OwningLoadBalancerLabel: pick(g, "web", "web", "web", "other")}
	return &epicv1.RemoteEndpoint{ObjectMeta: m, Spec: epicv1.RemoteEndpointSpec{
		Cluster: pick(g, "a", "a", "b", "b", "c"), Address: g.address(), NodeAddress: g.address(),
		Port: epicv1.EndpointPort{Port: g.port(), Protocol: g.protocol()},
	}}
}

func (g garbage) ref() gatewayv1.BackendObjectReference {
	return gatewayv1.BackendObjectReference{Name: pick[gatewayv1.ObjectName](g, "s", "t", ""), Port: maybe[int32](g, 80, 8080, 0, -1)}
}

func (g garbage) mirrors() []gatewayv1.HTTPRouteFilter {
	return several(g, 2, func() gatewayv1.HTTPRouteFilter {
		return gatewayv1.HTTPRouteFilter{RequestMirror: maybe(g, gatewayv1.HTTPRequestMirrorFilter{BackendRef: g.ref()})}
	})
}

func (g garbage) parents() gatewayv1.CommonRouteSpec {
	return gatewayv1.CommonRouteSpec{ParentRefs: several(g, 3, func() gatewayv1.ParentReference {
		return gatewayv1.ParentReference{Name: pick[gatewayv1.ObjectName](g, "web", "other")}
	})}
}

func (g garbage) route(name string) *epicv1.GWRoute {
	r := &epicv1.GWRoute{ObjectMeta: g.meta(name)}
	if g.IntN(3) > 0 {
		r.Spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: g.parents(),
			Rules: several(g, 2, func() gatewayv1.HTTPRouteRule {
				return gatewayv1.HTTPRouteRule{Filters: g.mirrors(), BackendRefs: several(g, 2, func() gatewayv1.HTTPBackendRef {
					return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: g.ref()}, Filters: g.mirrors()}
				})}
			}),
		}}
	}
	if g.IntN(3) == 0 {
		r.Spec.TCP = &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
			CommonRouteSpec: g.parents(),
			Rules: several(g, 2, func() gatewayv1.TCPRouteRule {
				return gatewayv1.TCPRouteRule{BackendRefs: []gatewayv1.BackendRef{{BackendObjectReference: g.ref()}}}
			}),
		}}
	}
	return r
}

func (g garbage) slice(name string) *epicv1.GWEndpointSlice {
	s := &epicv1.GWEndpointSlice{ObjectMeta: g.meta(name)}
	s.Annotations = map[string]string{ServicePortsAnnotation: pick(g, "", "", "80=web", "80", "=,=,80=a,x=y,99999999999=q")}
	s.Spec.ParentRef.UID = pick(g, "s", "t", "")
	s.Spec.NodeAddresses = map[string]string{"n1": g.address(), "": g.address()}
	s.Spec.Ports = several(g, 3, func() discoveryv1.EndpointPort {
		return discoveryv1.EndpointPort{Name: maybe(g, "web", "http", "a"), Port: maybe(g, g.port()), Protocol: maybe(g, g.protocol())}
	})
	s.Spec.Endpoints = several(g, 4, func() discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses:  several(g, 2, g.address),
			Conditions: discoveryv1.EndpointConditions{Ready: maybe(g, true, true, false), Terminating: maybe(g, false, false, true)},
			NodeName:   maybe(g, "n1", "n1", "n2", ""),
		}
	})
	return s
}

// FuzzEndpoints holds what always holds, whatever is in the objects: no panic,
// sound and sorted endpoints, each once, and the same results for the same
// objects in another order.
func FuzzEndpoints(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := garbage{rand.New(rand.NewPCG(seed, 0))}
		number := 0
		name := func() string { number++; return fmt.Sprint("o", number) }
		reps := several(g, 16, func() *epicv1.RemoteEndpoint { return g.remote(name()) })
		routes := several(g, 4, func() *epicv1.GWRoute { return g.route(name()) })
		all := several(g, 4, func() *epicv1.GWEndpointSlice { return g.slice(name()) })
		lb := balancer()
		lb.Spec.UpstreamClusters = []string{"a", "b"}
		lb.Spec.TrueIngress = maybe(g, true, true, false)
		proxy := &epicv1.GWProxy{ObjectMeta: lb.ObjectMeta}

		es, ps := OfLoadBalancer(lb, reps)
		sound(t, es, ps)
		slices.Reverse(reps)
		es2, ps2 := OfLoadBalancer(lb, reps)
		same(t, es, ps, es2, ps2)

		es, ps = OfGWProxy(proxy, routes, all)
		sound(t, es, ps)
		slices.Reverse(routes)
		slices.Reverse(all)
		es2, ps2 = OfGWProxy(proxy, routes, all)
		same(t, es, ps, es2, ps2)

		// One route leads where a proxy leads that has no other.
		for _, route := range routes {
			es, ps = OfGWRoute(route, all)
			sound(t, es, ps)
			if route.Namespace == proxy.Namespace && route.DeletionTimestamp == nil && slices.Contains(ProxiesOf(route), proxy.Name) {
				es2, ps2 = OfGWProxy(proxy, []*epicv1.GWRoute{route}, all)
				same(t, es, ps, es2, ps2)
			}
		}
		// A slice has the endpoints of all routes to it, at no port.
		for _, slice := range all {
			es, ps = OfGWEndpointSlice(slice)
			for i := range es {
				if es[i].Address.Port() != 0 {
					t.Errorf("endpoint %v has a port", es[i])
				}
				es[i].Address = netip.AddrPortFrom(es[i].Address.Addr(), 1)
			}
			sound(t, es, ps)
		}
	})
}

func sound(t *testing.T, es []Endpoint, ps []Problem) {
	t.Helper()
	for i, e := range es {
		a := e.Address.Addr()
		if !e.Address.IsValid() || e.Address.Port() == 0 || a.Is4In6() || a.Zone() != "" || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
			t.Errorf("endpoint %v has an address that no proxy may use", e)
		}
		if e.Protocol != protocolTCP && e.Protocol != protocolUDP {
			t.Errorf("endpoint %v has a protocol that no proxy carries", e)
		}
		if e.Node.Is4In6() || e.Node.Zone() != "" || e.Node.IsMulticast() || e.Node.IsValid() && e.Node.IsUnspecified() {
			t.Errorf("endpoint %v has a node at which no tunnel can end", e)
		}
		if i > 0 && (es[i-1].Address.Compare(e.Address) > 0 || es[i-1].Address == e.Address && es[i-1].Protocol >= e.Protocol) {
			t.Errorf("endpoint %v is not after %v", e, es[i-1])
		}
	}
	for i, p := range ps {
		if p.Reason == "" || p.Object == "" || p.Message == "" || p.Count < 1 {
			t.Errorf("problem %+v says too little", p)
		}
		if i > 0 && ps[i-1].Reason == p.Reason && ps[i-1].Object == p.Object {
			t.Errorf("problem %+v is there twice", p)
		}
	}
}

// same compares the results of two orders of the input.
func same(t *testing.T, es []Endpoint, ps []Problem, es2 []Endpoint, ps2 []Problem) {
	t.Helper()
	if diff := cmp.Diff(es, es2, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("the order of the input changes the endpoints:\n%s", diff)
	}
	if diff := cmp.Diff(ps, ps2); diff != "" {
		t.Errorf("the order of the input changes the problems:\n%s", diff)
	}
}
