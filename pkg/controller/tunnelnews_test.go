// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

// newsWorld has caches without a server, and counts which objects are reconciled.
type newsWorld struct {
	t    *testing.T
	news *tunnelNews

	mu   sync.Mutex
	seen map[string]int
}

func newNewsWorld(t *testing.T) *newsWorld {
	t.Helper()
	c, err := newCaches(&Options{Client: fake.NewClientset()})
	if err != nil {
		t.Fatal(err)
	}
	w := &newsWorld{t: t, news: newTunnelNews(c), seen: map[string]int{}}
	n := w.news
	for name, l := range map[string]**reconciler{"lb": &n.balancers, "rep": &n.endpoints, "gwp": &n.proxies, "route": &n.routes, "slice": &n.slices} {
		*l = newReconciler("test-news-" + name)
		go func() {
			for {
				key, down := (*l).queue.Get()
				if down {
					return
				}
				w.mu.Lock()
				w.seen[name+" "+key.Name]++
				w.mu.Unlock()
				(*l).queue.Done(key)
			}
		}()
	}
	return w
}

// run does a part of a test while news are told.
func (w *newsWorld) run(do func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() { w.news.run(ctx); close(ended) }()
	do()
	cancel()
	<-ended
	for _, l := range []*reconciler{w.news.balancers, w.news.endpoints, w.news.proxies, w.news.routes, w.news.slices} {
		l.queue.ShutDown()
	}
}

// take returns what was reconciled since it was called last.
func (w *newsWorld) take() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(slices.Sorted(maps.Keys(w.seen)), ", ")
	w.seen = map[string]int{}
	return out
}

func (w *newsWorld) add(obj any) {
	w.t.Helper()
	k := w.news.caches.kinds
	var err error
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		err = k.LoadBalancers().Informer().GetIndexer().Add(o)
	case *epicv1.RemoteEndpoint:
		err = k.RemoteEndpoints().Informer().GetIndexer().Add(o)
	case *epicv1.GWProxy:
		err = k.GWProxies().Informer().GetIndexer().Add(o)
	case *epicv1.GWRoute:
		err = k.GWRoutes().Informer().GetIndexer().Add(o)
	case *epicv1.GWEndpointSlice:
		err = k.GWEndpointSlices().Informer().GetIndexer().Add(o)
	default:
		w.t.Fatalf("a %T", obj)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// report has a gateway node report that some tunnels are up and some down.
func (w *newsWorld) report(node string, up, down []uint32) {
	w.news.tracker.Set(&epicv1.GatewayNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: node},
		Status:     epicv1.GatewayNodeStatus{HeartbeatTime: metav1.Now(), TunnelStates: &epicv1.TunnelStates{Up: idset.Of(up...).Encode(), Down: idset.Of(down...).Encode()}},
	})
}

// Those objects are reconciled whose tunnels changed, and no others.
func TestTunnelNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNewsWorld(t)
		meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
		lb := &epicv1.LoadBalancer{ObjectMeta: meta("lb"), Status: tunnelsOf("11", "12", "21")}
		w.add(lb)
		w.add(&epicv1.LoadBalancer{ObjectMeta: meta("other"), Status: tunnelsOf("31")})
		for i, rep := range endpointsOn(1, 1, 2, 0) {
			rep.Name = fmt.Sprint("rep", i)
			w.add(rep)
		}
		w.add(&epicv1.GWProxy{ObjectMeta: meta("p"), Status: tunnelsOf("41", "51")})
		for i, node := range []string{"10.0.0.4", "10.0.0.5"} {
			service := fmt.Sprint("svc", i)
			route := routeTo([]string{"p"}, service)
			route.ObjectMeta = meta(fmt.Sprint("route", i))
			w.add(route)
			slice := sliceOf(service, func(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses = map[string]string{"n": node} })
			slice.Name = fmt.Sprint("slice", i)
			w.add(slice)
		}
		w.run(func() {
			for _, step := range []struct {
				what     string
				node     string
				up, down []uint32
				want     string
			}{
				{"first", "192.0.2.1", []uint32{11, 21}, nil, "lb lb, rep rep0, rep rep1, rep rep2"},
				{"nothing new", "192.0.2.1", []uint32{11, 21}, nil, ""},
				{"one down", "192.0.2.1", []uint32{11}, []uint32{21}, "lb lb, rep rep2"},
				{"of a proxy", "192.0.2.1", []uint32{11, 51}, []uint32{21}, "gwp p, route route1, slice slice1"},
				{"of another node", "192.0.2.2", []uint32{12}, nil, "lb lb, rep rep0, rep rep1"},
				{"what does not end on it", "192.0.2.2", []uint32{11, 12, 21, 31, 41}, []uint32{51}, ""},
				{"a node of which nobody has heard", "192.0.2.77", []uint32{11}, nil, ""},
			} {
				w.report(step.node, step.up, step.down)
				if got := w.take(); got != step.want {
					t.Errorf("%s: %s, want %s", step.what, got, step.want)
				}
				// So that no object waits for its next turn.
				time.Sleep(2 * objectEvery)
				w.take()
			}
			// A node knows of a tunnel before the cache does.
			w.report("192.0.2.1", []uint32{11, 51, 61}, []uint32{21})
			if got := w.take(); got != "" {
				t.Errorf("a tunnel of which the cache does not know: %s", got)
			}
			later := lb.DeepCopy()
			later.Status = tunnelsOf("11", "12", "21", "61", "71")
			for _, s := range []informed{w.news.ofLoadBalancers, w.news.ofGWProxies} {
				s.handler.OnUpdate(lb, later)
			}
			if got := w.take(); got != "lb lb" {
				t.Errorf("when the cache does: %s", got)
			}
			w.news.ofLoadBalancers.handler.OnUpdate(later, later)
			time.Sleep(objectEvery)
			if got := w.take(); got != "" {
				t.Errorf("without a new tunnel: %s", got)
			}
			// The heartbeats stop.
			time.Sleep(5 * time.Minute)
			if got := w.take(); got != "gwp p, lb lb, rep rep0, rep rep1, rep rep2, route route1, slice slice1" {
				t.Errorf("silent nodes: %s", got)
			}
		})
	})
}

