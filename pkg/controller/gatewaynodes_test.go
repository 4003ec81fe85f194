// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
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
	"github.com/acnodal/epic/pkg/nodereports"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	node1 = netip.MustParseAddr("192.0.2.1")
)

// heard is the status.nodes of nodes that were heard of at a time after start.
func heard(at map[string]time.Duration) map[string]epicv1.EPICNodeStatus {
	nodes := map[string]epicv1.EPICNodeStatus{}
	for address, ago := range at {
		nodes[address] = epicv1.EPICNodeStatus{Name: "n", HeartbeatTime: metav1.NewTime(start.Add(ago))}
	}
	return nodes
}

// TestGivingUp lets looks follow each other, and says at which of them node1 is evicted.
func TestGivingUp(t *testing.T) {
	type look struct {
		heard map[string]time.Duration
		now   time.Duration
		// failed is whether the API server did not answer before.
		failed bool
	}
	silent := func(n int, now time.Duration) (looks []look) {
		for i := range n {
			looks = append(looks, look{heard: map[string]time.Duration{"192.0.2.1": 0}, now: now + time.Duration(i)*time.Minute})
		}
		return looks
	}
	alive := func(n int, ahead time.Duration) (looks []look) {
		for i := range n {
			at := time.Duration(i) * time.Minute
			looks = append(looks, look{heard: map[string]time.Duration{"192.0.2.1": at}, now: at + ahead})
		}
		return looks
	}
	failed := func(looks []look, at int) []look {
		looks[at].failed = true
		return looks
	}
	for name, c := range map[string]struct {
		looks []look
		// lost is the look at which it is evicted first, -1 for none.
		lost int
		// still is whether it is after the last look.
		still bool
	}{
		"silent for a short time":      {silent(10, 30*time.Minute), -1, false},
		"the timeout passes":           {silent(10, 56*time.Minute), 5, true},
		"silent when we begin":         {silent(10, 5*time.Hour), 4, true},
		"few looks":                    {silent(4, 5*time.Hour), -1, false},
		"the server was away":          {failed(silent(8, 5*time.Hour), 4), -1, false},
		"the server was away, long":    {failed(silent(9, 5*time.Hour), 4), 8, true},
		"alive":                        {alive(20, time.Second), -1, false},
		"alive, and a clock far ahead": {alive(20, 24*time.Hour), -1, false},
		"alive, and a clock behind":    {alive(20, -24*time.Hour), -1, false},
		"it comes back":                {append(silent(6, 5*time.Hour), look{heard: map[string]time.Duration{"192.0.2.1": 5 * time.Hour}, now: 5*time.Hour + time.Second}), 4, false},
		"it is taken out by others":    {append(silent(6, 5*time.Hour), look{now: 5 * time.Hour}), 4, false},
		"another is silent":            {[]look{{heard: map[string]time.Duration{"192.0.2.2": 0}, now: 5 * time.Hour}}, -1, false},
		"what is no address":           {[]look{{heard: map[string]time.Duration{"here": 0}, now: 5 * time.Hour}}, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGatewayNodes(nil, time.Hour, time.Minute)
			first := -1
			for i, l := range c.looks {
				if l.failed {
					g.forget()
				}
				lost := g.update(t.Context(), heard(l.heard), start.Add(l.now))
				if (len(lost) == 1 && lost[0] == node1) != g.lost(node1) {
					t.Errorf("look %d: %v are lost, node1: %v", i, lost, g.lost(node1))
				}
				if first < 0 && g.lost(node1) {
					first = i
				}
			}
			if first != c.lost || g.lost(node1) != c.still {
				t.Errorf("given up at look %d, not %d; after the last: %v, not %v", first, c.lost, g.lost(node1), c.still)
			}
		})
	}
}

