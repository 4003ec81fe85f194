// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
)

// eviction is a controller's view of two gateway nodes that are silent, before the
// look at which they are evicted, and a server that checks the preconditions of
// patches as the real one does.
type eviction struct {
	t         *testing.T
	nodes     *gatewayNodes
	stored    *epicv1.EPIC
	patches   []map[string]any
	conflicts int
	// between runs after the object was read and before it is patched.
	between func(*epicv1.EPIC)
}

func newEviction(t *testing.T) *eviction {
	e := &eviction{t: t, stored: &epicv1.EPIC{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName, UID: "the-uid", ResourceVersion: "7"},
		Status:     epicv1.EPICStatus{Nodes: heard(map[string]time.Duration{"192.0.2.1": 0, "192.0.2.2": 0})},
	}}
	client := fake.NewSimpleClientset()
	client.PrependReactor("get", "epics", func(clienttesting.Action) (bool, runtime.Object, error) { return true, e.stored.DeepCopy(), nil })
	client.PrependReactor("patch", "epics", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if e.between != nil {
			e.between(e.stored)
			e.between = nil
		}
		return e.patch(action.(clienttesting.PatchAction).GetPatch())
	})
	e.nodes = newGatewayNodes(client, time.Hour, time.Minute)
	e.nodes.now = func() time.Time { return start.Add(5 * time.Hour) }
	for range confirmations - 1 {
		e.look()
	}
	return e
}

func (e *eviction) look() {
	e.t.Helper()
	if err := e.nodes.look(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}

func (e *eviction) patch(data []byte) (bool, runtime.Object, error) {
	var body struct {
		Metadata struct{ UID, ResourceVersion string }
		Status   map[string]map[string]any
	}
	var all map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		e.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		e.t.Fatal(err)
	}
	e.patches = append(e.patches, all)
	if body.Metadata.UID != string(e.stored.UID) || body.Metadata.ResourceVersion != e.stored.ResourceVersion {
		e.conflicts++
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "epics"}, epic.ConfigName, nil)
	}
	for node, value := range body.Status["nodes"] {
		if value != nil {
			e.t.Errorf("the entry of %s is written: %v", node, value)
		}
		delete(e.stored.Status.Nodes, node)
	}
	e.stored.ResourceVersion += "0"
	return true, e.stored.DeepCopy(), nil
}

func (e *eviction) left() []string { return slices.Sorted(maps.Keys(e.stored.Status.Nodes)) }

// Two nodes go in one look, by one patch, which holds for the version that was read.
func TestEvictedNodesAreRemoved(t *testing.T) {
	e := newEviction(t)
	if len(e.patches) != 0 {
		t.Fatalf("written too early: %v", e.patches)
	}
	e.look()
	if len(e.left()) != 0 || e.conflicts != 0 || len(e.patches) != 1 {
		t.Errorf("left %v after %d patches, %d conflicts", e.left(), len(e.patches), e.conflicts)
	}
	for _, p := range e.patches {
		if metadata, _ := p["metadata"].(map[string]any); len(p) != 2 || metadata["uid"] != "the-uid" || metadata["resourceVersion"] == nil {
			t.Errorf("the patch is %v", p)
		}
	}
}

// A node that sends a heartbeat after it was looked at keeps its entry, whoever
// else is silent; so does every node of an EPIC object that was created again.
func TestConcurrentHeartbeat(t *testing.T) {
	for name, between := range map[string]func(*epicv1.EPIC){
		"a heartbeat": func(o *epicv1.EPIC) {
			o.ResourceVersion = "8"
			o.Status.Nodes["192.0.2.1"] = epicv1.EPICNodeStatus{HeartbeatTime: metav1.NewTime(start.Add(5 * time.Hour))}
			o.Status.Nodes["192.0.2.2"] = epicv1.EPICNodeStatus{HeartbeatTime: metav1.NewTime(start.Add(5 * time.Hour))}
		},
		"another object": func(o *epicv1.EPIC) { o.UID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEviction(t)
			e.between = between
			e.look()
			if len(e.left()) != 2 || e.conflicts == 0 {
				t.Errorf("left %v, %d conflicts", e.left(), e.conflicts)
			}
		})
	}
}

