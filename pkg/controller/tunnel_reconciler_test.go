// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// TestFailures lets the writes of an object fail in each way, and checks that it
// is tried again, or not, and that another object is not kept waiting.
func TestFailures(t *testing.T) {
	resource := schema.GroupResource{Resource: "loadbalancers"}
	for name, c := range map[string]struct {
		fail   func() error
		retry  bool
		result string
	}{
		"conflict":      {func() error { return apierrors.NewConflict(resource, "bad", errors.New("old")) }, true, resultConflict},
		"not found":     {func() error { return apierrors.NewNotFound(resource, "bad") }, false, resultUnchanged},
		"server's":      {func() error { return apierrors.NewInternalError(errors.New("broken")) }, true, resultError},
		"refused":       {func() error { return apierrors.NewInvalid(schema.GroupKind{}, "bad", nil) }, true, resultError},
		"own, a defect": {func() error { panic("a defect") }, true, resultError},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))))
			defer cancel()
			tries, done := make(chan time.Time, 100), make(chan string, 100)
			n := 0
			kind := "test-" + strings.ReplaceAll(name, " ", "-")
			k := newTunnelReconciler(kind, func(_ context.Context, key cache.ObjectName, _ []byte) (*epicv1.ProxyStatus, string, error) {
				if key.Name == "bad" {
					tries <- time.Now()
					if n++; n <= 3 {
						return nil, "", c.fail()
					}
				}
				done <- key.Name
				return &epicv1.ProxyStatus{}, "", nil
			})
			k.find = func(key cache.ObjectName) (*state, error) {
				return &state{meta: &metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Generation: 1}, status: &epicv1.ProxyStatus{}}, nil
			}
			ended := work(ctx, t, k.reconciler)
			k.queue.Add(cache.NewObjectName("ns", "bad"))
			k.queue.Add(cache.NewObjectName("ns", "good"))
			if got := <-done; got != "good" {
				t.Errorf("%s was done first", got)
			}
			if c.retry {
				<-done
				for range 3 {
					<-tries
				}
				<-tries
				if n := k.queue.NumRequeues(cache.NewObjectName("ns", "bad")); n != 0 {
					time.Sleep(20 * time.Millisecond)
					if n = k.queue.NumRequeues(cache.NewObjectName("ns", "bad")); n != 0 {
						t.Errorf("%d failures are remembered after a success", n)
					}
				}
			}
			cancel()
			<-ended
			want := map[bool]float64{true: 3, false: 1}[c.retry]
			if got, err := testutil.GetCounterMetricValue(reconciles.WithLabelValues(kind, c.result)); err != nil || got != want {
				t.Errorf("%s was counted %v times, not %v: %v", c.result, got, want, err)
			}
		})
	}
}

// TestTally adds and removes.
func TestTally(t *testing.T) {
	tally := newTally("test-tally")
	a, b := cache.NewObjectName("ns", "a"), cache.NewObjectName("ns", "b")
	expect := func(want string) {
		t.Helper()
		var got []string
		for _, value := range []func() (float64, error){
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsWanted.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsAssigned.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsUnassigned.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(objects.WithLabelValues("test-tally", "X"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(objects.WithLabelValues("test-tally", "Y"))
			},
		} {
			v, err := value()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(v))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("wanted, assigned, unassigned, X, Y: %s; should be %s", s, want)
		}
	}
	tally.set(a, counts{5, 3, "X"})
	tally.set(b, counts{2, 2, "Y"})
	expect("7 5 2 1 1")
	tally.set(a, counts{5, 5, "Y"})
	expect("7 7 0 0 2")
	tally.forget(b)
	tally.forget(b)
	expect("5 5 0 0 1")
	tally.forget(a)
	expect("0 0 0 0 0")
}