// TestLookFails checks what happens to a node that would be evicted when the API
// server answers with errors.
func TestLookFails(t *testing.T) {
	for name, c := range map[string]struct {
		verb  string
		err   error
		fails bool
	}{
		"read":     {"get", apierrors.NewInternalError(errors.New("broken")), true},
		"write":    {"patch", apierrors.NewInternalError(errors.New("broken")), true},
		"conflict": {"patch", apierrors.NewConflict(schema.GroupResource{}, "epic", errors.New("it gave a sign of life")), false},
		"gone":     {"patch", apierrors.NewNotFound(schema.GroupResource{}, "epic"), false},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewSimpleClientset(&epicv1.EPIC{
				ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName},
				Status:     epicv1.EPICStatus{Nodes: heard(map[string]time.Duration{"192.0.2.1": 0})},
			})
			g := newGatewayNodes(client, time.Hour, time.Minute)
			g.now = func() time.Time { return start.Add(5 * time.Hour) }
			for range confirmations - 1 {
				if err := g.look(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			broken := true
			client.PrependReactor(c.verb, "epics", func(clienttesting.Action) (bool, runtime.Object, error) { return broken, nil, c.err })
			if err := g.look(t.Context()); (err != nil) != c.fails {
				t.Errorf("got %v", err)
			}
			has := func() int {
				installation, err := client.Tracker().Get(epicv1.SchemeGroupVersion.WithResource("epics"), epic.ConfigNamespace, epic.ConfigName)
				if err != nil {
					t.Fatal(err)
				}
				return len(installation.(*epicv1.EPIC).Status.Nodes)
			}
			if has() != 1 {
				t.Error("the node's entry is gone")
			}
			broken = false
			if err := g.look(t.Context()); err != nil || has() != 0 {
				t.Errorf("after the trouble, the node's entry is there: %d, %v", has(), err)
			}
		})
	}
}

// TestEvictionIsAnEvent checks that an eviction is recorded once, when the node is gone, and
// names the node.
func TestEvictionIsAnEvent(t *testing.T) {
	client := fake.NewSimpleClientset(
		&epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName, UID: "the-uid"}},
		&epicv1.GatewayNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.GatewayNodeName(node1), UID: "the-node"},
			Status:     epicv1.GatewayNodeStatus{NodeName: "n", HeartbeatTime: metav1.NewTime(start)},
		},
	)
	log, recorder := newEventLog(t.Context())
	g := newGatewayNodes(client, time.Hour, time.Minute)
	g.events = recorder
	g.now = func() time.Time { return start.Add(5 * time.Hour) }
	about := object{epic.ResourceEPICs, epic.ConfigNamespace, epic.ConfigName}
	look := func() {
		t.Helper()
		if err := g.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range confirmations - 1 {
		look()
	}
	// Evicted, but still there.
	broken := true
	client.PrependReactor("delete", "gatewaynodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return broken, nil, apierrors.NewInternalError(errors.New("broken"))
	})
	if err := g.look(t.Context()); err == nil {
		t.Fatal("the look does not fail")
	}
	broken = false
	look()
	look()
	const want = "!" + EventNodeEvicted
	for end := time.Now().Add(time.Minute); log.of(about) != want && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	// What came later would be there soon, too.
	time.Sleep(50 * time.Millisecond)
	if got := log.of(about); got != want {
		t.Fatalf("the events are %q, not %q", got, want)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if e := log.all[0]; e.InvolvedObject.UID != "the-uid" || !strings.Contains(e.Message, "192.0.2.1") || !strings.Contains(e.Message, "1h0m0s") {
		t.Errorf("the event is about %+v and says %q", e.InvolvedObject, e.Message)
	}
}

// TestTroubleForgets runs the looks, of which one fails.
func TestTroubleForgets(t *testing.T) {
	client := fake.NewSimpleClientset()
	var gets atomic.Int64
	asked := make(chan struct{})
	client.PrependReactor("get", "epics", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked <- struct{}{}
		if gets.Add(1) == confirmations {
			return true, nil, apierrors.NewInternalError(errors.New("broken"))
		}
		return true, &epicv1.EPIC{Status: epicv1.EPICStatus{Nodes: heard(map[string]time.Duration{"192.0.2.1": 0})}}, nil
	})
	g := newGatewayNodes(client, time.Hour, time.Microsecond)
	g.now = func() time.Time { return start.Add(5 * time.Hour) }
	// A proxy keeps the entry, so nothing is written.
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, loadBalancerIndexes)
	if err := indexer.Add(&epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lb"},
		Status:     epicv1.ProxyStatus{ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{"p": {EPICNodeAddress: "192.0.2.1"}}},
	}); err != nil {
		t.Fatal(err)
	}
	k := newTunnelReconciler("test-nodes", nil)
	g.proxies, g.queues = []cache.Indexer{indexer}, []*reconciler{k.reconciler}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.run(ctx)
	}()
	// The look that decides may end before it can be seen that it did not decide yet.
	for i := range 2*confirmations - 1 {
		<-asked
		// The look before this one is over.
		if g.lost(node1) {
			t.Errorf("given up at look %d", i)
		}
	}
	<-asked
	<-asked
	if !g.lost(node1) {
		t.Error("it is never given up")
	}
	if key, _ := k.queue.Get(); key.Name != "lb" {
		t.Errorf("%v is looked at", key)
	}
	cancel()
	for {
		select {
		case <-asked:
		case <-done:
			return
		}
	}
}