// Ten thousand tunnels that flap all the time have no more than signalRate objects a
// second reconciled, after signalBurst; each reconciliation is one write at most. The
// first change of an object, up or down, waits for nothing.
func TestFlappingTunnelsAreBounded(t *testing.T) {
	const (
		nodes, balancers, perNode = 10, 1000, 1000
		minutes                   = 1
	)
	synctest.Test(t, func(t *testing.T) {
		w := newNewsWorld(t)
		states := [nodes][]bool{}
		for n := range nodes {
			states[n] = make([]bool, perNode)
		}
		for b := range balancers {
			// Each has a tunnel to each gateway node, and an endpoint.
			status := epicv1.ProxyStatus{GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{}, ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{}}
			entry := epicv1.TunnelEndpoint{EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{}}
			for n := range nodes {
				address := fmt.Sprint("192.0.2.", n+1)
				entry.EPICEndpoints[address] = epicv1.GUETunnelEndpoint{EPICAddress: address, TunnelID: int32(1 + n*perNode + b)}
				status.ProxyIfInfo[address] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: address}
			}
			status.GUETunnelEndpoints["10.0.0.1"] = entry
			name := fmt.Sprint("lb", b)
			w.add(&epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Status: status})
			rep := endpointsOn(1)[0]
			rep.Name, rep.Labels[epic.OwningLoadBalancerLabel] = name, name
			w.add(rep)
		}
		report := func(n int) {
			var up, down []uint32
			for i, is := range states[n] {
				if id := uint32(1 + n*perNode + i); is {
					up = append(up, id)
				} else {
					down = append(down, id)
				}
			}
			w.report(fmt.Sprint("192.0.2.", n+1), up, down)
		}
		count := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			sum := 0
			for _, n := range w.seen {
				sum += n
			}
			w.seen = map[string]int{}
			return sum
		}
		w.run(func() {
			for n := range nodes {
				report(n)
			}
			// All of them are new.
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := count(); n < 2*balancers {
				t.Errorf("%d of %d objects are reconciled", n, 2*balancers)
			}
			for _, up := range []bool{true, false} {
				states[0][7] = up
				report(0)
				synctest.Wait()
				if n := count(); n != 2 {
					t.Errorf("%d objects are reconciled at once when a tunnel's state is %v", n, up)
				}
			}
			time.Sleep(time.Minute)
			count()
			random := rand.New(rand.NewPCG(1, 2))
			for range minutes * 60 {
				for n := range nodes {
					for i := range states[n] {
						states[n][i] = random.IntN(2) == 0
					}
					report(n)
				}
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if n, most := count(), int(signalRate)*minutes*60+signalBurst; n > most || n < most/2 {
				t.Errorf("%d objects are reconciled in %d minutes, want at most %d", n, minutes, most)
			} else {
				t.Logf("%d tunnels flap for %d minutes: %d of at most %d reconciliations", nodes*perNode, minutes, n, most)
			}
		})
	})
}

// A gateway node that reports on every ID there is costs no more than its own tunnels.
func TestTunnelNewsOfALiar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNewsWorld(t)
		w.add(&epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lb"}, Status: tunnelsOf("11", "12")})
		w.run(func() {
			w.news.tracker.Set(&epicv1.GatewayNode{
				ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: "192.0.2.2"},
				Status:     epicv1.GatewayNodeStatus{HeartbeatTime: metav1.Now(), TunnelStates: &epicv1.TunnelStates{Down: []byte{1, 0xfe, 0xff, 0xff, 0xff, 0x07}}},
			})
			if got := w.take(); got != "lb lb" {
				t.Error(got)
			}
			state := stateFunc(w.news.tracker.State)
			if state.of(11, netip.MustParseAddr("192.0.2.1")).String()+state.of(12, netip.MustParseAddr("192.0.2.2")).String() != "unknowndown" {
				t.Error("it speaks for another node")
			}
		})
	})
}