// testRepair damages the status in each way that the server allows.
func testRepair(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("repair"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	w.pod(lb, "p2", "172.16.0.2")
	pairs := []string{"192.168.1.1>172.16.0.1", "192.168.1.1>172.16.0.2"}
	w.eventually(lb, ready, pairs...)
	for name, damage := range map[string]string{
		"all tunnels":          `{"gue-tunnel-endpoints": null}`,
		"an empty entry":       `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {}}}}`,
		"another's tunnel":     `{"gue-tunnel-endpoints": {"192.168.9.9": {"epic-address": "172.16.0.1"}}}`,
		"another gateway node": `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.9": {}}}}}`,
		"one pair":             `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.1": null}}}}`,
		"a port":               `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.1": {"epic-port": {"port": 1, "appProtocol": "gue", "protocol": "UDP"}}}}}}`,
		"an entry of nothing":  `{"gue-tunnel-endpoints": {"192.168.9.9": {}}}`,
		"conditions":           `{"conditions": null, "observedGeneration": 99}`,
		"a condition's lie":    `{"conditions": [{"type": "TunnelsReady", "status": "False", "reason": "Lie", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}`,
		"everything":           `null`,
	} {
		must(w.t)(nil, w.patchStatus(lb, damage))
		if damage == "null" {
			w.pod(lb, "p1", "172.16.0.1")
			w.pod(lb, "p2", "172.16.0.2")
		}
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(lb)
			entry := status.GUETunnelEndpoints["192.168.1.1"]
			has := ids(status)
			if len(status.GUETunnelEndpoints) == 1 && slices.Equal(slices.Sorted(maps.Keys(has)), pairs) && reasons(status) == ready && status.ObservedGeneration == 1 &&
				entry.EPICAddress == "172.16.0.1" && entry.TunnelID == has[pairs[0]] && entry.EPICEndpoints["172.16.0.1"].EPICPort.Port == 6080 {
				break
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("%s: not repaired: %+v", name, status)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// testDeletion holds an object while it is being deleted.
func testDeletion(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("deletion"), "web")
	w.route(proxy, "r", "svc", 80)
	w.slice(proxy.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	w.pod(proxy, "p1", "172.16.0.1")
	before := w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")
	hold := func(finalizers string) {
		w.t.Helper()
		must(w.t)(w.api.GWProxies(proxy.ns).Patch(w.t.Context(), proxy.name, types.MergePatchType, []byte(`{"metadata": {"finalizers": `+finalizers+`}}`), metav1.PatchOptions{}))
	}
	hold(`["example.com/hold"]`)
	must(w.t)(nil, w.api.GWProxies(proxy.ns).Delete(w.t.Context(), proxy.name, metav1.DeleteOptions{}))
	// Two changes: one asks for more, and the other shows that both were seen.
	w.pod(proxy, "p2", "172.16.0.2")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = s.Endpoints[:1] })
	after := w.eventually(proxy, "", "192.168.1.1>172.16.0.1")
	if after["192.168.1.1>172.16.0.1"] != before["192.168.1.1>172.16.0.1"] {
		w.t.Errorf("the ID was %v and is %v", before, after)
	}
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "r", metav1.DeleteOptions{}))
	w.eventually(proxy, "")
	hold(`null`)
	if _, err := w.api.GWProxies(proxy.ns).Get(w.t.Context(), proxy.name, metav1.GetOptions{}); err == nil {
		w.t.Error("it is still there")
	}
}

// testLinger has a tunnel stay for a while after its last endpoint is gone.
func testLinger(w *world) {
	w.linger = time.Second
	w.start()
	lb := w.loadBalancer(w.account("linger"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	before := w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	w.removeEndpoint(lb, "a")
	during := w.eventually(lb, "NoEndpoints=False NoEndpoints=False", "192.168.1.1>172.16.0.1")
	if !maps.Equal(before, during) {
		w.t.Errorf("the ID was %v and is %v", before, during)
	}
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	// Deletion waits for nothing.
	w.endpoint(lb, "b", "10.0.0.1", "192.168.1.1")
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	w.removeEndpoint(lb, "b")
	must(w.t)(w.api.LoadBalancers(lb.ns).Patch(w.t.Context(), lb.name, types.MergePatchType, []byte(`{"spec": {"upstream-clusters": null}}`), metav1.PatchOptions{}))
	begin := time.Now()
	must(w.t)(nil, w.api.LoadBalancers(lb.ns).Delete(w.t.Context(), lb.name, metav1.DeleteOptions{}))
	if _, err := w.api.LoadBalancers(lb.ns).Get(w.t.Context(), lb.name, metav1.GetOptions{}); err == nil {
		w.t.Errorf("it is still there after %s", time.Since(begin))
	}
}

func testTooMany(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("many"), "web")
	w.route(proxy, "r", "svc", 80)
	var nodes, infos []string
	for i := range 33 {
		nodes = append(nodes, fmt.Sprintf("192.168.2.%d", i+1))
		infos = append(infos, fmt.Sprintf(`"p%d": {"epic-node-address": "172.16.1.%d"}`, i, i+1))
	}
	w.slice(proxy.ns, "s", "svc", nodes...)
	must(w.t)(nil, w.patchStatus(proxy, `{"proxy-if-info": {`+strings.Join(infos[:32], ",")+`}}`))
	count := func(conditions string, want int) map[string]int32 {
		w.t.Helper()
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(proxy)
			if has := ids(status); len(has) == want && reasons(status) == conditions {
				return has
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("%d tunnels, %s; not %d, %s", len(ids(status)), reasons(status), want, conditions)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	before := count("TooManyTunnels=False Resolved=True", 1024)
	// Its tunnels stay, and the object is not written repeatedly.
	must(w.t)(nil, w.patchStatus(proxy, `{"proxy-if-info": {`+infos[32]+`}}`))
	count("TooManyTunnels=False Resolved=True", 1024)
	m, _ := w.get(proxy)
	time.Sleep(200 * time.Millisecond)
	m2, status := w.get(proxy)
	if m.ResourceVersion != m2.ResourceVersion {
		_, status = w.get(proxy)
		time.Sleep(200 * time.Millisecond)
		if m3, _ := w.get(proxy); m3.ResourceVersion != m2.ResourceVersion {
			w.t.Error("it is written again and again")
		}
	}
	if !maps.Equal(before, ids(status)) {
		w.t.Error("tunnels went that were needed")
	}
	// With fewer nodes there is room for all.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = s.Endpoints[:31] })
	count(ready, 1023)
}
