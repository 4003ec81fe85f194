// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// problems are those of the node of a world.
func (w *world) problems() string {
	w.t.Helper()
	var out []string
	_ = w.node.Do(func() error { out = w.host.Problems(); return nil })
	return strings.Join(out, "\n")
}

// closes adds a chain with the policy drop to a host, and returns what removes it.
func closes(t *testing.T, ns *testns.NS, family nftables.TableFamily, rules ...[]expr.Any) func() {
	t.Helper()
	var conn *nftables.Conn
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ns.Do(func() (err error) { conn, err = nftables.New(nftables.AsLasting()); return err }))
	policy := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Name: "other-firewall", Family: family})
	chain := conn.AddChain(&nftables.Chain{
		Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &policy,
	})
	for _, rule := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule})
	}
	must(conn.Flush())
	return func() {
		conn.DelTable(table)
		must(conn.Flush())
		_ = conn.CloseLasting()
	}
}

// A setting or another firewall that keeps visitors from proxies is a problem with its way
// out, and none any more when it is gone.
func TestProblems(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	if got := w.problems(); got != "" {
		t.Fatalf("problems of a node without any: %s", got)
	}
	check := func(what, want string) {
		t.Helper()
		if got := w.problems(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q does not contain %q", what, got, want)
		}
	}
	w.node.Sysctl("net/ipv4/ip_forward", "0")
	check("IPv4 off", "sysctl -w net.ipv4.ip_forward=1")
	w.node.Sysctl("net/ipv4/ip_forward", "1")
	w.apply() // which the kernel has changed with it
	w.node.Sysctl("net/ipv6/conf/all/forwarding", "0")
	check("IPv6 off", "sysctl -w net.ipv6.conf.all.forwarding=1")
	w.node.Sysctl("net/ipv6/conf/all/forwarding", "1")
	check("all on again", "")

	families := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet"}
	for family, name := range families {
		open := closes(t, w.node, family)
		check("a chain without rules in "+name, "nft insert rule "+name+" other-firewall FORWARD oifname "+testBridge+" accept")
		open()
		check("that chain is gone", "")
	}
	// One that accepts something else is told from the packets that it drops.
	never := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{9, 9, 9, 9}},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
	open := closes(t, w.node, nftables.TableFamilyIPv4, never)
	check("nobody has come yet", "")
	for range enough {
		if _, err := shut(w.internet, "203.0.113.5", 80, ""); err == nil {
			t.Fatal("the other firewall drops nothing: the test shows nothing")
		}
	}
	check("visitors are dropped", "other-firewall FORWARD")
	check("they still are", "other-firewall FORWARD")
	open()
	w.reaches("203.0.113.5", ns.Name)
	check("visitors arrive again", "")
}

// A client node that forwards nothing to its pods says so.
func TestForwardingProblems(t *testing.T) {
	ns := testns.New(t)
	problems := func(four, six bool) string {
		var out []string
		_ = ns.Do(func() error { out = ForwardingProblems(four, six); return nil })
		return strings.Join(out, "\n")
	}
	if got := problems(false, false); got != "" {
		t.Errorf("without pods: %s", got)
	}
	ns.Sysctl("net/ipv4/ip_forward", "0")
	ns.Sysctl("net/ipv6/conf/all/forwarding", "0")
	got := problems(true, true)
	if !strings.Contains(got, "net.ipv4.ip_forward=1") || !strings.Contains(got, "net.ipv6.conf.all.forwarding=1") {
		t.Errorf("nothing is forwarded: %q", got)
	}
	if got := problems(false, true); strings.Contains(got, "ipv4") {
		t.Errorf("of IPv6 alone: %q", got)
	}
	ns.Sysctl("net/ipv4/ip_forward", "1")
	ns.Sysctl("net/ipv6/conf/all/forwarding", "1")
	if got := problems(true, true); got != "" {
		t.Errorf("all is forwarded: %s", got)
	}
	open := closes(t, ns, nftables.TableFamilyIPv6)
	if got := problems(true, true); !strings.Contains(got, "table ip6 other-firewall") {
		t.Errorf("with a firewall: %q", got)
	}
	if got := problems(true, false); got != "" {
		t.Errorf("with one of the other family: %q", got)
	}
	open()
}
