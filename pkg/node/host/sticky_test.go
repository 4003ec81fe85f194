// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// speak answers each line on a connection to a port, and begins each answer with a name.
func (w *world) speak(ns *testns.NS, port int) {
	w.t.Helper()
	var l net.Listener
	var u net.PacketConn
	err := ns.Do(func() (err error) {
		if l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("[::]:%d", port)); err != nil {
			return err
		}
		u, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp4", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close(); _ = u.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buffer := make([]byte, 1)
				for {
					if _, err := io.ReadFull(c, buffer); err != nil {
						return
					}
					_, _ = io.WriteString(c, ns.Name+"\n")
				}
			}()
		}
	}()
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := u.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = u.WriteTo([]byte(ns.Name+"\n"), from)
		}
	}()
}

// visit is a connection that lasts.
type visit struct {
	net.Conn
	t *testing.T
}

func (w *world) visit(t *testing.T, network, addr string, port int) *visit {
	t.Helper()
	v := &visit{t: t}
	err := w.internet.Do(func() (err error) {
		d := net.Dialer{Timeout: 3 * time.Second}
		v.Conn, err = d.DialContext(context.Background(), network, netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(port)).String())
		return err
	})
	if err != nil {
		t.Fatalf("a connection to %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// with returns who answers.
func (v *visit) with() string {
	v.t.Helper()
	_ = v.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := v.Write([]byte{'x'}); err != nil {
		return err.Error()
	}
	var name []byte
	buffer := make([]byte, 100)
	for {
		n, err := v.Read(buffer)
		name = append(name, buffer[:n]...)
		if err != nil {
			return err.Error()
		}
		if name[len(name)-1] == '\n' {
			return string(name[:len(name)-1])
		}
	}
}

// Connections stay with the proxy that has them while another of the same address takes
// over what is new, over both families, TCP and UDP, also when the node program restarts
// in between. When the first proxy is gone, they go to the other.
func TestConnectionsStayWithTheirProxy(t *testing.T) {
	w := newWorld(t)
	addresses := []string{"203.0.113.5", "2001:db8:5::5"}
	old, oldEnd := w.proxy(addresses...)
	w.speak(old, 81)
	for _, a := range addresses {
		w.desired.Openings = append(w.desired.Openings,
			Opening{Address: netip.MustParseAddr(a), Protocol: unix.IPPROTO_TCP, Port: 81},
			Opening{Address: netip.MustParseAddr(a), Protocol: unix.IPPROTO_UDP, Port: 81})
	}
	w.apply()
	var early []*visit
	for _, a := range addresses {
		early = append(early, w.visit(t, "tcp", a, 81))
	}
	early = append(early, w.visit(t, "udp", addresses[0], 81))
	stay := func(what string, visits []*visit, want string) {
		t.Helper()
		for _, v := range visits {
			if got := v.with(); got != want {
				t.Errorf("%s: the connection to %s is with %q, not with %q", what, v.RemoteAddr(), got, want)
			}
		}
	}
	stay("alone", early, old.Name)

	// Another pod starts, is ready, and the first one ends.
	next, nextEnd := w.proxy(addresses...)
	w.speak(next, 81)
	set := func(oldStandby, nextStandby bool) {
		t.Helper()
		for i := range w.desired.Addresses {
			for j := range w.desired.Addresses[i].Ends {
				e := &w.desired.Addresses[i].Ends[j]
				switch e.Index {
				case oldEnd.Index:
					e.Standby, e.Served = oldStandby, true
				case nextEnd.Index:
					e.Standby = nextStandby
				}
			}
		}
		w.apply()
		if n := w.apply(); n != 0 {
			t.Errorf("Apply again changed %d things", n)
		}
	}
	set(false, true)
	stay("another starts", early, old.Name)
	set(true, false)
	stay("another took over", early, old.Name)
	var late []*visit
	for range 5 {
		for _, a := range addresses {
			late = append(late, w.visit(t, "tcp", a, 81))
		}
	}
	late = append(late, w.visit(t, "udp", addresses[0], 81))
	stay("new connections", late, next.Name)

	// A restart in the middle, with another order of everything.
	restarted, err := New(Options{Namespace: w.node.Handle})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(restarted.Close)
	w.host = restarted
	slices.Reverse(w.desired.Addresses)
	w.apply()
	stay("after a restart", early, old.Name)
	stay("after a restart", late, next.Name)
	// Standby changes back: what is new goes to the first, and all the rest stays.
	set(false, true)
	stay("back", early, old.Name)
	stay("back", late, next.Name)
	stay("back, new", []*visit{w.visit(t, "tcp", addresses[1], 81)}, old.Name)

	// No mark is left on the packets, and other bits of the marks are not changed.
	if marks := w.marks(t, early[0]); marks != 0 {
		t.Errorf("packets to proxies have the mark %#x", marks)
	}

	// The first is gone.
	link, err := w.node.Net.LinkByIndex(oldEnd.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.node.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	for i := range w.desired.Addresses {
		if w.desired.Addresses[i].Ends[0].Index == oldEnd.Index {
			w.desired.Addresses[i].Ends = nil
		}
	}
	w.apply()
	stay("alone again", late, next.Name)
	stay("a UDP session of the one that is gone", early[2:], next.Name)
	for _, v := range early[:2] {
		if got := v.with(); got == next.Name || got == old.Name {
			t.Errorf("a connection of a proxy that is gone is answered by %q", got)
		}
	}
	for slot := uint8(1); slot <= maxSlot; slot++ {
		for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
			routes, err := w.host.ownRoutes(f, slotTable(slot))
			if err != nil || len(routes) != 0 {
				t.Errorf("left in the table of slot %d: %v, %v", slot, routes, err)
			}
		}
	}
	rules, err := w.node.Net.RuleList(unix.AF_UNSPEC)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.Priority == slotPriority {
			t.Errorf("a rule is left: %s", r)
		}
	}
}

// marks returns the bits of the marks with which packets of a visitor reach the bridge,
// while something else marks them with other bits.
func (w *world) marks(t *testing.T, v *visit) uint32 {
	t.Helper()
	conn, err := openNFT(w.node.Handle)
	if err != nil {
		t.Fatal(err)
	}
	const foreign = 0x01000002
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "foreign"})
	before := conn.AddChain(&nftables.Chain{Table: table, Name: "before", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle})
	after := conn.AddChain(&nftables.Chain{Table: table, Name: "after", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	conn.AddRule(&nftables.Rule{Table: table, Chain: before, Exprs: []expr.Any{
		&expr.Immediate{Register: 1, Data: native(foreign)}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}})
	for _, name := range []string{"all", "right"} {
		conn.AddObject(&nftables.CounterObj{Table: table, Name: name})
	}
	to := []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(testBridge), 0)}}
	conn.AddRule(&nftables.Rule{Table: table, Chain: after, Exprs: append(to, counting("all")...)})
	conn.AddRule(&nftables.Rule{Table: table, Chain: after, Exprs: append(append(to[:2:2],
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native(foreign)}), counting("right")...)})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		v.with()
	}
	objects, err := conn.GetObjects(table)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, o := range objects {
		if c, ok := o.(*nftables.CounterObj); ok {
			counts[c.Name] = c.Packets
		}
	}
	if counts["all"] == 0 {
		t.Error("no packet was seen")
	}
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return uint32(counts["all"] - counts["right"])
}

