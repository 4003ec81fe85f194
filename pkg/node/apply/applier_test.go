// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
	"github.com/acnodal/epic/pkg/node/proxies"
)

var (
	epicNode   = netip.MustParseAddr("192.0.2.40")
	tenantNode = netip.MustParseAddr("192.168.1.16")
	public     = netip.MustParseAddr("192.168.77.2")
)

func nobody(netip.Addr) (string, bool) { return "", false }

func anywhere(node, _ netip.Addr) (netip.Addr, uint16, error) { return node, 1464, nil }

// ends notes which tunnels are open.
type ends struct {
	mu   sync.Mutex
	open map[uint32]uint8
}

func (e *ends) Set(t dataplane.Tunnel, keys []gue.Key) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[t.ID] = keys[0].ID
	return nil
}

func (e *ends) Remove(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, id)
}

func start(t *testing.T, plane *fakeplane.Plane, plan Planner) (*Applier, *ends) {
	e := &ends{open: map[uint32]uint8{}}
	a := New(plane, e, plan)
	run(t, a)
	return a, e
}

func run(t *testing.T, a *Applier) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func intended(name string, id uint32, pods ...string) *intent.Intent {
	i := &intent.Intent{
		Key: intent.Key{Kind: proxies.LoadBalancer, Namespace: "epic-a", Name: name}, UID: types.UID(name), Public: public,
		Tunnels: []intent.Tunnel{{ID: id, TenantNode: tenantNode, EPICNode: netip.AddrPortFrom(epicNode, 6080)}},
	}
	for _, p := range pods {
		i.Endpoints = append(i.Endpoints, endpoints.Endpoint{Address: netip.MustParseAddrPort(p), Protocol: 6, Node: tenantNode})
	}
	return i
}

func keysFor(id uint32, key uint8) intent.Keys {
	return intent.NewKeys(map[uint32][]gue.Key{id: {{ID: key}}})
}

// On a client node a tunnel is there but shut, then its services, then it is open,
// and only then PINGs go out; it ends the other way round.
func TestOrderOnClient(t *testing.T) {
	plane := fakeplane.New()
	a, e := start(t, plane, ForClient(anywhere, 6080))
	o := intended("one", 5, "10.0.0.1:80")
	a.Set(o)
	wait(t, a)
	if len(e.open) != 0 {
		t.Error("it is open without a key")
	}
	want := []string{"tunnels.put 5 remote false", "services.put t5 10.0.0.1:80/6", "tunnels.put 5 remote true"}
	if diff := cmp.Diff(want, plane.Log()); diff != "" {
		t.Error(diff)
	}
	a.SetKeys(o.Key, keysFor(5, 1))
	wait(t, a)
	if e.open[5] != 1 {
		t.Error("it is not open with a key")
	}
	if log := plane.Log(); len(log) != 0 {
		t.Errorf("a key is nothing for the kernel: %v", log)
	}
	services, _ := plane.Services().List()
	if len(services) != 1 || !slices.Equal(services[0].Sources, []netip.Addr{public}) {
		t.Errorf("services %+v", services)
	}
	// The same again is no work.
	a.Set(intended("one", 5, "10.0.0.1:80"))
	wait(t, a)
	a.Set(intended("one", 5, "10.0.0.2:80"))
	wait(t, a)
	a.Delete(o.Key)
	wait(t, a)
	want = []string{
		"services.put t5 10.0.0.2:80/6", "services.put t5 10.0.0.1:80/6 leaving",
		"services.delete t5 10.0.0.2:80/6", "services.delete t5 10.0.0.1:80/6", "tunnels.delete 5",
	}
	if diff := cmp.Diff(want, plane.Log()); diff != "" {
		t.Error(diff)
	}
	if len(e.open) != 0 {
		t.Error("it is open after its end")
	}
}

// An object that comes again without a change takes no memory next to what is kept of it.
func TestSameAgain(t *testing.T) {
	a, _ := start(t, fakeplane.New(), ForClient(anywhere, 6080))
	var last *intent.Intent
	for range 2 {
		last = intended("web", 5, "10.244.1.5:8080")
		a.Set(last)
	}
	a.EachIntent(func(i *intent.Intent) {
		if &i.Tunnels[0] != &last.Tunnels[0] {
			t.Error("the former intent's tunnels are kept")
		}
	})
}

