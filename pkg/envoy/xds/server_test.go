// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// A pod is sent nothing until its proxy has a configuration, and then only its own.
func TestOwnResourcesOnly(t *testing.T) {
	s, conn := serve(t, Options{})
	s.Set(proxyidentity.Proxy{Namespace: "epic-a", Kind: proxyidentity.GWProxy, Name: "other"}, Config{
		Resources: setOf(raw(resource.Cluster, "theirs", "1"), raw(resource.Endpoint, "a", "1")),
	}, 0)
	had := map[resource.Key]string{key(resource.Cluster, "old"): "v0"}
	c := connect(t, conn, "web", "web-0", had)
	eventually(t, "the stream", func() bool { return len(s.State(web).Pods) == 1 })
	if state := s.State(web); state.Set || state.Pods[0].Current {
		t.Errorf("before the first Set: %+v", state)
	}
	time.Sleep(20 * time.Millisecond)
	if c.version(key(resource.Cluster, "old")) != "v0" || c.received() > 0 {
		t.Error("something was sent before the first Set")
	}
	s.Set(web, Config{Resources: setOf(raw(resource.Cluster, "mine", "1"))}, 0)
	eventually(t, "the pod to be current", func() bool { return s.State(web).Pods[0].Current })
	if c.version(key(resource.Cluster, "old")) != "" || c.version(key(resource.Cluster, "mine")) != "v1" || c.received() != 1 {
		t.Errorf("the pod has %v after %d resources", c.has, c.received())
	}
}

// Endpoints for one pod take the place of those for all, and endpoints that were set
// after a mark are not replaced by a configuration that was made before.
func TestEndpoints(t *testing.T) {
	s, conn := serve(t, Options{})
	a := key(resource.Endpoint, "a")
	s.Set(web, Config{
		Resources: setOf(raw(resource.Endpoint, "a", "1"), raw(resource.Endpoint, "b", "1")),
		Endpoints: map[string][]*resource.Resource{"web-1": {raw(resource.Endpoint, "a", "one")}},
	}, 0)
	zero, one := connect(t, conn, "web", "web-0", nil), connect(t, conn, "web", "web-1", nil)
	has := func(what string, c *client, want string) {
		t.Helper()
		eventually(t, what, func() bool { return c.version(a) == want })
	}
	has("the shared endpoints", zero, "v1")
	has("its own endpoints", one, "vone")
	s.SetEndpoints(web, "", raw(resource.Endpoint, "a", "2"))
	has("newer shared endpoints", zero, "v2")
	s.SetEndpoints(web, "web-1", raw(resource.Endpoint, "a", "two"))
	has("newer endpoints of its own", one, "vtwo")
	if zero.version(a) != "v2" {
		t.Errorf("one pod's endpoints reached the other: %s", zero.version(a))
	}

	mark := s.Mark(web)
	s.SetEndpoints(web, "", raw(resource.Endpoint, "a", "3"))
	s.SetEndpoints(web, "web-1", raw(resource.Endpoint, "a", "three"))
	s.Set(web, Config{
		Resources: setOf(raw(resource.Endpoint, "a", "old"), raw(resource.Endpoint, "b", "2")),
		Endpoints: map[string][]*resource.Resource{"web-1": {raw(resource.Endpoint, "a", "old one")}},
	}, mark)
	eventually(t, "the new configuration", func() bool {
		return zero.version(key(resource.Endpoint, "b")) == "v2" && one.version(key(resource.Endpoint, "b")) == "v2"
	})
	if zero.version(a) != "v3" || one.version(a) != "vthree" {
		t.Errorf("an older configuration replaced newer endpoints: %s, %s", zero.version(a), one.version(a))
	}
	// With a mark from after, it does.
	s.Set(web, Config{Resources: setOf(raw(resource.Endpoint, "a", "4"), raw(resource.Endpoint, "b", "2"))}, s.Mark(web))
	has("the next configuration", zero, "v4")
	has("the shared endpoints in the place of its own", one, "v4")
	before := zero.received()
	s.Set(web, Config{Resources: setOf(raw(resource.Endpoint, "a", "4"), raw(resource.Endpoint, "b", "2"))}, s.Mark(web))
	s.SetEndpoints(web, "", raw(resource.Endpoint, "b", "3"))
	eventually(t, "the last change", func() bool { return zero.version(key(resource.Endpoint, "b")) == "v3" })
	if n := zero.received() - before; n != 1 {
		t.Errorf("%d resources were sent for one change", n)
	}
}

