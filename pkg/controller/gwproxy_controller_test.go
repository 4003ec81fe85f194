// SPDX-License-Identifier: Apache-2.0

package controller

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func testGWProxy(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("gateway"), "web")
	w.pod(proxy, "p1", "172.16.0.1")
	w.route(proxy, "r", "svc", 8080)
	w.eventually(proxy, "NoEndpoints=False BackendWithoutSlices=False")
	w.slice(proxy.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	first := w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")

	// Not ready; then terminating; then ready again, with a new ID or the old one.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Ready = ptr.To(false) })
	w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Ready = ptr.To(true) })
	w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Terminating = ptr.To(true) })
	last := w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	if first["192.168.1.2>172.16.0.1"] != last["192.168.1.2>172.16.0.1"] {
		w.t.Errorf("the tunnel that stayed had the ID %v and has %v", first, last)
	}

	// Several ports: the one that the route means, or none.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) {
		s.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("a"), Port: ptr.To[int32](1)}, {Name: ptr.To("b"), Port: ptr.To[int32](2)}}
	})
	w.eventually(proxy, "NoEndpoints=False PortAmbiguous=False")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Ports[1].Port = ptr.To[int32](8080) })
	w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Ports = nil })
	w.eventually(proxy, "NoEndpoints=False PortMissing=False")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) {
		s.Ports, s.NodeAddresses["node-1"] = []discoveryv1.EndpointPort{{Port: ptr.To[int32](7)}}, "192.168.1.3"
	})
	w.eventually(proxy, ready, "192.168.1.3>172.16.0.1")

	// The slice goes to another Service, of another route.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.ParentRef.UID = "other" })
	w.eventually(proxy, "NoEndpoints=False BackendWithoutSlices=False")
	w.route(proxy, "q", "other", 80)
	w.eventually(proxy, "Assigned=True BackendWithoutSlices=False", "192.168.1.3>172.16.0.1")
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "r", metav1.DeleteOptions{}))
	w.eventually(proxy, ready, "192.168.1.3>172.16.0.1")
	must(w.t)(nil, w.api.GWEndpointSlices(proxy.ns).Delete(w.t.Context(), "s", metav1.DeleteOptions{}))
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "q", metav1.DeleteOptions{}))
	w.eventually(proxy, "NoEndpoints=False NoEndpoints=False")
}

// testSharedBackend changes the backend of several proxies of one route.
func testSharedBackend(w *world) {
	w.start()
	ns := w.account("shared")
	a, b := w.gwProxy(ns, "a"), w.gwProxy(ns, "b")
	w.pod(a, "p", "172.16.0.1")
	w.pod(b, "p", "172.16.0.2")
	w.route(a, "r", "svc", 80)
	w.slice(ns, "s", "svc", "192.168.1.1")
	w.eventually(a, ready, "192.168.1.1>172.16.0.1")
	must(w.t)(w.api.GWRoutes(ns).Patch(w.t.Context(), "r", types.MergePatchType, []byte(`{"spec": {"http": {"parentRefs": [{"name": "a"}, {"name": "b"}]}}}`), metav1.PatchOptions{}))
	w.eventually(b, ready, "192.168.1.1>172.16.0.2")
	w.change(ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses["node-0"] = "192.168.1.2" })
	w.eventually(a, ready, "192.168.1.2>172.16.0.1")
	w.eventually(b, ready, "192.168.1.2>172.16.0.2")
	// One proxy leaves the route.
	must(w.t)(w.api.GWRoutes(ns).Patch(w.t.Context(), "r", types.MergePatchType, []byte(`{"spec": {"http": {"parentRefs": [{"name": "b"}]}}}`), metav1.PatchOptions{}))
	w.eventually(a, "NoEndpoints=False NoEndpoints=False")
	w.eventually(b, ready, "192.168.1.2>172.16.0.2")
}
