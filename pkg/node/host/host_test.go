// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
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

const testBridge = "multus0"

// world is a gateway node between the internet and some proxies.
type world struct {
	t              testing.TB
	node, internet *testns.NS
	host           *Host
	desired        Desired
	proxies        int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, node: testns.New(t), internet: testns.New(t)}
	uplink, outside := testns.Veth(t, w.node, "uplink", w.internet, "eth0")
	w.node.Address(uplink, "198.51.100.1/24")
	w.node.Address(uplink, "2001:db8:1::1/64")
	w.internet.Address(outside, "198.51.100.9/24")
	w.internet.Address(outside, "2001:db8:1::9/64")
	w.internet.Route(outside, "0.0.0.0/0", "198.51.100.1")
	w.internet.Route(outside, "::/0", "2001:db8:1::1")
	w.node.Route(uplink, "0.0.0.0/0", "198.51.100.9")
	w.node.Sysctl("net/ipv4/ip_forward", "1")
	w.node.Sysctl("net/ipv6/conf/all/forwarding", "1")
	// A strict reverse path is what distributions switch on.
	w.node.Sysctl("net/ipv4/conf/all/rp_filter", "1")
	var err error
	if w.host, err = New(Options{Namespace: w.node.Handle, Interval: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.host.Close)
	w.desired.Bridges = []Bridge{{Name: testBridge, MTU: 1400}}
	return w
}

// proxy starts a proxy with addresses, which answers on TCP port 80 with its name.
func (w *world) proxy(addrs ...string) (*testns.NS, End) {
	w.t.Helper()
	w.proxies++
	ns := testns.New(w.t)
	hostEnd, podEnd := testns.Veth(w.t, w.node, fmt.Sprintf("epic%d", w.proxies), ns, "net1")
	end := End{Index: hostEnd.Attrs().Index, MAC: podEnd.Attrs().HardwareAddr}
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		ns.Address(podEnd, netip.PrefixFrom(addr, addr.BitLen()).String())
		gateway, all := "169.254.1.1", "0.0.0.0/0"
		if addr.Is6() {
			gateway, all = GatewayIPv6.String(), "::/0"
		}
		if err := ns.Net.NeighSet(&netlink.Neigh{LinkIndex: podEnd.Attrs().Index, IP: net.ParseIP(gateway), HardwareAddr: BridgeMAC(testBridge), State: netlink.NUD_PERMANENT}); err != nil {
			w.t.Fatal(err)
		}
		ns.Route(podEnd, all, gateway)
		w.publish(addr, end)
	}
	w.serve(ns, ns.Name, 80)
	return ns, end
}

func (w *world) publish(addr netip.Addr, end End) {
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	w.desired.Addresses = append(w.desired.Addresses, Address{
		Address: addr, Announce: netip.PrefixFrom(addr, bits), Bridge: testBridge, Ends: []End{end},
	})
	w.desired.Openings = append(w.desired.Openings, Opening{Address: addr, Protocol: unix.IPPROTO_TCP, Port: 80})
}

func (w *world) serve(ns *testns.NS, text string, port int) {
	w.t.Helper()
	var l net.Listener
	err := ns.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("[::]:%d", port))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
}

func (w *world) apply() int {
	w.t.Helper()
	n, err := w.host.Apply(w.desired)
	if err != nil {
		w.t.Fatalf("Apply: %v", err)
	}
	w.settle()
	return n
}