// What a pod refuses is reported with its sources, and State has it until it is over.
func TestRefusal(t *testing.T) {
	r := &recorder{}
	s, conn := serve(t, Options{Observer: r})
	c := connect(t, conn, "web", "web-0", nil)
	s.Set(web, Config{Resources: setOf(raw(resource.Cluster, "a", "1"), raw(resource.Cluster, "b", "bad 1"), raw(resource.Listener, "l", "1"))}, 0)
	eventually(t, "the pod to be current", func() bool {
		state := s.State(web)
		return len(state.Pods) == 1 && state.Pods[0].Current
	})
	if c.version(key(resource.Cluster, "a")) != "v1" || c.version(key(resource.Listener, "l")) != "v1" {
		t.Error("the good resources did not arrive")
	}
	refused := s.State(web).Pods[0].Refused
	if len(refused) != 1 || refused[0].Resource.Name != "b" || refused[0].Text != "b: no" || refused[0].Resource.Sources[0].Name != "b" {
		t.Errorf("refused: %+v", refused)
	}
	if got := s.Accepted(web, key(resource.Cluster, "b")); got["web-0"] != "" {
		t.Errorf("accepted: %v", got)
	}
	s.Set(web, Config{Resources: setOf(raw(resource.Cluster, "a", "1"), raw(resource.Cluster, "b", "2"), raw(resource.Listener, "l", "1"))}, 0)
	eventually(t, "the good version", func() bool {
		return s.Accepted(web, key(resource.Cluster, "b"))["web-0"] == "v2" && len(s.State(web).Pods[0].Refused) == 0
	})
	all, ok := s.Resources(proxyidentity.Identity{Proxy: web, Pod: "web-0"})
	if !ok || len(all) != 3 || all[1].Key.Name != "b" || all[1].Accepted != "v2" || all[1].At.IsZero() {
		t.Errorf("resources: %+v", all)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refused) != 1 || r.connected != 1 || len(r.acknowledged) == 0 {
		t.Errorf("the observer learned of %d refusals, %d connections, %d acknowledgments", len(r.refused), r.connected, len(r.acknowledged))
	}
}

// A pod that reconnects to another server gets only what differs.
func TestReconnect(t *testing.T) {
	resources := []*resource.Resource{raw(resource.Cluster, "x", "1"), raw(resource.Cluster, "y", "1"), raw(resource.Endpoint, "a", "1"), raw(resource.Listener, "l", "1"), raw(resource.Route, "a", "1"), raw(resource.Secret, "b", "1")}
	one, conn := serve(t, Options{})
	one.Set(web, Config{Resources: setOf(resources...)}, 0)
	c := connect(t, conn, "web", "web-0", nil)
	eventually(t, "the pod to be current", func() bool { return c.received() == len(resources) && one.State(web).Pods[0].Current })

	resources[1] = raw(resource.Cluster, "y", "2")
	two, conn := serve(t, Options{})
	two.Set(web, Config{Resources: setOf(resources[1:]...)}, 0)
	again := connect(t, conn, "web", "web-0", c.has)
	eventually(t, "the pod to be current", func() bool {
		state := two.State(web)
		return len(state.Pods) == 1 && state.Pods[0].Current && again.version(key(resource.Cluster, "x")) == ""
	})
	if again.received() != 1 || again.version(key(resource.Cluster, "y")) != "v2" {
		t.Errorf("%d resources were sent, want the one that differs; the pod has %v", again.received(), again.has)
	}
}

// A resource that is withheld reaches no pod: one that has an earlier version keeps it,
// also through another server that never had that version, and the rest is delivered.
func TestWithheld(t *testing.T) {
	listener := key(resource.Listener, "l")
	one, conn := serve(t, Options{})
	one.Set(web, Config{Resources: setOf(raw(resource.Listener, "l", "1"), raw(resource.Cluster, "x", "1"))}, 0)
	c := connect(t, conn, "web", "web-0", nil)
	eventually(t, "the pod to be current", func() bool { return c.received() == 2 && one.State(web).Pods[0].Current })

	next := Config{
		Resources: setOf(raw(resource.Listener, "l", "2"), raw(resource.Listener, "new", "1"), raw(resource.Cluster, "x", "2")),
		Withheld:  map[resource.Key]bool{listener: true, key(resource.Listener, "new"): true},
	}
	one.Set(web, next, 0)
	current := func(s *Server, c *client, cluster string) func() bool {
		return func() bool {
			state := s.State(web)
			return len(state.Pods) == 1 && state.Pods[0].Current && c.version(key(resource.Cluster, "x")) == cluster
		}
	}
	eventually(t, "the cluster", current(one, c, "v2"))
	two, conn := serve(t, Options{})
	two.Set(web, next, 0)
	again := connect(t, conn, "web", "web-0", c.has)
	eventually(t, "the pod to be current", current(two, again, "v2"))
	for name, c := range map[string]*client{"one": c, "two": again} {
		if c.version(listener) != "v1" || c.version(key(resource.Listener, "new")) != "" {
			t.Errorf("through server %s the pod has %v", name, c.has)
		}
	}
	// The same version is sent once it is not withheld.
	next.Withheld = nil
	two.Set(web, next, 0)
	eventually(t, "the listeners", func() bool {
		return again.version(listener) == "v2" && again.version(key(resource.Listener, "new")) == "v1"
	})
}