// TestHeard takes back a node that comes back between two looks.
func TestHeard(t *testing.T) {
	g := newGatewayNodes(nil, time.Hour, time.Minute)
	for range confirmations {
		g.update(t.Context(), heard(map[string]time.Duration{"192.0.2.1": 0}), start.Add(5*time.Hour))
	}
	g.heard(heard(map[string]time.Duration{"192.0.2.1": 0, "192.0.2.2": time.Hour}))
	if !g.lost(node1) {
		t.Error("an old sign of life took it back")
	}
	g.heard(heard(map[string]time.Duration{"192.0.2.1": time.Hour}))
	if g.lost(node1) {
		t.Error("a sign of life did not take it back")
	}
}

// TestWrote accepts a node again that writes interfaces, until its heartbeats arrive again.
func TestWrote(t *testing.T) {
	info := func(node string, index int32) *epicv1.ProxyStatus {
		return &epicv1.ProxyStatus{ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{"p": {EPICNodeAddress: node, Index: index}}}
	}
	for name, c := range map[string]struct {
		old, now *epicv1.ProxyStatus
		lost     bool
	}{
		"an interface comes back": {&epicv1.ProxyStatus{}, info("192.0.2.1", 1), false},
		"an interface changes":    {info("192.0.2.1", 1), info("192.0.2.1", 2), false},
		"a pod comes over":        {info("192.0.2.2", 1), info("192.0.2.1", 1), false},
		"it is not deleted":       {info("192.0.2.1", 1), info("192.0.2.1", 1), true},
		"it goes":                 {info("192.0.2.1", 1), &epicv1.ProxyStatus{}, true},
		"another's":               {&epicv1.ProxyStatus{}, info("192.0.2.2", 1), true},
		"nobody's":                {&epicv1.ProxyStatus{}, info("", 1), true},
	} {
		g := newGatewayNodes(nil, time.Hour, time.Minute)
		look := func(at time.Duration) {
			for range confirmations {
				g.update(t.Context(), heard(map[string]time.Duration{"192.0.2.1": at}), start.Add(5*time.Hour))
			}
		}
		look(0)
		g.wrote(c.old, c.now)
		if g.lost(node1) != c.lost {
			t.Errorf("%s: given up: %v", name, g.lost(node1))
		}
		if look(0); g.lost(node1) != c.lost {
			t.Errorf("%s: given up after more looks: %v", name, g.lost(node1))
		}
		// Its heartbeats arrive again, and then they stop.
		if look(time.Minute); !g.lost(node1) {
			t.Errorf("%s: it is never given up any more", name)
		}
	}
}

func TestNever(t *testing.T) {
	// Without a client it would panic.
	newGatewayNodes(nil, 0, time.Microsecond).run(t.Context())
}

// beat sends a gateway node's heartbeat, as its program does, and returns the server's
// time of it.
func (w *world) beat(node string) time.Time { return w.report(node, epicv1.GatewayNodeStatus{}) }

// report writes a gateway node's status, and returns the server's time of it.
func (w *world) report(node string, s epicv1.GatewayNodeStatus) time.Time {
	w.t.Helper()
	ctx, nodes := context.Background(), w.api.GatewayNodes(epic.ConfigNamespace)
	s.NodeName, s.HeartbeatTime = "gw", metav1.NewTime(time.Now().Add(-time.Duration(beats.Add(1))*time.Hour))
	o := &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: epic.GatewayNodeName(netip.MustParseAddr(node))}, Status: s}
	written, err := nodes.UpdateStatus(ctx, o, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		must(w.t)(nodes.Create(ctx, o, metav1.CreateOptions{}))
		written, err = nodes.UpdateStatus(ctx, o, metav1.UpdateOptions{})
	}
	must(w.t)(written, err)
	return written.Status.HeartbeatTime.Time
}

// beatOfOld sends the heartbeat of a node of an earlier release.
func (w *world) beatOfOld(node string) time.Time {
	w.t.Helper()
	data := fmt.Appendf(nil, `{"status": {"nodes": {%q: {"name": "gw", "heartbeat-time": %q}}}}`, node, time.Now().Add(-time.Duration(beats.Add(1))*time.Hour).UTC().Format(time.RFC3339))
	installation, err := w.api.EPICs(epic.ConfigNamespace).Patch(context.Background(), epic.ConfigName, types.MergePatchType, data, metav1.PatchOptions{}, "status")
	must(w.t)(installation, err)
	return installation.Status.Nodes[node].HeartbeatTime.Time
}

