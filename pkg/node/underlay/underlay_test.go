// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
)

var (
	node   = netip.MustParseAddr("192.168.1.16")
	node6  = netip.MustParseAddr("fd00:1::16")
	epic   = netip.MustParseAddr("192.0.2.40")
	epic6  = netip.MustParseAddr("2001:db8:2::40")
	second = netip.MustParseAddr("10.9.9.9")
)

// kernel is a kernel on paper.
type kernel struct {
	links     []Link
	addresses map[netip.Addr]int
	defaults  []int
	routes    map[netip.Addr]route
	changed   atomic.Pointer[func()]
}

func (k *kernel) Links() ([]Link, error)                 { return k.links, nil }
func (k *kernel) Addresses() (map[netip.Addr]int, error) { return maps.Clone(k.addresses), nil }
func (k *kernel) DefaultRoutes() ([]int, error)          { return k.defaults, nil }
func (k *kernel) Route(to netip.Addr) (int, netip.Addr, error) {
	r, ok := k.routes[to]
	if !ok {
		return 0, netip.Addr{}, errors.New("network is unreachable")
	}
	return r.index, r.source, nil
}

func (k *kernel) Watch(ctx context.Context, changed func()) error {
	k.changed.Store(&changed)
	<-ctx.Done()
	return nil
}

func newKernel() *kernel {
	return &kernel{
		links:     []Link{{2, "eth0", 1500}, {3, "eth1", 9000}, {7, "veth1", 1500}},
		addresses: map[netip.Addr]int{node: 2, node6: 2, second: 3},
		defaults:  []int{2},
		routes:    map[netip.Addr]route{epic: {index: 2, source: node}, epic6: {index: 2, source: node6}},
	}
}

func attached(t *testing.T, p *fakeplane.Plane) []int {
	t.Helper()
	has, err := p.Underlay().Attached()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(has))
}

func TestInterfaces(t *testing.T) {
	for name, c := range map[string]struct {
		names  []string
		extra  []string
		change func(*kernel)
		nodes  []netip.Addr
		want   []int
		err    string
	}{
		"the address and the default route": {want: []int{2}},
		"apart from each other":             {change: func(k *kernel) { k.defaults = []int{3} }, want: []int{2, 3}},
		"named":                             {names: []string{"eth1"}, want: []int{3}},
		"named and not there":               {names: []string{"eth0", "eth9"}, want: []int{2}, err: "eth9"},
		"EPIC's":                            {extra: []string{"eth1", "enp1s0"}, want: []int{2, 3}},
		"address nowhere":                   {nodes: []netip.Addr{epic}, want: []int{2}, err: "192.0.2.40"},
	} {
		t.Run(name, func(t *testing.T) {
			k, p := newKernel(), fakeplane.New()
			if c.change != nil {
				c.change(k)
			}
			if c.nodes == nil {
				c.nodes = []netip.Addr{node}
			}
			u := New(Options{Kernel: k, Plane: p.Underlay(), Nodes: c.nodes, Names: c.names})
			u.Use(c.extra)
			err := u.Refresh()
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if got := attached(t, p); !slices.Equal(got, c.want) {
				t.Errorf("attached to %v, want %v", got, c.want)
			}
		})
	}
}

// An interface that comes later, goes, comes back as another, or changes.
func TestFollows(t *testing.T) {
	k, p := newKernel(), fakeplane.New()
	k.links, k.addresses, k.defaults = nil, nil, nil
	changes := 0
	u := New(Options{Kernel: k, Plane: p.Underlay(), Nodes: []netip.Addr{node}, Changed: func() { changes++ }})
	step := func(what string, links []Link, addresses map[netip.Addr]int, want []int, changed bool) {
		t.Helper()
		k.links, k.addresses = links, addresses
		before := changes
		_ = u.Refresh()
		if got := attached(t, p); !slices.Equal(got, want) {
			t.Errorf("%s: attached to %v, want %v", what, got, want)
		}
		if (changes > before) != changed {
			t.Errorf("%s: changed %t, want %t", what, changes > before, changed)
		}
	}
	step("nothing", nil, nil, nil, true)
	if _, _, err := u.Local(node, node); err == nil {
		t.Error("an address that is nowhere is local")
	}
	step("it appears", []Link{{2, "eth0", 1500}}, nil, nil, false)
	step("it gets the address", []Link{{2, "eth0", 1500}}, map[netip.Addr]int{node: 2}, []int{2}, true)
	step("the same", []Link{{2, "eth0", 1500}}, map[netip.Addr]int{node: 2}, []int{2}, false)
	step("another MTU", []Link{{2, "eth0", 1400}}, map[netip.Addr]int{node: 2}, []int{2}, true)
	if _, mtu, err := u.Local(node, node); err != nil || mtu != 1364 {
		t.Errorf("inner MTU %d, %v", mtu, err)
	}
	step("the address moves", []Link{{2, "eth0", 1400}, {3, "eth1", 1500}}, map[netip.Addr]int{node: 3}, []int{3}, true)
	step("made anew", []Link{{9, "eth1", 1500}}, map[netip.Addr]int{node: 9}, []int{9}, true)
	step("gone", nil, nil, nil, true)
}

