// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
)

// TestMends deletes the interface of a running proxy.
func TestMends(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	before := c.attached.List()[0]
	link, err := c.node.Net.LinkByName(p.hostName())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.node.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if err := p.check(); err == nil {
		t.Error("CHECK does not see that the interface is gone")
	}
	deadline := time.Now().Add(3 * repairInterval)
	for len(c.attached.List()) == 0 || c.attached.List()[0].Index == before.Index {
		if time.Now().After(deadline) {
			t.Fatal("the interface does not come back")
		}
		time.Sleep(50 * time.Millisecond)
	}
	after := c.attached.List()[0]
	if !bytes.Equal(after.PeerMAC, before.PeerMAC) || after.Name != before.Name {
		t.Errorf("it came back as %+v, was %+v", after, before)
	}
	if err := p.check(); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	// The pod goes, and the runtime never says so.
	c.resolver.mu.Lock()
	c.resolver.gone["web-1"] = true
	c.resolver.mu.Unlock()
	c.stop()
	c.start()
	now := time.Now()
	c.stop()
	if c.attached, err = OpenAttached(t.Context(), c.state, c.node.Handle); err != nil {
		t.Fatal(err)
	}
	s := &Server{Resolver: c.resolver, Attached: c.attached, Worker: podnet.Worker{Host: c.node.Handle}}
	s.Repair(t.Context(), now)
	s.Repair(t.Context(), now.Add(goneGrace/2))
	if len(c.hostEnds()) != 1 {
		t.Error("it was taken down at once")
	}
	s.Repair(t.Context(), now.Add(goneGrace))
	if ends := c.hostEnds(); len(ends) != 0 || len(c.attached.All()) != 0 {
		t.Errorf("left of a pod that is gone: %v, %v", ends, c.attached.All())
	}
}

func TestCheckSeesDamage(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	hostEnd, err := c.node.Net.LinkByName(p.hostName())
	if err != nil {
		t.Fatal(err)
	}
	net1, err := p.ns.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	eth0, err := p.ns.Net.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr("203.0.113.5/32")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what  string
		breaK func() error
	}{
		{"a cluster route in the main table", func() error {
			return p.ns.Net.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}, Scope: netlink.SCOPE_LINK})
		}},
		{"the pod's end down", func() error { return p.ns.Net.LinkSetDown(net1) }},
		{"the host's end down", func() error { return c.node.Net.LinkSetDown(hostEnd) }},
		{"out of the bridge", func() error { return c.node.Net.LinkSetNoMaster(hostEnd) }},
		{"the address", func() error { return p.ns.Net.AddrDel(net1, addr) }},
	} {
		if err := tt.breaK(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if err := p.check(); err == nil {
			t.Errorf("CHECK does not see: %s", tt.what)
		}
		// ADD makes it whole again.
		if tt.what == "a cluster route in the main table" {
			routes, err := p.ns.Net.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: eth0.Attrs().Index}, netlink.RT_FILTER_OIF)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range routes {
				if r.Dst != nil && r.Dst.String() == "10.0.0.0/8" {
					if err := p.ns.Net.RouteDel(&r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if _, err := p.add(); err != nil {
			t.Fatalf("%s: ADD again: %v", tt.what, err)
		}
		if err := p.check(); err != nil {
			t.Fatalf("%s: CHECK after ADD: %v", tt.what, err)
		}
		if hostEnd, err = c.node.Net.LinkByName(p.hostName()); err != nil {
			t.Fatal(err)
		}
		if net1, err = p.ns.Net.LinkByName("net1"); err != nil {
			t.Fatal(err)
		}
	}
}
