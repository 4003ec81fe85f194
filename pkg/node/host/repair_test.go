// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

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
		{"neighbors", func() error {
			for _, a := range []netip.Addr{key4(end.Index), key6(end.Index)} {
				if err := w.node.Net.NeighDel(&netlink.Neigh{LinkIndex: bridge().Attrs().Index, IP: a.AsSlice()}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"neighbors changed", func() error {
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

// whole describes what is missing, without repairing it.
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
