// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/pkg/dashboard/rates"
	"github.com/acnodal/epic/pkg/overview"
)

// feed is a Feed that a test fills.
type feed struct {
	mu      sync.Mutex
	now     *live.Snapshot
	changed chan struct{}
}

func (f *feed) Now() (*live.Snapshot, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.changed
}

// set replaces the snapshot.
func (f *feed) set(change func(*live.Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.now
	change(&next)
	next.Sequence++
	f.now = &next
	close(f.changed)
	f.changed = make(chan struct{})
}

// feedOf is connected and shows the model.
func feedOf(m *overview.Model) *feed {
	return &feed{now: &live.Snapshot{Model: m, Sequence: 1, Loaded: true, Connected: true, LastAnswer: m.Now.Time}, changed: make(chan struct{})}
}

// example is an input of package overview's tests.
type example struct {
	Installation *overview.Installation `json:"installation"`
	Objects      *overview.Objects      `json:"objects"`
}

// modelOf builds the model of one of those examples.
func modelOf(t testing.TB, name string) *overview.Model {
	t.Helper()
	data, err := os.ReadFile("../overview/testdata/" + name + ".in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var e example
	if err := yaml.UnmarshalStrict(data, &e); err != nil {
		t.Fatal(err)
	}
	if e.Objects == nil {
		e.Objects = &overview.Objects{Now: metav1.Now()}
	}
	if e.Installation != nil {
		e.Objects.Checks = e.Installation.Checks()
	}
	return overview.Build(e.Objects)
}

// serve serves a feed until the test ends.
func serve(t testing.TB, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if o.Server == "" {
		o.Server = "https://epic.example:6443"
	}
	s, err := Listen(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// get asks for a path below the base with the cookie, and returns the answer.
func (s *Server) get(t testing.TB, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.guard.hosts[0]+s.guard.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: s.guard.cookie()})
	if change != nil {
		change(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// lacks returns those parts that a text does not have.
func lacks(text string, parts ...string) []string {
	var out []string
	for _, part := range parts {
		if !strings.Contains(text, part) {
			out = append(out, part)
		}
	}
	return out
}

// fixedRates are rates that a test gives.
type fixedRates struct{}

func (fixedRates) Namespace(string) map[string]rates.Pod {
	return map[string]rates.Pod{"shop-1": {Requests: 125.4, Connections: 12}, "shop-2": {Requests: 98.2, Connections: 9.5}, "edge-1": {Requests: 3.25, Connections: 0.5}}
}

func (fixedRates) Tunnels(ids []int32) map[int32]rates.Tunnel {
	out := map[int32]rates.Tunnel{}
	for _, id := range ids {
		out[id] = rates.Tunnel{RoundTrip: time.Duration(id) * 7 * time.Millisecond / 3, Received: 1.2e5 * float64(id), Sent: 3.4e6 / float64(id)}
	}
	return out
}

func (fixedRates) Note() string {
	return "Rates over the last 5 minutes, from monitoring/prometheus:9090."
}

// manyProxies is the model of a number of load balancers with two tunnels and ten endpoints
// each, in ten accounts; each hundredth has a problem.
func manyProxies(n int) *overview.Model { return overview.Build(manyObjects(n)) }

func manyObjects(n int) *overview.Objects {
	o := &overview.Objects{Now: metav1.Now()}
	for i := range n {
		ns, name := fmt.Sprintf("epic-tenant-%d", i%10), fmt.Sprintf("shop-%04d", i)
		ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Ready"}
		if i%100 == 0 {
			ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "NoEndpoints", "No endpoint is ready"
		}
		lb := &v1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
		lb.Spec.PublicAddress = fmt.Sprintf("203.0.%d.%d", i/250, i%250)
		lb.Spec.UpstreamClusters = []string{"paris"}
		lb.Status.Envoy = &v1.EnvoyStatus{Replicas: 2, ReadyReplicas: 2}
		lb.Status.Conditions = []metav1.Condition{ready}
		lb.Status.GUETunnelEndpoints = map[string]v1.TunnelEndpoint{"10.0.0.1": {EPICEndpoints: map[string]v1.GUETunnelEndpoint{
			"192.168.1.40": {TunnelID: int32(2*i + 1)}, "192.168.1.41": {TunnelID: int32(2*i + 2)},
		}}}
		o.LoadBalancers = append(o.LoadBalancers, lb)
		for e := range 10 {
			rep := &v1.RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("%s-%d", name, e), Labels: map[string]string{epic.OwningLoadBalancerLabel: name}}}
			rep.Spec = v1.RemoteEndpointSpec{Cluster: "paris", Address: fmt.Sprintf("10.1.%d.%d", i%250, e+1), NodeAddress: "10.0.0.1", Port: v1.EndpointPort{Port: 8080}}
			rep.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Ready"}}
			o.RemoteEndpoints = append(o.RemoteEndpoints, rep)
		}
	}
	return o
}
