// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/endpoints"
)

var (
	nodeA = netip.MustParseAddr("192.168.1.16")
	nodeB = netip.MustParseAddr("192.168.1.17")
)

// world makes an intent with tunnels to two nodes. Endpoints are "ADDRESS:PORT/PROTOCOL@NODE",
// without a node for direct ones.
func world(t *testing.T, all string) *Intent {
	t.Helper()
	i := &Intent{UID: "one", Tunnels: []Tunnel{{ID: 1, TenantNode: nodeA}, {ID: 2, TenantNode: nodeB}}}
	for text := range strings.FieldsSeq(all) {
		address, node, _ := strings.Cut(text, "@")
		udp := strings.HasSuffix(address, "/udp")
		e := endpoints.Endpoint{Address: netip.MustParseAddrPort(strings.TrimSuffix(address, "/udp")), Protocol: 6}
		if udp {
			e.Protocol = 17
		}
		switch node {
		case "a":
			e.Node = nodeA
		case "b":
			e.Node = nodeB
		default:
			i.Direct = append(i.Direct, Direct{e.Address, e.Protocol})
			continue
		}
		i.Endpoints = append(i.Endpoints, e)
	}
	return i
}

func showLeaving(i *Intent) string {
	var out []string
	for _, l := range i.Leaving {
		out = append(out, fmt.Sprintf("%s until %d", l.Address, l.Until.Unix()))
	}
	return strings.Join(out, ", ")
}

func TestLeaving(t *testing.T) {
	type step struct {
		at        int64
		has, want string
	}
	for name, steps := range map[string][]step{
		"it leaves, once": {
			{0, "10.0.0.1:80@a 10.0.0.2:80@a", ""},
			{10, "10.0.0.2:80@a", "10.0.0.1:80 until 70"},
			{20, "10.0.0.2:80@a", "10.0.0.1:80 until 70"},
			{30, "", "10.0.0.1:80 until 70, 10.0.0.2:80 until 90"},
			{70, "", "10.0.0.2:80 until 90"},
			{90, "", ""},
		},
		"it comes back": {
			{0, "10.0.0.1:80@a", ""},
			{10, "", "10.0.0.1:80 until 70"},
			{20, "10.0.0.1:80@a", ""},
			{30, "", "10.0.0.1:80 until 90"},
		},
		"it moves to another node": {
			{0, "10.0.0.1:80@a", ""},
			{10, "10.0.0.1:80@b", ""},
		},
		"another port of the address": {
			{0, "10.0.0.1:80@a 10.0.0.1:81@a", ""},
			{10, "10.0.0.1:81@a", "10.0.0.1:80 until 70"},
		},
		"UDP": {
			{0, "10.0.0.1:80/udp@a", ""},
			{10, "", ""},
		},
		"the same port of the other protocol stays": {
			{0, "10.0.0.1:80/udp@a 10.0.0.1:80@a", ""},
			{10, "10.0.0.1:80/udp@a", "10.0.0.1:80 until 70"},
		},
		"it becomes direct": {
			{0, "10.0.0.1:80@a", ""},
			{10, "10.0.0.1:80", ""}, // it had a tunnel, so it stays closed
		},
		"another port of it becomes direct": {
			{0, "10.0.0.1:80@a", ""},
			{10, "", "10.0.0.1:80 until 70"},
			{20, "10.0.0.1:81", ""},
		},
		"a direct one": {
			{0, "10.0.0.1:80", ""},
			{10, "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var i *Intent
			for n, s := range steps {
				next := world(t, s.has)
				if i != nil {
					next = next.After(i, time.Unix(s.at, 0))
				}
				i = next
				if got := showLeaving(i); got != s.want {
					t.Errorf("step %d: got %q, want %q", n, got, s.want)
				}
			}
		})
	}
}

// Without the tunnel nothing leads there.
func TestLeavingWithoutTunnel(t *testing.T) {
	before, i := world(t, "10.0.0.1:80@a 10.0.0.2:80@b"), world(t, "")
	i.Tunnels = i.Tunnels[:1]
	if got := showLeaving(i.After(before, time.Unix(0, 0))); got != "10.0.0.1:80 until 60" {
		t.Errorf("got %q", got)
	}
}

func TestExpire(t *testing.T) {
	i := world(t, "")
	i.Leaving = []Leaving{
		{endpoints.Endpoint{Address: netip.MustParseAddrPort("10.0.0.1:80")}, time.Unix(60, 0)},
		{endpoints.Endpoint{Address: netip.MustParseAddrPort("10.0.0.2:80")}, time.Unix(90, 0)},
	}
	for _, c := range []struct {
		at, next int64
		left     int
	}{{0, 60, 2}, {59, 60, 2}, {60, 90, 1}, {89, 90, 1}, {90, 0, 0}} {
		after, next := i.Expire(time.Unix(c.at, 0))
		if len(after.Leaving) != c.left || (next.IsZero() != (c.next == 0)) || (c.next != 0 && next.Unix() != c.next) {
			t.Errorf("at %d: %q, next %v", c.at, showLeaving(after), next)
		}
	}
	if len(i.Leaving) != 2 {
		t.Error("the intent itself was changed")
	}
}

// Whoever adds and removes endpoints all the time has no more leaving than the bound, and
// an endpoint is never twice in an intent. The intent on disk is the same when it is read.
func TestLeavingIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	i := world(t, "")
	for round := range 300 {
		next := world(t, "")
		for range random.IntN(20) {
			e := endpoints.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(40)), byte(random.IntN(250))}), 80), Protocol: 6, Node: nodeA}
			if !slices.Contains(next.Endpoints, e) {
				next.Endpoints = append(next.Endpoints, e)
			}
		}
		i = next.After(i, time.Unix(0, int64(round)))
		seen := map[Direct]bool{}
		for _, e := range i.Endpoints {
			seen[Direct{e.Address, e.Protocol}] = true
		}
		for _, l := range i.Leaving {
			if seen[Direct{l.Address, l.Protocol}] {
				t.Fatalf("round %d: %s is there twice", round, l.Address)
			}
			seen[Direct{l.Address, l.Protocol}] = true
		}
		if len(i.Leaving) > maxLeaving {
			t.Fatalf("%d are leaving", len(i.Leaving))
		}
	}
	if len(i.Leaving) != maxLeaving {
		t.Errorf("%d are leaving: the bound was not reached", len(i.Leaving))
	}
	data, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	var again Intent
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if !i.Equal(&again) {
		t.Error("what is read is not what was kept")
	}
}

// An intent that loses no endpoint does not keep what it was compared with.
func TestNothingLeaves(t *testing.T) {
	node := netip.MustParseAddr("192.168.1.16")
	before := &Intent{
		Tunnels:   []Tunnel{{ID: 1, TenantNode: node}},
		Endpoints: []endpoints.Endpoint{{Address: netip.MustParseAddrPort("10.244.1.5:80"), Protocol: 6, Node: node}},
	}
	same := *before
	if after := same.After(before, time.Unix(1, 0)); after.Leaving != nil {
		t.Errorf("room for %d leaving endpoints is kept", cap(after.Leaving))
	}
}
