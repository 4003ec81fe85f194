// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
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
	go func() {
		for {
			select {
			case <-r.changed:
			case <-t.Context().Done():
				return
			}
		}
	}()
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
	// translated translates once more, and returns false so that until does it again.
	translated := func() bool {
		sets := r.server.count(gwID)
		r.feed.Translate(gwID)
		r.until("one more translation", func() bool { return r.server.count(gwID) > sets })
		return false
	}
	for _, service := range []string{"one", "two"} {
		r.must(epic.GWEndpointSlices(ns).Create(t.Context(), slice(service, "10.0.0.1"), metav1.CreateOptions{}))
		r.must(epic.GWRoutes(ns).Create(t.Context(), route(service), metav1.CreateOptions{}))
	}
	r.until("both backends", func() bool { return assignment("one") != nil && assignment("two") != nil })

	// News of what was created may come late and have endpoints rendered again: then the next
	// change shows it.
	r.until("a change of a route that keeps the endpoints", func() bool {
		one, two := assignment("one"), assignment("two")
		changed := route("two")
		path := "/path-" + changed.ResourceVersion
		changed.Generation, changed.Spec.HTTP.Rules[0].Matches[0].Path.Value = int64(version), &path
		r.must(epic.GWRoutes(ns).Update(t.Context(), changed, metav1.UpdateOptions{}))
		r.until("the change", func() bool {
			return bytes.Contains(r.server.config(gwID).Resources[routesKey].Body, []byte(path))
		})
		return assignment("one") == one && assignment("two") == two
	})
	r.until("a change of endpoints that keeps those of another backend", func() bool {
		one, two := assignment("one"), assignment("two")
		changed := slice("two", "")
		changed.Spec.Endpoints[0].Addresses[0] = "10.0.1." + changed.ResourceVersion
		r.must(epic.GWEndpointSlices(ns).Update(t.Context(), changed, metav1.UpdateOptions{}))
		r.until("the endpoints of two", func() bool { return assignment("two").Version != two.Version || translated() })
		return assignment("one") == one
	})

	// A tunnel, and a pod of which it is known where it runs.
	r.reach.Store(int32(7), translate.ReachUp)
	gw, err := epic.GWProxies(ns).Get(t.Context(), "gw", metav1.GetOptions{})
	r.must(nil, err)
	gw.ResourceVersion = next()
	gw.Status.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{"gw-0": {EPICNodeAddress: "192.0.2.9"}}
	gw.Status.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{"192.168.1.1": {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{"192.0.2.9": {TunnelID: 7}}}}
	r.must(epic.GWProxies(ns).UpdateStatus(t.Context(), gw, metav1.UpdateOptions{}))
	r.until("endpoints of the pod", func() bool { return len(r.server.config(gwID).Endpoints["gw-0"]) == 2 })
	r.until("a translation that keeps the endpoints of the pod", func() bool {
		one := assignment("one")
		translated()
		return assignment("one") == one && len(r.server.config(gwID).Endpoints["gw-0"]) == 2
	})

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
