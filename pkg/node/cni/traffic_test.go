// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// TestRoutes shows by which interface a proxy sends what.
func TestRoutes(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	name := func(index int) string {
		l, err := p.ns.Net.LinkByIndex(index)
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().Name
	}
	for _, tt := range []struct{ from, to, by, source string }{
		{"", "192.0.2.77", "net1", "203.0.113.5"},
		{"", "2001:db8:77::1", "net1", "2001:db8:5::5"},
		// A tenant's pod may have the address of a pod of this cluster.
		{"", "10.244.1.77", "net1", "203.0.113.5"},
		{"", "10.244.9.9", "net1", "203.0.113.5"},
		{"", "fd00:244:1::77", "net1", "2001:db8:5::5"},
		{"", "10.96.0.1", "eth0", "10.244.1.2"},
		{"", "198.51.100.1", "eth0", "10.244.1.2"},
		// Replies to a scrape or a probe.
		{"10.244.1.2", "10.244.9.9", "eth0", "10.244.1.2"},
		{"10.244.1.2", "10.244.1.1", "eth0", "10.244.1.2"},
		{"fd00:244:1::2", "fd00:244:9::9", "eth0", "fd00:244:1::2"},
	} {
		routes, err := p.ns.Net.RouteGetWithOptions(net.ParseIP(tt.to), &netlink.RouteGetOptions{SrcAddr: net.ParseIP(tt.from)})
		if err != nil || len(routes) != 1 {
			t.Errorf("from %q to %s: %v, %v", tt.from, tt.to, routes, err)
			continue
		}
		if by := name(routes[0].LinkIndex); by != tt.by {
			t.Errorf("from %q to %s goes by %s, not %s", tt.from, tt.to, by, tt.by)
		}
		if s := routes[0].Src; tt.from == "" && s != nil && s.String() != tt.source {
			t.Errorf("to %s goes from %s, not %s", tt.to, s, tt.source)
		}
	}
	// The service answers, and the node reaches the pod at its cluster address.
	if err := connects(c.node, p.ns, "10.96.0.1"); err != nil {
		t.Errorf("a service of the cluster: %v", err)
	}
	if err := connects(p.ns, c.node, "10.244.1.2"); err != nil {
		t.Errorf("the node's probe: %v", err)
	}
	// A family without a public address leads nowhere.
	q := c.proxy("web-2", "203.0.113.6")
	if _, err := q.add(); err != nil {
		t.Fatal(err)
	}
	// Not even if a router on the first interface offers one.
	eth0, err := q.ns.Net.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	q.ns.Route(eth0, "::/0", "fd00:244:1::1")
	if r, err := q.ns.Net.RouteGet(net.ParseIP("2001:db8:77::1")); err == nil {
		t.Errorf("an IPv6 packet of a proxy with an IPv4 address goes by %v", r)
	}
}

// connects makes a connection between two namespaces.
func connects(server, client *testns.NS, addr string) error {
	var l net.Listener
	if err := server.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr+":8080")
		return err
	}); err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	return client.Do(func() error {
		c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(context.Background(), "tcp", addr+":8080")
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

func TestPublicTraffic(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	i := c.attached.List()[0]
	addr := i.Addresses[0]
	if _, err := c.host.Apply(host.Desired{
		Bridges:   []host.Bridge{{Name: "multus0", MTU: 1400}},
		Addresses: []host.Address{{Address: addr, Announce: netip.PrefixFrom(addr, 32), Bridge: "multus0", Ends: []host.End{{Index: i.Index, MAC: i.PeerMAC}}}},
		Openings:  []host.Opening{{Address: addr, Protocol: unix.IPPROTO_TCP, Port: 8080}},
	}); err != nil {
		t.Fatal(err)
	}
	internet := testns.New(t)
	uplink, outside := testns.Veth(t, c.node, "uplink", internet, "eth0")
	c.node.Address(uplink, "198.51.100.1/24")
	internet.Address(outside, "198.51.100.9/24")
	internet.Route(outside, "203.0.113.0/24", "198.51.100.1")
	if err := connects(p.ns, internet, "203.0.113.5"); err != nil {
		t.Errorf("from the internet to the proxy: %v", err)
	}
	if connects(internet, p.ns, "198.51.100.9") == nil {
		t.Error("a proxy's own connection to the internet gets out")
	}
}