func TestLocal(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*kernel)
		local       map[netip.Addr]netip.Addr
		node, other netip.Addr
		want        netip.Addr
		mtu         uint16
		err         string
	}{
		"IPv4":                            {node: node, other: epic, want: node, mtu: 1464},
		"IPv6":                            {node: node6, other: epic6, want: node6, mtu: 1444},
		"known by IPv4, EPIC at IPv6":     {node: node, other: epic6, want: node6, mtu: 1444},
		"the gateway's own":               {node: node, other: node, want: node, mtu: 1464},
		"the way leads elsewhere":         {change: func(k *kernel) { k.routes[epic] = route{index: 3, source: second} }, node: node, other: epic, want: second, mtu: 8964},
		"a second address on the way":     {change: func(k *kernel) { k.routes[epic] = route{index: 2, source: netip.MustParseAddr("192.168.1.99")} }, node: node, other: epic, want: node, mtu: 1464},
		"known by a public address":       {local: map[netip.Addr]netip.Addr{epic: node}, node: epic, other: epic, want: node, mtu: 1464},
		"no route":                        {change: func(k *kernel) { delete(k.routes, epic) }, node: node, other: epic, err: "no route to 192.0.2.40"},
		"the address is nowhere":          {node: epic, other: epic, err: "no interface has the address 192.0.2.40"},
		"an MTU that is good for nothing": {change: func(k *kernel) { k.links[0].MTU = 500 }, node: node, other: epic, err: "eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKernel()
			if c.change != nil {
				c.change(k)
			}
			u := New(Options{Kernel: k, Plane: fakeplane.New().Underlay(), Nodes: []netip.Addr{c.node}, Local: c.local})
			_ = u.Refresh()
			got, mtu, err := u.Local(c.node, c.other)
			if got != c.want || mtu != c.mtu || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s, %d, %v, want %s, %d, %q", got, mtu, err, c.want, c.mtu, c.err)
			}
		})
	}
}

// A route that changes has tunnels planned again, and its interface gets programs.
func TestRouteChanges(t *testing.T) {
	k, p := newKernel(), fakeplane.New()
	changed := make(chan struct{}, 10)
	u := New(Options{Kernel: k, Plane: p.Underlay(), Nodes: []netip.Addr{node}, Changed: func() { changed <- struct{}{} }})
	if err := u.Refresh(); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, _, err := u.Local(node, epic); err != nil {
		t.Fatal(err)
	}
	k.routes[epic] = route{index: 3, source: second}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go u.Run(ctx)
	for k.changed.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	(*k.changed.Load())()
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	if got, _, err := u.Local(node, epic); err != nil || got != second {
		t.Errorf("%s, %v", got, err)
	}
	if got := attached(t, p); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("attached to %v", got)
	}
}

// What an earlier program attached is asked for again, because it would be removed as
// a leftover otherwise.
func TestTakesOver(t *testing.T) {
	k, p := newKernel(), fakeplane.New()
	for range 2 {
		u := New(Options{Kernel: k, Plane: p.Underlay(), Nodes: []netip.Addr{node}})
		for range 3 {
			if err := u.Refresh(); err != nil {
				t.Fatal(err)
			}
		}
		if log := p.Log(); !slices.Equal(log, []string{"underlay.attach 2"}) {
			t.Errorf("calls %v", log)
		}
	}
}
