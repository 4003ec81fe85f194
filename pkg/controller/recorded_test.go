// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

// eventLog has the events that an API server got, in order. An event that was counted
// once more is in it once more.
type eventLog struct {
	mu    sync.Mutex
	all   []corev1.Event
	verbs map[string]bool
}

// newEventLog returns one, and a recorder that writes to it until ctx ends.
func newEventLog(ctx context.Context) (*eventLog, *events.Recorder) {
	l := &eventLog{verbs: map[string]bool{}}
	client := fake.NewClientset()
	client.PrependReactor("*", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.verbs[action.GetVerb()] = true
		var event *corev1.Event
		switch a := action.(type) {
		case clienttesting.CreateAction:
			event, _ = a.GetObject().(*corev1.Event)
		case clienttesting.PatchAction:
			for i := range l.all {
				if l.all[i].Name == a.GetName() {
					event = &l.all[i]
				}
			}
		}
		if event == nil {
			return true, nil, fmt.Errorf("%v is unexpected", action)
		}
		l.all = append(l.all, *event.DeepCopy())
		return true, event.DeepCopy(), nil
	})
	logger := ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig())
	return l, events.New(klog.NewContext(ctx, logger), client.CoreV1(), "epic-controller")
}

// of returns the reasons of an object's events. A warning has an exclamation mark.
func (l *eventLog) of(o object) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for i := range l.all {
		e := &l.all[i]
		about := &e.InvolvedObject
		if kinds[o.resource].kind != about.Kind || about.Namespace != o.ns || about.Name != o.name {
			continue
		}
		mark := ""
		if e.Type == corev1.EventTypeWarning {
			mark = "!"
		}
		out = append(out, mark+e.Reason)
	}
	return strings.Join(out, " ")
}

// testEvents checks that each change of state makes one event on a real server, in the
// namespace of its object, and that tenants learn nothing about each other by them.
func testEvents(w *world) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log, recorder := newEventLog(ctx)
	w.events = recorder
	stop := w.start()
	defer stop()
	// expect waits until an object has another event, or more.
	has := map[object]string{}
	expect := func(o object, more string) {
		w.t.Helper()
		want := strings.TrimSpace(has[o] + " " + more)
		got := ""
		defer func() {
			if w.t.Failed() {
				w.t.Logf("%v has %q, want %q", o, got, want)
			}
		}()
		w.until(fmt.Sprintf("%v has the event %s", o, more), func() bool { got = log.of(o); return got == want })
		has[o] = want
	}
	eventsOfAddresses(w, expect)
	eventsOfTunnels(w, expect)

	stop()
	for o, want := range has {
		if got := log.of(o); got != want {
			w.t.Errorf("in the end %v has %q, want %q", o, got, want)
		}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	for i := range log.all {
		e := &log.all[i]
		if e.Namespace != e.InvolvedObject.Namespace || e.InvolvedObject.UID == "" {
			w.t.Errorf("the event %s in %s is about %+v", e.Name, e.Namespace, e.InvolvedObject)
		}
		for _, tenant := range []string{"evquota", "evrival"} {
			if own := epic.AccountNamespace(tenant); e.Namespace != own && strings.Contains(e.Message, tenant) {
				w.t.Errorf("an event in %s is about %s: %s", e.Namespace, own, e.Message)
			}
		}
	}
	for verb := range log.verbs {
		w.seen.Insert(verb + " events")
	}
}