// beats makes each heartbeat a different one.
var beats atomic.Int64

// testDeadGatewayNode lets one of two gateway nodes be silent.
func testDeadGatewayNode(old bool) func(w *world) {
	return func(w *world) { deadGatewayNode(w, old) }
}

func deadGatewayNode(w *world, old bool) {
	const dead, alive = "172.16.5.1", "172.16.5.2"
	var ahead atomic.Int64
	w.now = func() time.Time {
		if at := ahead.Load(); at != 0 {
			return time.Unix(at, 0)
		}
		return time.Now()
	}
	stop := w.start()
	lb := w.loadBalancer(w.account(map[bool]string{false: "dead", true: "deadold"}[old]), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", dead)
	w.pod(lb, "p2", alive)
	proxy := w.gwProxy(lb.ns, "gateway")
	w.route(proxy, "r", "svc", 80)
	w.slice(lb.ns, "s", "svc", "192.168.1.1")
	w.pod(proxy, "p1", dead)
	before := w.eventually(lb, ready, "192.168.1.1>"+dead, "192.168.1.1>"+alive)
	w.eventually(proxy, ready, "192.168.1.1>"+dead)
	// One is of an earlier release.
	beatOf := map[string]func(string) time.Time{dead: w.beat, alive: w.beatOfOld}
	if old {
		beatOf = map[string]func(string) time.Time{dead: w.beatOfOld, alive: w.beat}
	}
	last := beatOf[dead](dead)
	latest := beatOf[alive](alive)
	for !latest.After(last) {
		time.Sleep(100 * time.Millisecond)
		latest = beatOf[alive](alive)
	}
	nodes := func() map[string]epicv1.EPICNodeStatus {
		installation, err := w.api.EPICs(epic.ConfigNamespace).Get(context.Background(), epic.ConfigName, metav1.GetOptions{})
		must(w.t)(installation, err)
		list, err := w.api.GatewayNodes(epic.ConfigNamespace).List(context.Background(), metav1.ListOptions{})
		must(w.t)(list, err)
		var objects []*epicv1.GatewayNode
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
		return nodereports.Merge(installation, objects)
	}
	if len(nodes()) != 2 {
		w.t.Fatalf("the nodes are %v", nodes())
	}

	// For the one an hour has passed, and for the other hardly.
	ahead.Store(latest.Add(DefaultNodeTimeout).Unix())
	after := w.eventually(lb, ready, "192.168.1.1>"+alive)
	w.eventually(proxy, noProxies)
	if pair := "192.168.1.1>" + alive; after[pair] != before[pair] {
		w.t.Errorf("the tunnel that stayed had the ID %d and has %d", before[pair], after[pair])
	}
	w.until("the entry of the dead node is gone, and only that", func() bool {
		has := nodes()
		if _, ok := has[alive]; !ok {
			w.t.Fatal("the entry of the node that lives is gone")
		}
		return len(has) == 1
	})
	_, status := w.get(lb)
	if len(status.ProxyIfInfo) != 1 || status.GUETunnelEndpoints["192.168.1.1"].EPICAddress != alive {
		w.t.Errorf("the status is %+v", status)
	}

	// It comes back, and reports its proxies again.
	if back := w.beat(dead); back.Before(latest) { // upgraded, if it was of an earlier release
		w.t.Fatal("the server's time goes back")
	}
	w.pod(lb, "p1", dead)
	w.pod(proxy, "p1", dead)
	w.eventually(lb, ready, "192.168.1.1>"+dead, "192.168.1.1>"+alive)
	w.eventually(proxy, ready, "192.168.1.1>"+dead)
	if len(nodes()) != 2 {
		w.t.Errorf("the nodes are %v", nodes())
	}
	stop()
	must(w.t)(w.api.EPICs(epic.ConfigNamespace).Patch(context.Background(), epic.ConfigName, types.MergePatchType, []byte(`{"status": {"nodes": {"172.16.5.1": null, "172.16.5.2": null}}}`), metav1.PatchOptions{}, "status"))
	for _, node := range []string{dead, alive} {
		if err := w.api.GatewayNodes(epic.ConfigNamespace).Delete(context.Background(), node, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			w.t.Fatal(err)
		}
	}
}

// until waits for what must come.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
