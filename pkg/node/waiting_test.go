// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/holdback"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// The client nodes of these tests.
var nodeA, nodeB = netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("2001:db8:1::2")

// leadsTo is the intent of a load balancer with endpoints on nodes, and the tunnels 1 to node A
// and 2 to node B.
func leadsTo(nodes ...netip.Addr) *intent.Intent {
	i := &intent.Intent{
		Key: intent.Key{Kind: proxies.LoadBalancer, Namespace: "epic-a", Name: "web"}, UID: "1",
		Tunnels: []intent.Tunnel{{ID: 1, TenantNode: nodeA}, {ID: 2, TenantNode: nodeB}},
	}
	for n, node := range nodes {
		i.Endpoints = append(i.Endpoints, endpoints.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80), Node: node})
	}
	return i
}

func TestCarries(t *testing.T) {
	direct, untunneled := leadsTo(nodeA), leadsTo(nodeA)
	direct.Direct = []intent.Direct{{Address: netip.MustParseAddrPort("10.1.0.1:80"), Protocol: 6}}
	untunneled.Untunneled = true
	none := leadsTo()
	none.Untunneled = true
	for name, test := range map[string]struct {
		intent   *intent.Intent
		verified []uint32
		want     holdback.Carries
	}{
		"no endpoints":                      {leadsTo(), nil, holdback.All},
		"no endpoints, but tunnels":         {leadsTo(), []uint32{1}, holdback.All},
		"endpoints without a tunnel yet":    {none, nil, holdback.None},
		"one node":                          {leadsTo(nodeA), nil, holdback.None},
		"one node, and the other's tunnel":  {leadsTo(nodeA), []uint32{2}, holdback.None},
		"one node, and its tunnel":          {leadsTo(nodeA, nodeA), []uint32{1}, holdback.All},
		"two nodes, and one tunnel":         {leadsTo(nodeA, nodeB), []uint32{2}, holdback.Some},
		"two nodes, and both tunnels":       {leadsTo(nodeB, nodeA), []uint32{1, 2}, holdback.All},
		"one of the tunnels is missing":     {untunneled, []uint32{1}, holdback.Some},
		"the other is not verified either":  {untunneled, nil, holdback.None},
		"an endpoint that needs none":       {direct, nil, holdback.Some},
		"one that needs none, and a tunnel": {direct, []uint32{1}, holdback.All},
	} {
		verified := func(id uint32) bool { return slices.Contains(test.verified, id) }
		if got := carries(test.intent, verified); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// A waiter decides for objects, whatever proxies they have, and asks to be told of the tunnels on
// which a decision depends.
func TestWaiter(t *testing.T) {
	web := leadsTo(nodeA)
	object := func(key intent.Key) *intent.Intent {
		if key == web.Key {
			return web
		}
		return nil
	}
	proxy := func(index int, standby bool) proxies.Interface {
		return proxies.Interface{Kind: web.Kind, Namespace: web.Namespace, Owner: web.Name, Index: index, Standby: standby}
	}
	stranger := proxy(9, false)
	stranger.Owner = "unknown"
	verified := map[uint32]bool{}
	w := newWaiter([]dataplane.Proxy{{Interface: 7}}, func(id uint32) bool { return verified[id] }, func(intent.Key) bool { return true })
	begin := time.Unix(1000, 0)
	for _, step := range []struct {
		what          string
		after         time.Duration
		running       []proxies.Interface
		verified      bool
		waits, awaits bool
		next          time.Duration
	}{
		{"nothing runs", 0, nil, false, false, false, 0},
		{"the object is not known", 0, []proxies.Interface{stranger}, false, false, false, 0},
		{"its proxy starts", 0, []proxies.Interface{proxy(8, true)}, false, false, false, 0},
		{"its proxy is ready", time.Second, []proxies.Interface{proxy(8, false)}, false, true, true, holdback.Longest},
		{"another starts", 11 * time.Second, []proxies.Interface{proxy(8, false), proxy(10, true)}, false, true, true, holdback.Longest - 10*time.Second},
		{"the tunnel opens", 12 * time.Second, []proxies.Interface{proxy(8, false), proxy(10, true)}, true, false, false, 0},
		{"the tunnel is another", 13 * time.Second, []proxies.Interface{proxy(10, false)}, false, false, false, 0},
		{"all proxies go", 14 * time.Second, nil, false, false, false, 0},
		{"one comes back", 15 * time.Second, []proxies.Interface{proxy(11, false)}, false, true, true, holdback.Longest},
		{"it waits for too long", 45 * time.Second, []proxies.Interface{proxy(11, false)}, false, false, false, 0},
		{"all proxies go again", 46 * time.Second, nil, false, false, false, 0},
		{"an earlier program had this one", 47 * time.Second, []proxies.Interface{proxy(7, false)}, false, false, false, 0},
		{"and another next to it", 48 * time.Second, []proxies.Interface{proxy(7, true), proxy(12, false)}, false, false, false, 0},
	} {
		verified[1] = step.verified
		now := begin.Add(step.after)
		waits, next := w.decide(t.Context(), now, step.running, object)
		if waits[web.UID] != step.waits || len(waits) > 1 {
			t.Errorf("%s: %v wait", step.what, waits)
		}
		if w.awaits(1) != step.awaits || w.awaits(3) {
			t.Errorf("%s: tunnel 1 is awaited: %t, want %t", step.what, w.awaits(1), step.awaits)
		}
		if got := next.Sub(now); step.next == 0 && !next.IsZero() || step.next != 0 && got != step.next {
			t.Errorf("%s: the next decision is due after %s, want %s", step.what, got, step.next)
		}
	}
}

// A tunnel that is verified while a decision is made is not missed.
func TestVerifiedMeanwhile(t *testing.T) {
	web := leadsTo(nodeA)
	var w *waiter
	told := false
	w = newWaiter(nil, func(uint32) bool { told = w.awaits(1); return false }, func(intent.Key) bool { return true })
	w.decide(t.Context(), time.Unix(1000, 0), []proxies.Interface{{Kind: web.Kind, Namespace: web.Namespace, Owner: web.Name, Index: 1}}, func(intent.Key) *intent.Intent { return web })
	if !told {
		t.Error("the tunnel was looked at before anybody would have been told of it")
	}
}

// A new proxy's address is announced once its tunnel carries packets, or after a while. One that
// was announced stays so over a restart of the program, although its tunnel carries none.
func TestAnnouncedOnceTunnelsCarry(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.pods.list = []proxies.Interface{r.pod(lb, "web-1", 7)}
	var mu sync.Mutex
	waited, announced := false, false
	r.network.applied = func(d host.Desired) {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range d.Addresses {
			if a.Waits && announced {
				t.Error("its address is withdrawn")
			}
			waited, announced = waited || a.Waits, announced || !a.Waits
		}
	}
	until := func(what string, wantWaited bool) {
		t.Helper()
		r.until(what, func() error {
			mu.Lock()
			defer mu.Unlock()
			if !announced {
				return errors.New("it is not announced")
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		if waited != wantWaited {
			t.Errorf("%s: it waited: %t", what, waited)
		}
	}
	r.run()
	r.tunnel("web")
	until("the time is over", true)
	r.until("the proxy is programmed", func() error {
		if list, err := r.plane.Proxies().List(); err != nil || len(list) != 1 {
			return fmt.Errorf("%v: %w", list, err)
		}
		return nil
	})
	r.stop()
	mu.Lock()
	waited = false
	mu.Unlock()
	r.network.mu.Lock()
	r.network.desired = host.Desired{}
	r.network.mu.Unlock()
	r.run()
	r.until("it is applied again", func() error {
		if len(r.network.get().Addresses) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	until("after a restart", false)
	r.stop()

	// Its proxy is replaced while no program runs, and the tunnel carries packets.
	tunnels, err := r.plane.Tunnels().List()
	r.must(nil, err)
	if len(tunnels) != 1 {
		t.Fatalf("the tunnels are %v", tunnels)
	}
	r.must(nil, r.plane.Tunnels().SetRemote(tunnels[0].ID, netip.MustParseAddrPort("192.0.2.9:6080")))
	r.pods.list = []proxies.Interface{r.pod(lb, "web-2", 8)}
	mu.Lock()
	announced = false
	mu.Unlock()
	r.run()
	until("a tunnel that carries packets", false)
}