// Streams end when their certificate does, when the pod opens another, when the proxy is
// deleted, and when the client names too much.
func TestEnds(t *testing.T) {
	o := delta.DefaultOptions()
	o.MaxNames = 100
	s, conn := serve(t, Options{Session: o})
	s.Set(web, Config{}, 0)
	expect := func(what string, c *client, code codes.Code, text string) {
		t.Helper()
		select {
		case <-c.ended:
			if status.Code(c.err) != code || !strings.Contains(c.err.Error(), text) {
				t.Errorf("%s: %v", what, c.err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: the stream does not end", what)
		}
	}
	expect("an expired certificate", connect(t, conn, "web", "web-0", nil, "until", "10ms"), codes.Unauthenticated, "has expired")
	first := connect(t, conn, "web", "web-1", nil)
	eventually(t, "the first stream", func() bool { return len(s.State(web).Pods) == 1 })
	second := connect(t, conn, "web", "web-1", nil)
	expect("another stream of the pod", first, codes.Aborted, "another stream")
	s.Remove(web)
	expect("the proxy was deleted", second, codes.NotFound, "was deleted")

	greedy := connect(t, conn, "web", "web-2", nil)
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Endpoint.URL()}
	for i := range 1000 {
		r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, fmt.Sprint("n", i))
	}
	if err := greedy.send(r); err != nil {
		t.Fatal(err)
	}
	expect("too many names", greedy, codes.ResourceExhausted, "more than 100 resources")
	eventually(t, "the proxy to be forgotten", func() bool { return s.proxy(web) == nil })
}

// A pod that does not read holds up nobody else, and can't open streams without end.
func TestSlowPod(t *testing.T) {
	s, dial := serveAll(t, Options{})
	huge := strings.Repeat("x", 200<<10)
	resources := []*resource.Resource{raw(resource.Endpoint, "a", "1"), raw(resource.Endpoint, "b", huge)}
	for i := range 20 {
		resources = append(resources, raw(resource.Cluster, fmtInt(i), huge))
	}
	s.Set(web, Config{Resources: setOf(resources...)}, 0)
	// A window of flow control is everything that the slow pod takes of each response.
	slow, sent := dial(grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)), clusterBytes(t)
	for i := range maxOpen + 1 {
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "name", "web", "pod", "slow"))
		defer cancel()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(slow).DeltaAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*discoveryv3.DeltaDiscoveryRequest{
			{TypeUrl: resource.Endpoint.URL(), ResourceNamesSubscribe: []string{"b"}}, {TypeUrl: resource.Cluster.URL()},
		} {
			if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		if i < maxOpen {
			// The second response is counted before it waits for the first to be read.
			eventually(t, "the second response", func() bool { return clusterBytes(t) > sent })
			sent = clusterBytes(t)
			continue
		}
		if _, err := stream.Recv(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("stream %d of a pod that does not read: %v", i+1, err)
		}
	}
	quick := connect(t, dial(), "web", "web-0", nil)
	eventually(t, "the quick pod", func() bool { return quick.received() == len(resources) })
	for i := range 50 {
		s.SetEndpoints(web, "", raw(resource.Endpoint, "a", fmtInt(i)))
	}
	eventually(t, "the quick pod's endpoints", func() bool { return quick.version(key(resource.Endpoint, "a")) == "v49" })
}