func wait(t *testing.T, a *Applier) {
	t.Helper()
	if err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// On a gateway each proxy has its services, and follows when proxies come and go.
func TestGatewayProxies(t *testing.T) {
	plane := fakeplane.New()
	var mu sync.Mutex
	var here []proxies.Interface
	a, _ := start(t, plane, ForGateway(anywhere, func(intent.Key) []proxies.Interface {
		mu.Lock()
		defer mu.Unlock()
		return here
	}, nobody))
	set := func(indexes ...int) {
		mu.Lock()
		here = nil
		for _, n := range indexes {
			here = append(here, proxies.Interface{Index: n})
		}
		mu.Unlock()
		a.Replan()
		wait(t, a)
	}
	o := intended("one", 5, "10.0.0.1:80", "10.0.0.2:80")
	o.Endpoints = append(o.Endpoints, endpoints.Endpoint{Address: netip.MustParseAddrPort("10.0.9.9:80"), Protocol: 6, Node: epicNode})
	a.Set(o)
	for _, indexes := range [][]int{{}, {7}, {7, 8}, {8}, {9}, {}} {
		set(indexes...)
		services, _ := plane.Services().List()
		if len(services) != 2*len(indexes) {
			t.Errorf("%d services with proxies %v: %v", len(services), indexes, services)
		}
		for _, s := range services {
			if !slices.Contains(indexes, s.Interface) || s.Tunnel != 5 {
				t.Errorf("service %+v with proxies %v", s, indexes)
			}
		}
	}
	// A tunnel whose ID changed takes its services along.
	set(7)
	a.Set(intended("one", 6, "10.0.0.1:80", "10.0.0.2:80"))
	wait(t, a)
	services, _ := plane.Services().List()
	tunnels, _ := plane.Tunnels().List()
	if len(services) != 2 || services[0].Tunnel != 6 || services[1].Tunnel != 6 || len(tunnels) != 1 || tunnels[0].ID != 6 {
		t.Errorf("services %v, tunnels %v", services, tunnels)
	}
}

// A new object of the same name has other keys: those of the old one must not open
// its tunnels.
func TestAnotherUID(t *testing.T) {
	plane := fakeplane.New()
	a, e := start(t, plane, ForClient(anywhere, 6080))
	a.Set(intended("one", 5, "10.0.0.1:80"))
	a.SetKeys(intended("one", 5).Key, keysFor(5, 1))
	wait(t, a)
	again := intended("one", 6, "10.0.0.1:80")
	again.UID = "another"
	a.Set(again)
	wait(t, a)
	if len(e.open) != 0 {
		t.Errorf("open: %v", e.open)
	}
	if s, ok := a.Get(again.Key); !ok || s.Keys.Len() != 0 {
		t.Errorf("keys %v", s.Keys)
	}
	if key, ok := a.Owner(6); !ok || key != again.Key {
		t.Errorf("tunnel 6 is of %v", key)
	}
}

// What does not fit is reported, keeps nobody else out, leaves nothing behind, and
// comes when there is room.
func TestFull(t *testing.T) {
	plane := fakeplane.New()
	full := func(name string) error {
		if tunnels := name == "services.put"; tunnels {
			return fmt.Errorf("services: %w", dataplane.ErrMapFull)
		}
		return nil
	}
	a, _ := start(t, plane, ForClient(anywhere, 6080))
	plane.FailWith(full)
	a.Set(intended("empty", 4))
	a.Set(intended("one", 5, "10.0.0.1:80"))
	a.Set(intended("other", 6, "10.0.0.1:80"))
	wait(t, a)
	problems := map[string]error{}
	a.Each(func(s State) { problems[s.Intent.Name] = s.Err })
	if problems["empty"] != nil || !errors.Is(problems["one"], dataplane.ErrMapFull) || !errors.Is(problems["other"], dataplane.ErrMapFull) {
		t.Errorf("problems %v", problems)
	}
	a.Delete(intended("other", 6).Key)
	plane.FailWith(nil)
	wait(t, a)
	a.Set(intended("late", 7))
	for {
		wait(t, a)
		services, _ := plane.Services().List()
		tunnels, _ := plane.Tunnels().List()
		ids := []uint32{}
		for _, n := range tunnels {
			ids = append(ids, n.ID)
		}
		if len(services) == 1 && slices.Equal(ids, []uint32{4, 5, 7}) {
			break
		}
		if t.Context().Err() != nil {
			t.Fatalf("services %v, tunnels %v", services, ids)
		}
		a.mu.Lock()
		a.touch(intended("one", 5).Key, a.objects[intended("one", 5).Key])
		a.mu.Unlock()
	}
	if s, _ := a.Get(intended("one", 5).Key); s.Err != nil {
		t.Errorf("still %v", s.Err)
	}
}

// Whatever comes in whatever order, and whatever fails on the way, in the end there
// is what the objects that are left ask for, and nothing else.
func TestConverges(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 7))
		plane := fakeplane.New()
		plan := ForClient(anywhere, 6080)
		if seed%2 == 0 {
			plan = ForGateway(anywhere, func(k intent.Key) []proxies.Interface {
				return []proxies.Interface{{Index: int(k.Name[0])}}
			}, nobody)
		}
		a, e := start(t, plane, plan)
		plane.FailWith(func(string) error {
			if rand.IntN(10) == 0 {
				return errors.New("no")
			}
			return nil
		})
		want := map[intent.Key]*intent.Intent{}
		next := uint32(1)
		for range 200 {
			o := intended(string(rune('a'+random.IntN(8))), next)
			next++
			if old := want[o.Key]; old != nil && random.IntN(2) == 0 {
				o.Tunnels = old.Tunnels
			}
			for range random.IntN(4) {
				o.Ports = append(o.Ports, intent.Port{Protocol: 6, Port: uint16(80 + random.IntN(3))})
			}
			for n := range random.IntN(4) {
				o.Endpoints = append(o.Endpoints, endpoints.Endpoint{Address: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", n+random.IntN(3))), Protocol: 6, Node: tenantNode})
			}
			if random.IntN(4) == 0 {
				a.Delete(o.Key)
				delete(want, o.Key)
				continue
			}
			a.Set(o)
			a.SetKeys(o.Key, keysFor(o.Tunnels[0].ID, 1))
			want[o.Key] = o
			if random.IntN(5) == 0 {
				wait(t, a)
			}
		}
		plane.FailWith(nil)
		wait(t, a)
		a.Replan()
		wait(t, a)
		a.mu.Lock()
		for key := range a.retry {
			a.touch(key, a.objects[key])
		}
		a.mu.Unlock()
		wait(t, a)
		// Those that left are closed in the end.
		a.mu.Lock()
		a.now = func() time.Time { return time.Now().Add(endpoints.LeaveAfter) }
		a.mu.Unlock()
		a.close(false)
		wait(t, a)

		expect := fakeplane.New()
		open := map[uint32]uint8{}
		for _, i := range want {
			p := plan(i)
			if err := errors.Join(expect.Tunnels().Put(p.Tunnels...), expect.Services().Put(p.Services...), expect.Openings().Put(p.Openings...)); err != nil {
				t.Fatal(err)
			}
			open[i.Tunnels[0].ID] = 1
		}
		check(t, seed, plane, expect)
		if !maps.Equal(open, e.open) {
			t.Errorf("seed %d: open %v, want %v", seed, e.open, open)
		}
	}
}

