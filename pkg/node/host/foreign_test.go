// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// TestOthersAreNotDisturbed keeps a connection open while proxies come and go.
func TestOthersAreNotDisturbed(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5")
	w.apply()
	var l net.Listener
	if err := ns.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "203.0.113.5:7")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
		}
	}()
	w.desired.Openings = append(w.desired.Openings, Opening{Address: netip.MustParseAddr("203.0.113.5"), Protocol: unix.IPPROTO_TCP, Port: 7})
	w.apply()
	var c net.Conn
	if err := w.internet.Do(func() (err error) {
		c, err = (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", "203.0.113.5:7")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	tbl := newTable()
	handles, err := w.host.ruleHandles(tbl)
	if err != nil {
		t.Fatal(err)
	}
	one := Desired{Bridges: w.desired.Bridges, Addresses: slices.Clone(w.desired.Addresses), Openings: slices.Clone(w.desired.Openings)}
	_, _ = w.proxy("203.0.113.6", "2001:db8:5::6")
	for i := range 20 {
		if i%2 == 0 {
			w.apply()
		} else if _, err := w.host.Apply(one); err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(150 * time.Millisecond))
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		// Sooner than TCP would send it again.
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	after, err := w.host.ruleHandles(tbl)
	if err != nil {
		t.Fatal(err)
	}
	for name := range handles {
		if !slices.Equal(handles[name], after[name]) {
			t.Errorf("the rules of %s were written again", name)
		}
	}
}

func TestForeignThingsStay(t *testing.T) {
	w := newWorld(t)
	_, end := w.proxy("203.0.113.5", "2001:db8:5::5")
	n := w.node
	foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "other0", TxQLen: -1}}
	if err := n.Net.LinkAdd(foreign); err != nil {
		t.Fatal(err)
	}
	if err := n.Net.LinkSetUp(foreign); err != nil {
		t.Fatal(err)
	}
	n.Route(foreign, "192.0.2.0/24", "")
	tableRoute := &netlink.Route{LinkIndex: foreign.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(192, 0, 2, 77), Mask: net.CIDRMask(32, 32)}, Table: Table, Scope: netlink.SCOPE_LINK}
	if err := n.Net.RouteAdd(tableRoute); err != nil {
		t.Fatal(err)
	}
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = 77, Table, netlink.FAMILY_V4
	if err := n.Net.RuleAdd(rule); err != nil {
		t.Fatal(err)
	}
	nft, err := openNFT(n.Handle)
	if err != nil {
		t.Fatal(err)
	}
	other := nft.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "filter"})
	chain := nft.AddChain(&nftables.Chain{Table: other, Name: "forward", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	nft.AddRule(&nftables.Rule{Table: other, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
	if err := nft.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := n.Net.NeighSet(&netlink.Neigh{LinkIndex: foreign.Attrs().Index, IP: net.IPv4(192, 0, 2, 9), HardwareAddr: net.HardwareAddr{2, 1, 1, 1, 1, 1}, State: netlink.NUD_PERMANENT}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, n)
	w.apply()
	if snapshot(t, n) == before {
		t.Fatal("the snapshot does not see what Apply makes")
	}
	if err := w.host.Remove(); err != nil {
		t.Fatal(err)
	}
	port, err := n.Net.LinkByIndex(end.Index)
	if err != nil {
		t.Fatal("Remove took the proxy's interface away:", err)
	}
	if port.Attrs().MasterIndex != 0 {
		t.Error("the port still has a master")
	}
	if after := snapshot(t, n); after != before {
		t.Errorf("after Remove it is not as before:\n%s\nbefore:\n%s", after, before)
	}
	if err := w.host.Remove(); err != nil {
		t.Errorf("a second Remove: %v", err)
	}
	if n, err := w.host.Repair(); n != 0 || err != nil {
		t.Errorf("Repair after Remove did %d things, %v", n, err)
	}
}

// snapshot describes the networking of a namespace.
func snapshot(t *testing.T, n *testns.NS) string {
	t.Helper()
	var out []string
	links, err := n.Net.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		out = append(out, fmt.Sprint("link ", l.Attrs().Name, l.Attrs().Alias, l.Attrs().MasterIndex, l.Type()))
	}
	for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := n.Net.RouteListFiltered(f, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if r.Table != unix.RT_TABLE_LOCAL && r.Protocol != unix.RTPROT_KERNEL {
				out = append(out, "route "+r.String())
			}
		}
		rules, err := n.Net.RuleList(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			out = append(out, "rule "+r.String())
		}
		neighbors, err := n.Net.NeighList(0, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range neighbors {
			if e.State == netlink.NUD_PERMANENT {
				out = append(out, "neighbor "+e.String())
			}
		}
	}
	nft, err := openNFT(n.Handle)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := nft.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, tbl := range tables {
		out = append(out, fmt.Sprint("table ", tbl.Family, tbl.Name))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func TestForeignInterfaceWithTheBridgesName(t *testing.T) {
	w := newWorld(t)
	foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: testBridge, TxQLen: -1}}
	if err := w.node.Net.LinkAdd(foreign); err != nil {
		t.Fatal(err)
	}
	_, err := w.host.Apply(w.desired)
	if err == nil || !strings.Contains(err.Error(), "does not belong to EPIC") || !strings.Contains(err.Error(), "multus-bridge") {
		t.Errorf("got %v, want an error that names the way out", err)
	}
	link, err := w.node.Net.LinkByName(testBridge)
	if err != nil || link.Attrs().Alias != "" || link.Attrs().Flags&net.FlagUp != 0 {
		t.Errorf("the foreign bridge was changed: %+v, %v", link, err)
	}
}

func TestForeignRouteOfAnAnnouncedPrefix(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	uplink, err := w.node.Net.LinkByName("uplink")
	if err != nil {
		t.Fatal(err)
	}
	w.node.Route(uplink, "203.0.113.0/24", "198.51.100.9")
	_, err = w.host.Apply(w.desired)
	if err == nil || !strings.Contains(err.Error(), "203.0.113.0/24") || !strings.Contains(err.Error(), "does not belong to EPIC") {
		t.Errorf("got %v, want an error that names the route", err)
	}
	routes, err := w.node.Net.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: uplink.Attrs().Index}, netlink.RT_FILTER_OIF)
	if err != nil || len(routes) != 3 {
		t.Errorf("the foreign route was changed: %v, %v", routes, err)
	}
	// What does not collide works.
	w.settle()
	w.reaches("2001:db8:5::5", ns.Name)
}