// Each proxy of an address has a slot of its own and keeps it, whoever comes and goes.
func TestSlots(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	addresses := []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6"), netip.MustParseAddr("2001:db8:5::5")}
	var slots map[slotKey]uint8
	for round := range 2000 {
		var all []Address
		for _, a := range addresses {
			address := Address{Address: a}
			for n := range 10 {
				if random.IntN(3) == 0 {
					address.Ends = append(address.Ends, End{Index: n + 1, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(n)}})
				}
			}
			all = append(all, address)
		}
		had := slots
		slots = assignSlots(had, all)
		n := 0
		for _, a := range all {
			used := map[uint8]bool{}
			for _, e := range a.Ends {
				slot := slots[slotKeyOf(a.Address, e)]
				if slot != 0 {
					n++
				}
				if slot > maxSlot || slot != 0 && used[slot] || slot == 0 && len(a.Ends) <= maxSlot {
					t.Fatalf("round %d: %d of %d ends has the slot %d", round, e.Index, len(a.Ends), slot)
				}
				if was := had[slotKeyOf(a.Address, e)]; was != 0 && was != slot {
					t.Fatalf("round %d: the slot was %d and is %d", round, was, slot)
				}
				used[slot] = true
			}
		}
		if len(slots) != n {
			t.Fatalf("round %d: %d slots are kept of those that are gone", round, len(slots)-n)
		}
	}
	for slot := uint8(1); slot <= maxSlot; slot++ {
		if slotOfChain(slotChain(slot)) != slot || slotMark(slot)&^MarkMask != 0 || slotMark(slot) == 0 {
			t.Errorf("slot %d has the mark %#x and the chain %s", slot, slotMark(slot), slotChain(slot))
		}
	}
	for _, a := range addresses {
		key := slotKey{a, [6]byte{2, 0, 0, 0, 0, 9}}
		if got, ok := slotKeyFrom([]byte(endKey(key))); !ok || got != key {
			t.Errorf("%+v is read as %+v", key, got)
		}
	}
	if _, ok := slotKeyFrom([]byte("short")); ok {
		t.Error("a broken element is read")
	}
}
