// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func testLoadBalancer(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("lb"), "web")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.16")
	w.eventually(lb, noProxies)
	w.pod(lb, "p1", "172.16.0.1")
	first := w.eventually(lb, ready, "192.168.1.16>172.16.0.1")

	// Another pod on the node, and another proxy on the gateway node, do not need a
	// tunnel of their own.
	w.endpoint(lb, "b", "10.0.0.2", "192.168.1.16")
	w.pod(lb, "p2", "172.16.0.1")
	w.removeEndpoint(lb, "a")
	w.endpoint(lb, "c", "10.0.0.3", "192.168.1.17")
	w.pod(lb, "p3", "172.16.0.2")
	all := w.eventually(lb, ready, "192.168.1.16>172.16.0.1", "192.168.1.16>172.16.0.2", "192.168.1.17>172.16.0.1", "192.168.1.17>172.16.0.2")
	if all["192.168.1.16>172.16.0.1"] != first["192.168.1.16>172.16.0.1"] {
		w.t.Errorf("the first tunnel had the ID %v and has %v", first, all)
	}

	// Nodes go, their endpoints and proxies with them.
	w.pod(lb, "p1", "")
	w.removeEndpoint(lb, "b")
	w.eventually(lb, ready, "192.168.1.17>172.16.0.1", "192.168.1.17>172.16.0.2")
	w.pod(lb, "p2", "")
	w.eventually(lb, ready, "192.168.1.17>172.16.0.2")
	// The endpoint moves to another node.
	must(w.t)(w.api.RemoteEndpoints(lb.ns).Patch(w.t.Context(), "c", types.MergePatchType, []byte(`{"spec": {"node-address": "2001:db8::1"}}`), metav1.PatchOptions{}))
	w.eventually(lb, ready, "2001:db8::1>172.16.0.2")
	// A cluster that is not listed is not used.
	must(w.t)(w.api.LoadBalancers(lb.ns).Patch(w.t.Context(), lb.name, types.MergePatchType, []byte(`{"spec": {"upstream-clusters": ["d"]}}`), metav1.PatchOptions{}))
	w.eventually(lb, "NoEndpoints=False ClusterNotListed=False")
	w.removeEndpoint(lb, "c")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
}

func testWithoutNodes(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("nodeless"), "web")
	w.pod(lb, "p1", "172.16.0.1")
	w.endpoint(lb, "a", "10.0.0.1", "")
	w.eventually(lb, "NoNodes=False EndpointWithoutNode=False")
	w.endpoint(lb, "b", "10.0.0.2", "192.168.1.1")
	w.eventually(lb, "Assigned=True EndpointWithoutNode=False", "192.168.1.1>172.16.0.1")
	_, status := w.get(lb)
	if c := meta.FindStatusCondition(status.Conditions, ConditionEndpointsResolved); !strings.HasPrefix(c.Message, "RemoteEndpoint a: ") {
		w.t.Errorf("the message is %q", c.Message)
	}

	proxy := w.gwProxy(lb.ns, "gateway")
	w.pod(proxy, "p1", "172.16.0.1")
	w.route(proxy, "r", "svc", 80)
	w.slice(lb.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	w.change(lb.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].NodeName = nil })
	w.eventually(proxy, "Assigned=True EndpointWithoutNode=False", "192.168.1.2>172.16.0.1")
}

func testDirect(w *world) {
	w.start()
	lb := w.directLoadBalancer(w.account("direct"), "web")
	w.pod(lb, "p1", "172.16.0.1")
	w.endpoint(lb, "a", "203.0.114.1", "192.168.1.1")
	w.eventually(lb, "NotNeeded=True Resolved=True")
}

func testPorts(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("ports"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	must(w.t)(nil, w.patchStatus(lb, `{"proxy-if-info": {"p1": {"epic-node-address": "172.16.0.1", "epic-port": {"port": 7000, "appProtocol": "gue"}}, "p2": {}}}`))
	before := w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	port := func(want int32) {
		w.t.Helper()
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(lb)
			entry := status.GUETunnelEndpoints["192.168.1.1"]
			if entry.EPICPort.Port == want && entry.EPICEndpoints["172.16.0.1"].EPICPort.Port == want && entry.EPICPort.Protocol == "UDP" {
				return
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("the tunnel has %+v, not the port %d", entry, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	port(7000)
	must(w.t)(nil, w.patchStatus(lb, `{"proxy-if-info": {"p1": {"epic-port": null}}}`))
	port(6080)
	if after := w.eventually(lb, ready, "192.168.1.1>172.16.0.1"); !maps.Equal(before, after) {
		w.t.Errorf("the ID was %v and is %v", before, after)
	}
}
