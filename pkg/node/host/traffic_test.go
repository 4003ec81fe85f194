// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestInternetReachesPublishedPortsOnly(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.serve(ns, "closed", 8443)
	if w.apply() == 0 {
		t.Error("the first Apply says that it changed nothing")
	}
	if n := w.apply(); n != 0 {
		t.Errorf("the second Apply changed %d things, not 0", n)
	}
	w.reaches("203.0.113.5", ns.Name)
	w.reaches("2001:db8:5::5", ns.Name)
	for _, addr := range []string{"203.0.113.5", "2001:db8:5::5"} {
		before := w.refused(RefusedClosed)
		if got, err := shut(w.internet, addr, 8443, ""); err == nil {
			t.Errorf("a port of %s that is not published answers %q", addr, got)
		}
		if w.refused(RefusedClosed) == before {
			t.Errorf("the packets to a closed port of %s are not counted", addr)
		}
	}
}

// A proxy only answers: what it opens itself, and has not gone into a tunnel, is dropped.
func TestProxyOnlyAnswers(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.serve(w.internet, "internet", 443)
	w.serve(w.node, "node", 10250)
	w.apply()
	for _, to := range []string{"198.51.100.9", "2001:db8:1::9"} {
		before := w.refused(RefusedOpened)
		if got, err := shut(ns, to, 443, ""); err == nil {
			t.Errorf("a proxy's own connection to %s: %q", to, got)
		}
		if w.refused(RefusedOpened) == before {
			t.Errorf("packets of a proxy's own to %s are not counted", to)
		}
	}
	w.reaches("203.0.113.5", ns.Name)
	w.reaches("2001:db8:5::5", ns.Name)
	for _, to := range []string{"198.51.100.1", "2001:db8:1::1"} {
		if got, err := shut(ns, to, 10250, ""); err == nil {
			t.Errorf("a proxy reaches the node's own port at %s: %q", to, got)
		}
	}
	if w.refused(RefusedNode) == 0 {
		t.Error("packets to the node are not counted")
	}
	link, err := ns.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	ns.Address(link, "2001:db8:66::66/128")
	if got, err := shut(ns, "2001:db8:1::9", 443, "2001:db8:66::66"); err == nil {
		t.Errorf("a forged source gets out: %q", got)
	}
	if w.refused(RefusedSource) == 0 {
		t.Error("forged sources are not counted")
	}
}

// TestProxyFindsItsGateway is of a proxy that an administrator made, without
// knowledge of the bridge's hardware address.
func TestProxyFindsItsGateway(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	link, err := ns.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	for _, gateway := range []string{"169.254.1.1", GatewayIPv6.String()} {
		if err := ns.Net.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(gateway)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"203.0.113.5", "2001:db8:5::5"} {
		var err error
		for range 6 {
			// An address of the link is tentative for a second.
			if _, err = dial(w.internet, address, 80, ""); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("a connection to %s: %v", address, err)
		}
	}
}

// Not even the published ports of another proxy are for a proxy.
func TestProxiesDoNotMeet(t *testing.T) {
	w := newWorld(t)
	a, _ := w.proxy("203.0.113.5")
	b, _ := w.proxy("203.0.113.6")
	w.serve(b, "secret", 9901)
	w.apply()
	if got, err := shut(a, "203.0.113.6", 80, ""); err == nil {
		t.Errorf("a published port of another proxy: %q", got)
	}
	if got, err := shut(a, "203.0.113.6", 9901, ""); err == nil {
		t.Errorf("a proxy reaches an unpublished port of another: %q", got)
	}
	// A neighbor and a route straight to the other: frames would cross the bridge.
	link, err := a.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := b.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Net.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP("203.0.113.6"), HardwareAddr: peer.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT}); err != nil {
		t.Fatal(err)
	}
	a.Route(link, "203.0.113.6/32", "")
	if got, err := shut(a, "203.0.113.6", 80, ""); err == nil {
		t.Errorf("frames cross the bridge from proxy to proxy: %q", got)
	}
}

func TestSeveralProxiesOfOneAddressShareIt(t *testing.T) {
	w := newWorld(t)
	w.node.Sysctl("net/ipv4/fib_multipath_hash_policy", "1")
	w.node.Sysctl("net/ipv6/fib_multipath_hash_policy", "1")
	a, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	b, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	if n := w.apply(); n != 0 {
		t.Errorf("the second Apply changed %d things", n)
	}
	for _, addr := range []string{"203.0.113.5", "2001:db8:5::5"} {
		seen := map[string]int{}
		for range 40 {
			got, err := dial(w.internet, addr, 80, "")
			if err != nil {
				t.Fatalf("%s: %v", addr, err)
			}
			seen[got]++
		}
		if seen[a.Name] == 0 || seen[b.Name] == 0 || len(seen) != 2 {
			t.Errorf("40 connections to %s went to %v, want both proxies", addr, seen)
		}
	}
	// One of them goes: the other has it all.
	link, err := w.node.Net.LinkByName("epic1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.node.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	w.apply()
	for range 10 {
		w.reaches("203.0.113.5", b.Name)
		w.reaches("2001:db8:5::5", b.Name)
	}
}