// eventsOfAddresses uses up a pool of ten addresses, which is the quota of an account
// as well, and releases some.
func eventsOfAddresses(w *world, expect func(object, string)) {
	must(w.t)(w.api.ServicePrefixes(epic.ConfigNamespace).Create(w.t.Context(), &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "ten"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.203.0.1-10.203.0.10", Subnet: "10.203.0.0/24", Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	prefix := object{epic.ResourceServicePrefixes, epic.ConfigNamespace, "ten"}
	group := w.group(epic.ConfigNamespace, "ten", "ten")
	ns := w.account("evquota")
	account := object{epic.ResourceAccounts, ns, "evquota"}
	w.patch(account, `{"spec": {"proxyLimit": 10}}`)
	expect(account, "Ready")
	lb := func(i int) object { return object{epic.ResourceLoadBalancers, ns, fmt.Sprint("lb-", i)} }
	create := func(i int) {
		w.t.Helper()
		must(w.t)(w.api.LoadBalancers(ns).Create(w.t.Context(), &epicv1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Name: lb(i).name}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: group.name},
		}, metav1.CreateOptions{}))
	}
	for i := range 9 {
		create(i)
	}
	expect(prefix, "!AddressesNearlyExhausted")
	expect(account, "!QuotaNearlyExhausted")
	create(9)
	expect(prefix, "!AddressesExhausted")
	expect(account, "!QuotaExhausted")
	w.remove(lb(9))
	expect(prefix, "!AddressesNearlyExhausted")
	expect(account, "!QuotaNearlyExhausted")
	// One more or less changes nothing.
	w.remove(lb(8))
	create(8)
	w.remove(lb(8))
	w.remove(lb(7))
	expect(prefix, "AddressesAvailable")
	expect(account, "QuotaAvailable")
	// A load balancer without endpoints never worked: it has no event.
	expect(lb(0), "")
}

// eventsOfTunnels has two gateway nodes report on the tunnels of two tenants.
func eventsOfTunnels(w *world, expect func(object, string)) {
	const one, two, client = "172.16.9.1", "172.16.9.2", "192.168.9.1"
	lb := w.loadBalancer(epic.AccountNamespace("evquota"), "web")
	rival := w.loadBalancer(w.account("evrival"), "web")
	pairs := map[object][]uint32{}
	for _, o := range []object{lb, rival} {
		w.endpoint(o, "a", "10.0.0.1", client)
		w.pod(o, "p1", one)
		w.pod(o, "p2", two)
		ids := w.eventually(o, ready, client+">"+one, client+">"+two)
		pairs[o] = []uint32{uint32(ids[client+">"+one]), uint32(ids[client+">"+two])}
		expect(o, "Ready")
	}
	endpoint, rivals := object{epic.ResourceRemoteEndpoints, lb.ns, "a"}, object{epic.ResourceRemoteEndpoints, rival.ns, "a"}
	report := func(i int, node string, up, down []object) {
		ids := func(of []object) []byte {
			var all []uint32
			for _, o := range of {
				all = append(all, pairs[o][i])
			}
			return idset.Of(all...).Encode()
		}
		w.report(node, epicv1.GatewayNodeStatus{TunnelStates: &epicv1.TunnelStates{Up: ids(up), Down: ids(down)}})
	}
	defer func() {
		for _, node := range []string{one, two} {
			must(w.t)(nil, w.api.GatewayNodes(epic.ConfigNamespace).Delete(context.Background(), node, metav1.DeleteOptions{}))
		}
	}()
	report(0, one, []object{lb, rival}, nil)
	expect(lb, "TunnelsUp")
	expect(rival, "TunnelsUp")
	report(1, two, []object{rival}, []object{lb})
	expect(lb, "!SomeTunnelsDown")
	expect(endpoint, "!SomeTunnelsDown")
	report(0, one, []object{rival}, []object{lb})
	expect(lb, "!AllTunnelsDown")
	expect(endpoint, "!AllTunnelsDown")
	report(1, two, []object{lb, rival}, nil)
	expect(lb, "!SomeTunnelsDown Ready")
	expect(endpoint, "!SomeTunnelsDown")
	report(0, one, []object{lb, rival}, nil)
	expect(lb, "TunnelsUp")
	expect(endpoint, "TunnelsUp")
	// The other tenant's tunnels were up all the time.
	expect(rival, "")
	expect(rivals, "")
}