func check(t *testing.T, seed uint64, got, want *fakeplane.Plane) {
	t.Helper()
	compare := cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})}
	gotTunnels, _ := got.Tunnels().List()
	wantTunnels, _ := want.Tunnels().List()
	if diff := cmp.Diff(wantTunnels, gotTunnels, compare, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("seed %d: tunnels: %s", seed, diff)
	}
	gotServices, _ := got.Services().List()
	wantServices, _ := want.Services().List()
	if diff := cmp.Diff(wantServices, gotServices, compare, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("seed %d: services: %s", seed, diff)
	}
	gotOpenings, _ := got.Openings().List()
	wantOpenings, _ := want.Openings().List()
	if diff := cmp.Diff(wantOpenings, gotOpenings, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("seed %d: openings: %s", seed, diff)
	}
}

func TestPlanProblems(t *testing.T) {
	nowhere := func(node, _ netip.Addr) (netip.Addr, uint16, error) {
		return netip.Addr{}, 0, fmt.Errorf("no interface has %s", node)
	}
	for name, plan := range map[string]Planner{
		"gateway": ForGateway(nowhere, func(intent.Key) []proxies.Interface { return []proxies.Interface{{Index: 7}} }, nobody),
		"client":  ForClient(nowhere, 6080),
	} {
		p := plan(intended("one", 5, "10.0.0.1:80"))
		if len(p.Tunnels) != 0 || len(p.Services) != 0 || len(p.Problems) != 1 || !strings.Contains(p.Problems[0], "no interface has") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