// The version that a pod's Envoy reports is in the state, and is counted while the pod is
// connected. A version that no Envoy has is no series.
func TestVersions(t *testing.T) {
	s, dial := serveAll(t, Options{})
	versions := func() string {
		var b strings.Builder
		for _, pod := range s.State(web).Pods {
			fmt.Fprintf(&b, "%s %s ", pod.Pod, pod.Version)
		}
		families, err := legacyregistry.DefaultGatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "epic_xds_connected_envoys" {
				continue
			}
			for _, m := range f.GetMetric() {
				if v := m.GetLabel()[0].GetValue(); v == "7.1.10" || v == "7.1.11" {
					fmt.Fprintf(&b, "[%s: %v]", v, m.GetGauge().GetValue())
				}
			}
		}
		return b.String()
	}
	conn := dial()
	first := connect(t, conn, "web", "first-name", nil)
	second := connect(t, conn, "web", "other-name", nil)
	third := connect(t, conn, "web", "third-name-", nil)
	eventually(t, "three pods", func() bool {
		return versions() == "first-name 7.1.10 other-name 7.1.10 third-name- 7.1.11 [7.1.10: 2][7.1.11: 1]"
	})
	third.cancel()
	second.cancel()
	eventually(t, "one pod", func() bool { return versions() == "first-name 7.1.10 [7.1.10: 1]" })
	// Another stream takes the place of the first.
	connect(t, conn, "web", "first-name", nil)
	<-first.ended
	eventually(t, "the other stream", func() bool { return versions() == "first-name 7.1.10 [7.1.10: 1]" })
}

func clusterBytes(t *testing.T) float64 {
	t.Helper()
	n, err := testutil.GetCounterMetricValue(metered.bytesSent.WithLabelValues(resource.Cluster.String()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A pod that sends requests without end is slowed down, and is answered all the same.
func TestRequestRate(t *testing.T) {
	s, conn := serve(t, Options{RequestRate: 1000, RequestBurst: 10})
	s.Set(web, Config{Resources: setOf(raw(resource.Endpoint, "a", "1"))}, 0)
	c := connect(t, conn, "web", "web-0", nil)
	eventually(t, "the endpoints", func() bool { return c.version(key(resource.Endpoint, "a")) == "v1" })
	began := time.Now()
	const n = 200
	for range n {
		if err := c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Route.URL(), ResourceNamesSubscribe: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Endpoint.URL(), ResourceNamesSubscribe: []string{"c"}}); err != nil {
		t.Fatal(err)
	}
	s.SetEndpoints(web, "", raw(resource.Endpoint, "c", "1"))
	eventually(t, "the last request's answer", func() bool { return c.version(key(resource.Endpoint, "c")) == "v1" })
	if took := time.Since(began); took < (n-20)*time.Millisecond {
		t.Errorf("%d requests were taken in %s", n, took)
	}
}

// Many callers at once, and pods that come and go. The race detector watches.
func TestConcurrent(t *testing.T) {
	r := &recorder{}
	s, conn := serve(t, Options{Observer: r})
	proxies := make([]proxyidentity.Proxy, 4)
	for i := range proxies {
		proxies[i] = proxyidentity.Proxy{Namespace: "epic-a", Kind: proxyidentity.GWProxy, Name: fmt.Sprint("p", i)}
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 0))
			for range 300 {
				id := proxies[random.IntN(len(proxies))]
				content := fmtInt(random.IntN(5))
				switch random.IntN(6) {
				case 0:
					s.Set(id, Config{Resources: setOf(raw(resource.Cluster, "c"+content, content), raw(resource.Listener, "l", content), raw(resource.Endpoint, "a", content), raw(resource.Route, "b", "bad"+content))}, s.Mark(id))
				case 1:
					s.Remove(id)
				case 2:
					s.State(id)
					s.Resources(proxyidentity.Identity{Proxy: id, Pod: "x"})
				default:
					s.SetEndpoints(id, []string{"", "x", "y"}[random.IntN(3)], raw(resource.Endpoint, "a", content))
				}
			}
		})
	}
	var pods sync.WaitGroup
	for i := range 6 {
		pods.Go(func() {
			for range 10 {
				c := connect(t, conn, fmt.Sprint("p", i%4), []string{"x", "y"}[i%2], nil)
				select {
				case <-c.ended:
				case <-time.After(20 * time.Millisecond):
					c.cancel()
				}
			}
		})
	}
	writers.Wait()
	pods.Wait()
	// In the end everybody gets the last configuration.
	for i, id := range proxies {
		s.Set(id, Config{Resources: setOf(raw(resource.Cluster, "last", "1"))}, s.Mark(id))
		c := connect(t, conn, fmt.Sprint("p", i), "z", nil)
		eventually(t, "the last configuration", func() bool { return c.version(key(resource.Cluster, "last")) == "v1" })
	}
}