// A node's entry goes after all of its proxies: whoever is interrupted in between
// finds the entry, and continues.
func TestProxiesGoBeforeTheNode(t *testing.T) {
	e := newEviction(t)
	lbs, gws := cache.NewIndexer(cache.MetaNamespaceKeyFunc, loadBalancerIndexes), cache.NewIndexer(cache.MetaNamespaceKeyFunc, proxyIndexes)
	lb, gw := newTunnelReconciler("test-order-lb", nil), newTunnelReconciler("test-order-gw", nil)
	e.nodes.proxies, e.nodes.queues = []cache.Indexer{lbs, gws}, []*reconciler{lb.reconciler, gw.reconciler}
	runs := epicv1.ProxyStatus{ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{"p": {EPICNodeAddress: "192.0.2.1"}}}
	shop := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}, Status: runs}
	gate := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gate"}, Status: runs}
	for _, err := range []error{lbs.Add(shop), gws.Add(gate)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, want ...string) {
		t.Helper()
		e.look()
		if !slices.Equal(e.left(), want) {
			t.Errorf("%s: left %v, want %v", when, e.left(), want)
		}
	}
	expect("proxies of both kinds run there", "192.0.2.1")
	for _, k := range []*tunnelReconciler{lb, gw} {
		if k.queue.Len() != 1 {
			t.Errorf("%s: %d objects are queued", k.name, k.queue.Len())
		}
	}
	if err := lbs.Delete(shop); err != nil {
		t.Fatal(err)
	}
	expect("a gateway proxy runs there", "192.0.2.1")
	if err := gws.Delete(gate); err != nil {
		t.Fatal(err)
	}
	expect("no proxy runs there")
}

// A node that has an object of its own is evicted by its deletion, unless the node
// wrote it since it was read. The entry of an upgraded node in the EPIC object goes
// even if no node is silent.
func TestEvictionOfNodesWithObjects(t *testing.T) {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(start.Add(d)) }
	node := func(name, version string, heartbeat time.Duration) epicv1.GatewayNode {
		return epicv1.GatewayNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: name, UID: types.UID("uid-" + name), ResourceVersion: version},
			Status:     epicv1.GatewayNodeStatus{HeartbeatTime: at(heartbeat)},
		}
	}
	stored := &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName, UID: "the-uid", ResourceVersion: "7"}}
	for name, c := range map[string]struct {
		objects []epicv1.GatewayNode
		entries map[string]time.Duration
		// written is the object that its node writes between the look and the deletion.
		written       string
		deleted, kept []string
	}{
		"two are silent":         {[]epicv1.GatewayNode{node("192.0.2.1", "1", 0), node("2001-db8--2", "2", 0), node("192.0.2.3", "3", 5*time.Hour)}, nil, "", []string{"192.0.2.1", "2001-db8--2"}, nil},
		"one writes in between":  {[]epicv1.GatewayNode{node("192.0.2.1", "1", 0), node("192.0.2.2", "2", 0)}, nil, "192.0.2.1", []string{"192.0.2.2"}, nil},
		"silent since before it": {[]epicv1.GatewayNode{node("192.0.2.1", "1", time.Minute)}, map[string]time.Duration{"192.0.2.1": 0, "192.0.2.9": 5 * time.Hour}, "", []string{"192.0.2.1"}, []string{"192.0.2.9"}},
		"went back and lives":    {[]epicv1.GatewayNode{node("192.0.2.1", "1", 0)}, map[string]time.Duration{"192.0.2.1": 5 * time.Hour}, "", nil, []string{"192.0.2.1"}},
		"upgraded and lives":     {[]epicv1.GatewayNode{node("192.0.2.1", "1", 5*time.Hour)}, map[string]time.Duration{"192.0.2.1": 0}, "", nil, nil},
		"upgraded, both silent":  {[]epicv1.GatewayNode{node("192.0.2.1", "1", 10*time.Minute)}, map[string]time.Duration{"192.0.2.1": 0}, "", []string{"192.0.2.1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := &eviction{t: t, stored: stored.DeepCopy()}
			e.stored.Status.Nodes = heard(c.entries)
			client := fake.NewSimpleClientset()
			client.PrependReactor("get", "epics", func(clienttesting.Action) (bool, runtime.Object, error) { return true, e.stored.DeepCopy(), nil })
			client.PrependReactor("patch", "epics", func(action clienttesting.Action) (bool, runtime.Object, error) {
				return e.patch(action.(clienttesting.PatchAction).GetPatch())
			})
			client.PrependReactor("list", "gatewaynodes", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &epicv1.GatewayNodeList{Items: slices.Clone(c.objects)}, nil
			})
			var deleted []string
			client.PrependReactor("delete", "gatewaynodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
				d := action.(clienttesting.DeleteActionImpl)
				for _, o := range c.objects {
					p := d.DeleteOptions.Preconditions
					if o.Name == d.Name && p != nil && *p.UID == o.UID && *p.ResourceVersion == o.ResourceVersion && d.Name != c.written {
						deleted = append(deleted, d.Name)
						return true, nil, nil
					}
				}
				return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "gatewaynodes"}, d.Name, nil)
			})
			e.nodes = newGatewayNodes(client, time.Hour, time.Minute)
			e.nodes.now = func() time.Time { return start.Add(5 * time.Hour) }
			for range confirmations - 1 {
				e.look()
				if len(deleted) > 0 {
					t.Fatalf("deleted too early: %v", deleted)
				}
			}
			e.look()
			slices.Sort(deleted)
			if !slices.Equal(deleted, c.deleted) || !slices.Equal(e.left(), c.kept) {
				t.Errorf("deleted %v, want %v; entries left %v, want %v", deleted, c.deleted, e.left(), c.kept)
			}
		})
	}
}
