// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const gatewayNode = "172.16.0.1"

// withTunnels is a load balancer with one proxy and tunnels to the first n nodes.
func withTunnels(n int) *epicv1.LoadBalancer {
	lb := &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop", UID: "u", Generation: 1},
		Status: epicv1.ProxyStatus{
			ProxyIfInfo:        map[string]epicv1.ProxyInterfaceInfo{"p": {EPICNodeAddress: gatewayNode}},
			GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{},
		},
	}
	for i := range n {
		lb.Status.GUETunnelEndpoints[nodeOf(i)] = epicv1.TunnelEndpoint{EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{gatewayNode: {TunnelID: int32(i + 1)}}}
	}
	return lb
}

func nodeOf(i int) string { return fmt.Sprintf("10.%d.%d.1", i/256, i%256) }

// looks counts the endpoints that changes of a load balancer add to the queue.
func looks(t *testing.T, endpoints int) (handler cache.ResourceEventHandler, count *int) {
	t.Helper()
	reps := cache.NewIndexer(cache.MetaNamespaceKeyFunc, remoteEndpointIndexes)
	for i := range endpoints {
		if err := reps.Add(&epicv1.RemoteEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint("rep-", i), Labels: map[string]string{epic.OwningLoadBalancerLabel: "shop"}},
			Spec:       epicv1.RemoteEndpointSpec{NodeAddress: nodeOf(i)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	count = new(int)
	return loadBalancerHandler(func(index, value string) {
		*count += len(keysOf(lookUp[*epicv1.RemoteEndpoint](reps, index, value)))
	}), count
}

// A load balancer whose tunnels come one after the other costs a few looks at each
// endpoint, and not one at every endpoint for each tunnel.
func TestLooksAtEndpointsAreLinear(t *testing.T) {
	for _, endpoints := range []int{100, 1000} {
		handler, count := looks(t, endpoints)
		handler.OnAdd(withTunnels(0), false)
		for i := range endpoints {
			handler.OnUpdate(withTunnels(i), withTunnels(i+1))
			// The controller's conditions, a node's entry, and a resync follow.
			told, entry := withTunnels(i+1), withTunnels(i+1)
			told.Status.Conditions = []metav1.Condition{{Type: "Ready"}}
			entry.Status.ProxyIfInfo["q"] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: gatewayNode}
			handler.OnUpdate(withTunnels(i+1), told)
			handler.OnUpdate(told, entry)
			handler.OnUpdate(entry, entry)
		}
		handler.OnDelete(cache.DeletedFinalStateUnknown{Obj: withTunnels(endpoints)})
		if want := 3 * endpoints; *count != want {
			t.Errorf("%d looks at %d endpoints, want %d", *count, endpoints, want)
		}
	}
}

// What may change the conditions of endpoints leads to a look at them.
func TestChangesThatConcernEndpoints(t *testing.T) {
	const endpoints = 5
	for name, test := range map[string]struct {
		change func(*epicv1.LoadBalancer)
		want   int
	}{
		"nothing":              {func(*epicv1.LoadBalancer) {}, 0},
		"the spec":             {func(lb *epicv1.LoadBalancer) { lb.Generation++; lb.Spec.TrueIngress = ptr.To(false) }, endpoints},
		"another of that name": {func(lb *epicv1.LoadBalancer) { lb.UID = types.UID("v") }, endpoints},
		"deletion":             {func(lb *epicv1.LoadBalancer) { lb.DeletionTimestamp = &metav1.Time{} }, endpoints},
		"no proxy any more":    {func(lb *epicv1.LoadBalancer) { lb.Status.ProxyIfInfo = nil }, endpoints},
		"a tunnel goes":        {func(lb *epicv1.LoadBalancer) { delete(lb.Status.GUETunnelEndpoints, nodeOf(1)) }, 1},
		"a tunnel comes":       {func(lb *epicv1.LoadBalancer) { lb.Status = withTunnels(4).Status }, 1},
		"an ID goes": {func(lb *epicv1.LoadBalancer) {
			lb.Status.GUETunnelEndpoints[nodeOf(2)] = epicv1.TunnelEndpoint{EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{gatewayNode: {}}}
		}, 1},
		"two tunnels": {func(lb *epicv1.LoadBalancer) { lb.Status = withTunnels(5).Status }, 2},
	} {
		handler, count := looks(t, endpoints)
		now := withTunnels(3)
		test.change(now)
		handler.OnUpdate(withTunnels(3), now)
		if *count != test.want {
			t.Errorf("%s: %d looks, want %d", name, *count, test.want)
		}
	}
}

// A reconciler does not look at the object again after its own write, unless it decided
// something from an older version in between.
func TestOwnWrites(t *testing.T) {
	k := newTunnelReconciler("test-own-writes", nil)
	key := cache.NewObjectName("ns", "shop")
	matters := notOwnWrite[*epicv1.LoadBalancer](k)
	at := func(version string) *epicv1.LoadBalancer {
		lb := withTunnels(0)
		lb.ResourceVersion = version
		return lb
	}
	if !matters(at("1"), at("2")) {
		t.Error("another's write does not matter")
	}
	k.memory.update(key, func(r *remembered) { r.version = "2" })
	if matters(at("1"), at("2")) {
		t.Error("its own write matters")
	}
	if !matters(at("2"), at("2")) || !matters(at("2"), at("3")) {
		t.Error("a resync or a later write does not matter")
	}
	k.memory.forget(key)
	if !matters(at("1"), at("2")) {
		t.Error("a write of a forgotten object does not matter")
	}
}

// Changes of the endpoints of a large object wait for more of them, in proportion
// to its size.
func TestWait(t *testing.T) {
	var m memory
	key := cache.NewObjectName("ns", "shop")
	if m.wait(key) != 0 {
		t.Error("an unknown object waits")
	}
	for endpoints, want := range map[int]int{0: 0, freeEndpoints: 0, freeEndpoints + 1: 1, 1500: 1500 - freeEndpoints} {
		m.update(key, func(r *remembered) { r.endpoints = endpoints })
		if got := m.wait(key); got != waitPerEndpoint*time.Duration(want) {
			t.Errorf("%d endpoints wait %s", endpoints, got)
		}
	}
}
