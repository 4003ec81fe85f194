// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// Two nodes announce the same addresses, and visitors are spread over both. A node whose
// proxy ends is left alone, and no connection is refused during that.
func TestBIRD(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.bird(birdOptions{})
	l.startAll()
	for _, n := range l.nodes {
		n.up()
	}
	l.spread(1, 2)
	stop := l.visits()
	for range 3 {
		l.nodes[0].setReady(false)
		l.routed(2)
		l.spread(2)
		l.nodes[0].setReady(true)
		l.routed(1, 2)
	}
	// A router sends the rest of a request that is under way when it changes its routes to the
	// other node. The two visitors have one each at most, at each of six changes.
	l.underWay(stop(), 12)
}

// spread checks that visitors come to exactly these nodes.
func (l *lab) spread(nodes ...int) {
	l.t.Helper()
	want := map[string]bool{}
	for _, n := range nodes {
		want[fmt.Sprint(n)] = true
	}
	for _, public := range []netip.Addr{public4, public6} {
		got := map[string]bool{}
		l.until("visitors come to all nodes", func() error {
			answer, err := l.visit(public)
			if err != nil {
				return err
			}
			got[answer] = true
			if len(got) < len(want) {
				return fmt.Errorf("%s leads to the nodes %v", public, got)
			}
			return nil
		})
		for answer := range got {
			if !want[answer] {
				l.t.Errorf("%s leads to node %s, which is none of %v", public, answer, nodes)
			}
		}
	}
}

// sessions returns which of a node's sessions are up, and why others are not.
func (n *node) sessions() map[string]string {
	out := map[string]string{}
	for _, p := range n.status().Peers {
		out[p.Name] = p.Message
		if p.Up {
			out[p.Name] = "up"
		}
	}
	return out
}

// Passwords, TTL security, communities, aggregates, internal peers, node selectors, and
// routers that send what nobody asked for.
func TestBIRDSettings(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	n := l.nodes[0]
	four, six := &n.config.BGP.Peers[0], &n.config.BGP.Peers[1]
	n.config.BGP.Communities = []string{"64513:7", "no-export", "64513:1:2"}
	four.TTLSecurity, four.PasswordName = true, "four"
	six.PasswordName = "six"
	elsewhere := n.peer("elsewhere", "10.0.1.77")
	elsewhere.NodeSelector = selector("rack", "b")
	four.NodeSelector = selector("rack", "a")
	n.labels = map[string]string{"rack": "a"}
	n.config.BGP.Peers = append(n.config.BGP.Peers, elsewhere)
	for i := range n.desired.Addresses {
		a := &n.desired.Addresses[i]
		a.Announce = netip.PrefixFrom(a.Address, a.Address.BitLen()-4).Masked()
	}
	password := func(name, text string) { l.must(os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600)) }
	password("four", "secret\n")
	l.bird(birdOptions{
		session: `password "secret";`, four: "ttl security on;",
		channel: "export all;",
		more: `protocol static { ipv4; route 198.51.100.0/24 blackhole; route 0.0.0.0/0 blackhole; }
protocol static { ipv6; route 2001:db8:99::/48 blackhole; }
`,
	})
	n.start()
	l.until("the session with a password", func() error {
		s := n.sessions()
		if len(s) != 2 || s["four"] != "up" || !strings.Contains(s["six"], "no password") {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	l.until("the route", func() error {
		out := l.show("route all protocol node1ipv4")
		for _, want := range []string{"203.0.113.0/28", "BGP.as_path: 64513", "BGP.next_hop: 10.0.1.2", "(64513,7)", "(65535,65281)", "(64513, 1, 2)"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("%q is not in %s", want, out)
			}
		}
		return nil
	})
	// A wrong password is like no answer.
	password("six", "wrong")
	l.until("the wrong password", func() error {
		if s := n.sessions()["six"]; !strings.Contains(s, "another password") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	password("six", "secret")
	n.up()
	if out := l.show("route all protocol node1ipv6"); !strings.Contains(out, "2001:db8:5::/124") {
		t.Errorf("the IPv6 route is not in %s", out)
	}
	// Nothing that the router sends is used.
	l.until("the refused routes", func() error {
		for _, p := range n.status().Peers {
			if p.Refused == 0 {
				return fmt.Errorf("%s sends nothing", p.Name)
			}
		}
		return nil
	})
	routes, err := n.ns.RouteList(nil, netlink.FAMILY_ALL)
	l.must(err)
	for _, r := range routes {
		if r.Dst != nil && (r.Dst.String() == "198.51.100.0/24" || r.Dst.String() == "2001:db8:99::/48") {
			t.Errorf("the node has the route %s", r)
		}
	}
	// One that sends too much is not spoken to for a while, whatever it is that it sends.
	n.config.BGP.Peers[0].MaxPrefixes = 1
	n.tell(command{Config: &n.config})
	l.until("the peer that sends too much", func() error {
		if s := n.sessions(); !strings.Contains(s["four"], "more than 1 routes") || s["six"] != "up" {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	n.config.BGP.Peers[0].MaxPrefixes = 100
	n.tell(command{Config: &n.config})
	n.up()
	// Without settings nothing is announced.
	n.config.BGP = nil
	n.tell(command{Config: &n.config})
	l.routed()
}
