// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// A translation renders the endpoints of the backends that it must, and takes those of the
// others as they are.
func TestRenderedAgain(t *testing.T) {
	r := newRig(t)
	r.gateway()
	version := 1
	next := func() string {
		version++
		return fmt.Sprint(version)
	}
	route := func(service string) *epicv1.GWRoute {
		spec := gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}}}
		ref := gatewayv1.HTTPBackendRef{}
		ref.Name, ref.Port = gatewayv1.ObjectName(service), ptr.To[gatewayv1.PortNumber](80)
		spec.Rules = []gatewayv1.HTTPRouteRule{{
			Matches:     []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: ptr.To("/" + service)}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{ref},
		}}
		return &epicv1.GWRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: service, UID: "r-1", ResourceVersion: next(), Generation: 1},
			Spec:       epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}},
		}
	}
	slice := func(service, address string) *epicv1.GWEndpointSlice {
		return &epicv1.GWEndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: service, UID: "s-1", ResourceVersion: next(), Generation: int64(version)},
			Spec: epicv1.GWEndpointSliceSpec{
				ParentRef: epicv1.ClientRef{UID: service}, NodeAddresses: map[string]string{"n": "192.168.1.1"}, AddressType: discoveryv1.AddressTypeIPv4,
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}, NodeName: ptr.To("n")}},
				Ports:     []discoveryv1.EndpointPort{{Port: ptr.To[int32](80), Protocol: ptr.To(corev1.ProtocolTCP)}},
			},
		}
	}
	epic := r.client.EpicV1()
	assignment := func(service string) *resource.Resource {
		return r.server.config(gwID).Resources[resource.Key{Type: resource.Endpoint, Name: service + "/80"}]
	}
	// settled waits until a change was translated, and everything that waited with it.
	settled := func(what string, is func() bool) {
		t.Helper()
		r.until(what, is)
		r.until("an empty queue", func() bool { return r.feed.whole.Len() == 0 && r.feed.endpoints.Len() == 0 })
		sets := r.server.count(gwID)
		r.feed.Translate(gwID)
		r.until("one more translation", func() bool { return r.server.count(gwID) > sets })
	}
	for _, service := range []string{"one", "two"} {
		r.must(epic.GWEndpointSlices(ns).Create(t.Context(), slice(service, "10.0.0.1"), metav1.CreateOptions{}))
		r.must(epic.GWRoutes(ns).Create(t.Context(), route(service), metav1.CreateOptions{}))
	}
	settled("both backends", func() bool { return assignment("one") != nil && assignment("two") != nil })

	one, two := assignment("one"), assignment("two")
	changed := route("two")
	changed.Generation, changed.Spec.HTTP.Rules[0].Matches[0].Path.Value = 2, ptr.To("/2")
	r.must(epic.GWRoutes(ns).Update(t.Context(), changed, metav1.UpdateOptions{}))
	settled("the change", func() bool { return r.statuses() != "" })
	if assignment("one") != one || assignment("two") != two {
		t.Error("a change of a route had endpoints rendered again")
	}

	r.must(epic.GWEndpointSlices(ns).Update(t.Context(), slice("two", "10.0.0.2"), metav1.UpdateOptions{}))
	settled("the endpoints of two", func() bool { return r.server.get(gwID.String()) == "10.0.0.2:80" })
	if assignment("one") != one || assignment("two").Version == two.Version {
		t.Error("a change of endpoints did not have them rendered again, or others as well")
	}

	// A tunnel, and a pod of which it is known where it runs.
	r.reach.Store(int32(7), translate.ReachUp)
	gw, err := epic.GWProxies(ns).Get(t.Context(), "gw", metav1.GetOptions{})
	r.must(nil, err)
	gw.ResourceVersion = next()
	gw.Status.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{"gw-0": {EPICNodeAddress: "192.0.2.9"}}
	gw.Status.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{"192.168.1.1": {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{"192.0.2.9": {TunnelID: 7}}}}
	r.must(epic.GWProxies(ns).UpdateStatus(t.Context(), gw, metav1.UpdateOptions{}))
	settled("endpoints of the pod", func() bool { return len(r.server.config(gwID).Endpoints["gw-0"]) == 2 })
	one = assignment("one")
	settled("the same again", func() bool { return true })
	if assignment("one") != one || len(r.server.config(gwID).Endpoints["gw-0"]) != 2 {
		t.Error("endpoints of a pod were rendered again, or are gone")
	}

	// Everything that endpoints are rendered from counts.
	p := r.feed.state(gwID, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	is := r.feed.unchanged(r.feed.source(gwID), p)
	backend := &p.result.Backends[0]
	for what, change := range map[string]func(*rendered){
		"nothing": func(*rendered) {},
		"slices":  func(r *rendered) { r.slices = []*epicv1.GWEndpointSlice{slice("one", "10.0.0.1")} },
		"pods":    func(r *rendered) { r.pods = nil },
		"tunnels": func(r *rendered) { r.status = &epicv1.ProxyStatus{} },
		"backend": func(r *rendered) { r.backend = &p.result.Backends[1] },
		"origin":  func(r *rendered) { r.backend = nil },
	} {
		before := p.rendered[backend.Name]
		change(&before)
		if got, want := is(backend, &before), what == "nothing"; got != want {
			t.Errorf("after a change of %s, unchanged: %v, want %v", what, got, want)
		}
	}
}