// settle waits until the kernel has noticed that the new ports have a carrier, for
// which it takes up to a second.
func (w *world) settle() {
	w.t.Helper()
	for range 200 {
		links, err := w.node.Net.LinkList()
		if err != nil {
			w.t.Fatal(err)
		}
		if !slices.ContainsFunc(links, func(l netlink.Link) bool {
			return (l.Type() == "veth" || l.Attrs().Name == testBridge && l.Attrs().Alias != "") && l.Attrs().OperState != netlink.OperUp
		}) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatal("the links do not come up")
}

// dial connects from a namespace and returns what it is told.
func dial(ns *testns.NS, addr string, port int, source string) (string, error) {
	return dialFor(3*time.Second, ns, addr, port, source)
}

// shut is dial to where no answer is expected.
func shut(ns *testns.NS, addr string, port int, source string) (string, error) {
	return dialFor(400*time.Millisecond, ns, addr, port, source)
}

func dialFor(timeout time.Duration, ns *testns.NS, addr string, port int, source string) (string, error) {
	var out string
	err := ns.Do(func() error {
		d := net.Dialer{Timeout: timeout}
		if source != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
		}
		c, err := d.DialContext(context.Background(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(port)).String())
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		data, err := io.ReadAll(c)
		out = string(data)
		return err
	})
	return out, err
}

func (w *world) reaches(addr, want string) {
	w.t.Helper()
	got, err := dial(w.internet, addr, 80, "")
	if err != nil || got != want {
		w.t.Errorf("from the internet to %s port 80: got %q, %v; want %q", addr, got, err, want)
	}
}

func (w *world) refused(r Refusal) uint64 {
	w.t.Helper()
	all, err := w.host.Refusals()
	if err != nil {
		w.t.Fatal(err)
	}
	return all[r].Packets
}

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

func TestProxyReachesOut(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.serve(w.internet, "internet", 443)
	w.serve(w.node, "node", 10250)
	w.apply()
	for _, to := range []string{"198.51.100.9", "2001:db8:1::9"} {
		if got, err := dial(ns, to, 443, ""); err != nil || got != "internet" {
			t.Errorf("a proxy's own connection to %s: %q, %v", to, got, err)
		}
	}
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
	w.serve(w.internet, "internet", 443)
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
	for _, to := range []string{"198.51.100.9", "2001:db8:1::9"} {
		var err error
		for range 6 {
			// An address of the link is tentative for a second.
			if _, err = dial(ns, to, 443, ""); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("a connection to %s: %v", to, err)
		}
	}
}

func TestProxiesMeetOnlyThroughPublishedPorts(t *testing.T) {
	w := newWorld(t)
	a, _ := w.proxy("203.0.113.5")
	b, _ := w.proxy("203.0.113.6")
	w.serve(b, "secret", 9901)
	w.apply()
	if got, err := dial(a, "203.0.113.6", 80, ""); err != nil || got != b.Name {
		t.Errorf("a published port of another proxy: %q, %v", got, err)
	}
	if got, err := shut(a, "203.0.113.6", 9901, ""); err == nil {
		t.Errorf("a proxy reaches an unpublished port of another: %q", got)
	}
	// A neighbour and a route straight to the other: frames would cross the bridge.
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

// TestRepairs breaks each thing in turn and waits until the internet reaches the
// proxy again.
func TestRepairs(t *testing.T) {
	w := newWorld(t)
	ns, end := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	ctx, cancel := context.WithCancel(t.Context())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		w.host.Run(ctx, func(_ int, err error) {
			if err != nil {
				t.Errorf("repair: %v", err)
			}
		})
	}()
	defer func() { cancel(); <-finished }()
	nft, err := openNFT(w.node.Handle)
	if err != nil {
		t.Fatal(err)
	}
	bridge := func() netlink.Link {
		l, err := w.node.Net.LinkByName(testBridge)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	port, err := w.node.Net.LinkByIndex(end.Index)
	if err != nil {
		t.Fatal(err)
	}
	tbl := newTable()
	for _, tt := range []struct {
		what  string
		breaK func() error
	}{
		{"bridge deleted", func() error { return w.node.Net.LinkDel(bridge()) }},
		{"bridge down", func() error { return w.node.Net.LinkSetDown(bridge()) }},
		{"bridge's hardware address", func() error {
			return w.node.Net.LinkSetHardwareAddr(bridge(), net.HardwareAddr{2, 9, 9, 9, 9, 9})
		}},
		{"bridge's settings", func() error { return w.host.setDevconf(bridge().Attrs().Index, devconfForwarding, 0) }},
		{"port taken out", func() error { return w.node.Net.LinkSetNoMaster(port) }},
		{"port down", func() error { return w.node.Net.LinkSetDown(port) }},
		{"rules", func() error {
			r := netlink.NewRule()
			r.Priority, r.Table, r.Family = RulePriority, Table, netlink.FAMILY_V4
			if err := w.node.Net.RuleDel(r); err != nil {
				return err
			}
			r.Family = netlink.FAMILY_V6
			return w.node.Net.RuleDel(r)
		}},
		{"routes", func() error {
			for _, table := range []int{Table, unix.RT_TABLE_MAIN} {
				for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
					own, err := w.host.ownRoutes(f, table)
					if err != nil {
						return err
					}
					for _, list := range own {
						if err := w.node.Net.RouteDel(&list[0]); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}},
		{"neighbours", func() error {
			for _, a := range []netip.Addr{key4(end.Index), key6(end.Index)} {
				if err := w.node.Net.NeighDel(&netlink.Neigh{LinkIndex: bridge().Attrs().Index, IP: a.AsSlice()}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"neighbours changed", func() error {
			return w.node.Net.NeighSet(&netlink.Neigh{LinkIndex: bridge().Attrs().Index, IP: key4(end.Index).AsSlice(), HardwareAddr: net.HardwareAddr{2, 8, 8, 8, 8, 8}, State: netlink.NUD_PERMANENT})
		}},
		{"all nftables", func() error { nft.FlushRuleset(); return nft.Flush() }},
		{"openings", func() error { nft.FlushSet(tbl.set(setOpenings4)); return nft.Flush() }},
		{"a rule that drops all", func() error {
			nft.InsertRule(&nftables.Rule{Table: tbl.Table, Chain: tbl.forward, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
			return nft.Flush()
		}},
		{"rules flushed", func() error { nft.FlushChain(tbl.to); return nft.Flush() }},
		{"a set deleted", func() error {
			for _, c := range tbl.chains {
				nft.FlushChain(c)
			}
			nft.DelSet(tbl.set(setAddresses6))
			return nft.Flush()
		}},
	} {
		if err := tt.breaK(); err != nil {
			t.Errorf("%s: can not break it: %v", tt.what, err)
			continue
		}
		// Everything is as it was, not only what this test looks at.
		deadline := time.Now().Add(8 * time.Second)
		time.Sleep(20 * time.Millisecond)
		var trouble error
		for time.Now().Before(deadline) {
			if trouble = w.whole(ns); trouble == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if trouble != nil {
			t.Errorf("%s: not repaired: %v", tt.what, trouble)
		}
	}
}

// whole says what is missing, without repairing it.
func (w *world) whole(ns *testns.NS) error {
	fresh, err := New(Options{Namespace: w.node.Handle})
	if err != nil {
		return err
	}
	defer fresh.Close()
	w.host.mu.Lock()
	state, err := w.host.inspect(newTable())
	w.host.mu.Unlock()
	if err != nil || state != complete {
		return fmt.Errorf("firewall in state %d, %w", state, err)
	}
	for _, addr := range []string{"203.0.113.5", "2001:db8:5::5"} {
		if got, err := dial(w.internet, addr, 80, ""); err != nil || got != ns.Name {
			return fmt.Errorf("%s: %q, %w", addr, got, err)
		}
	}
	return nil
}

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
		neighbours, err := n.Net.NeighList(0, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range neighbours {
			if e.State == netlink.NUD_PERMANENT {
				out = append(out, "neighbour "+e.String())
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
	if err == nil || !strings.Contains(err.Error(), "not EPIC's") || !strings.Contains(err.Error(), "multus-bridge") {
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
	if err == nil || !strings.Contains(err.Error(), "203.0.113.0/24") || !strings.Contains(err.Error(), "not EPIC's") {
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

func TestRestartTakesOver(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5")
	gone, _ := w.proxy("203.0.113.6")
	w.apply()
	next, err := New(Options{Namespace: w.node.Handle})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	w.desired.Addresses = w.desired.Addresses[:1]
	w.desired.Openings = w.desired.Openings[:1]
	if _, err := next.Apply(w.desired); err != nil {
		t.Fatal(err)
	}
	w.reaches("203.0.113.5", ns.Name)
	if got, err := shut(w.internet, "203.0.113.6", 80, ""); err == nil {
		t.Errorf("what an earlier program made for %s is still there: %q", gone.Name, got)
	}
	if n, err := next.Apply(w.desired); n != 0 || err != nil {
		t.Errorf("Apply again changed %d things, %v", n, err)
	}
}

func TestManyAddresses(t *testing.T) {
	w := newWorld(t)
	_, end := w.proxy("203.0.113.5")
	const many = 5000
	for i := range many {
		a := netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)})
		w.desired.Addresses = append(w.desired.Addresses, Address{Address: a, Announce: netip.MustParsePrefix("10.77.0.0/16"), Bridge: testBridge, Ends: []End{end}})
		for port := range uint16(4) {
			w.desired.Openings = append(w.desired.Openings, Opening{Address: a, Protocol: unix.IPPROTO_TCP, Port: 8000 + port})
		}
	}
	start := time.Now()
	w.apply()
	made := time.Since(start)
	start = time.Now()
	if n := w.apply(); n != 0 {
		t.Errorf("Apply again changed %d things", n)
	}
	t.Logf("%d addresses with %d openings: made in %v, compared in %v", many, 4*many, made, time.Since(start))
}

func TestBrokenDesired(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	good := netip.MustParseAddr("203.0.113.5")
	bridges := []Bridge{{Name: "multus0", MTU: 1400}, {Name: "multus1", MTU: 1400}}
	address := func(change func(*Address)) Desired {
		a := Address{Address: good, Announce: netip.PrefixFrom(good, 32), Bridge: "multus0", Ends: []End{{Index: 3, MAC: mac}}}
		change(&a)
		return Desired{Bridges: bridges, Addresses: []Address{a}}
	}
	for _, tt := range []struct {
		name string
		in   Desired
		want string
	}{
		{"bridge without name", Desired{Bridges: []Bridge{{MTU: 1400}}}, "bridges[0].name"},
		{"bridge with a long name", Desired{Bridges: []Bridge{{Name: "0123456789abcdef", MTU: 1400}}}, "bridges[0].name"},
		{"bridge with a slash", Desired{Bridges: []Bridge{{Name: "../x", MTU: 1400}}}, "bridges[0].name"},
		{"bridge without MTU", Desired{Bridges: []Bridge{{Name: "b"}}}, "bridges[0].mtu"},
		{"bridge with two MTUs", Desired{Bridges: []Bridge{{Name: "b", MTU: 1400}, {Name: "b", MTU: 1500}}}, "bridges[1].mtu"},
		{"no address", address(func(a *Address) { a.Address = netip.Addr{} }), "addresses[0].address"},
		{"multicast", address(func(a *Address) { a.Address = netip.MustParseAddr("224.0.0.1") }), "addresses[0].address"},
		{"announce elsewhere", address(func(a *Address) { a.Announce = netip.MustParsePrefix("192.0.2.0/24") }), "addresses[0].announce"},
		{"unknown bridge", address(func(a *Address) { a.Bridge = "x" }), "addresses[0].bridge"},
		{"no index", address(func(a *Address) { a.Ends[0].Index = 0 }), "interface's index"},
		{"no hardware address", address(func(a *Address) { a.Ends[0].MAC = nil }), "hardware address"},
		{"two hardware addresses", address(func(a *Address) { a.Ends = append(a.Ends, End{Index: 3, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}) }), "two hardware addresses"},
		{"no opening address", Desired{Openings: []Opening{{Protocol: 6, Port: 80}}}, "openings[0].address"},
		{"no opening protocol", Desired{Openings: []Opening{{Address: good, Port: 80}}}, "openings[0].protocol"},
		{"no opening port", Desired{Openings: []Opening{{Address: good, Protocol: 6}}}, "openings[0].port"},
		{"prefix on two bridges", Desired{Bridges: bridges, Addresses: []Address{
			{Address: good, Announce: netip.MustParsePrefix("203.0.113.0/24"), Bridge: "multus0"},
			{Address: good.Next(), Announce: netip.MustParsePrefix("203.0.113.0/24"), Bridge: "multus1"},
		}}, "addresses[1].announce"},
		{"end on two bridges", Desired{Bridges: bridges, Addresses: []Address{
			{Address: good, Announce: netip.PrefixFrom(good, 32), Bridge: "multus0", Ends: []End{{Index: 3, MAC: mac}}},
			{Address: good.Next(), Announce: netip.PrefixFrom(good.Next(), 32), Bridge: "multus1", Ends: []End{{Index: 3, MAC: mac}}},
		}}, "two bridges"},
		{"good", address(func(*Address) {}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.in.normalize()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestAnnounced(t *testing.T) {
	for _, tt := range []struct {
		addr, subnet, aggregation, want string
	}{
		{"192.168.77.2", "192.168.77.0/24", "/32", "192.168.77.2/32"},
		{"192.168.77.2", "192.168.77.0/24", "default", "192.168.77.0/24"},
		{"192.168.77.2", "192.168.77.0/24", "/28", "192.168.77.0/28"},
		{"2001:db8::5", "2001:db8::/64", "/128", "2001:db8::5/128"},
		{"2001:db8::5", "2001:db8::/64", "default", "2001:db8::/64"},
		{"192.168.77.2", "2001:db8::/64", "default", ""},
		{"192.168.77.2", "192.168.77.0/24", "/33", ""},
		{"192.168.77.2", "192.168.77.0/24", "32", ""},
		{"192.168.77.2", "192.168.77.0/24", "", ""},
	} {
		subnet := netip.MustParsePrefix(tt.subnet)
		got, err := Announced(netip.MustParseAddr(tt.addr), subnet, tt.aggregation)
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), "aggregation") {
				t.Errorf("%+v: got %v, %v; want an error that names the field", tt, got, err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("%+v: got %v, %v", tt, got, err)
		}
	}
}

func TestProblems(t *testing.T) {
	if got := problems(t.TempDir(), false, false); len(got) != 0 {
		t.Errorf("nothing is needed, and yet: %q", got)
	}
	got := problems(t.TempDir(), true, true)
	if len(got) != 2 || !strings.Contains(got[0], "net.ipv4.ip_forward") || !strings.Contains(got[1], "net.ipv6.conf.all.forwarding") {
		t.Errorf("got %q", got)
	}
}

func TestKeysAreRecognised(t *testing.T) {
	for _, index := range []int{1, 77, maxKey - 1} {
		if !isKey(key4(index)) || !isKey(key6(index)) {
			t.Errorf("the keys of %d are not recognised", index)
		}
	}
	for _, a := range []string{"169.254.1.1", "fe80::1", "fe80::6:80", "203.0.113.5", "2001:db8::1"} {
		if isKey(netip.MustParseAddr(a)) {
			t.Errorf("%s is taken for a key", a)
		}
	}
	if mac := BridgeMAC("multus0"); mac[0]&1 != 0 || mac[0]&2 == 0 || len(mac) != 6 {
		t.Errorf("%s is not a local unicast address", mac)
	}
}
