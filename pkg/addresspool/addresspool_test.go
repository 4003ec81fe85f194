// SPDX-License-Identifier: Apache-2.0

package addresspool

import (
	"net/netip"
	"testing"

	"github.com/acnodal/epic/pkg/registry/claims"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]struct{ first, last, size string }{
		"192.0.2.0/28":              {"192.0.2.1", "192.0.2.14", "14"},
		"192.0.2.0/30":              {"192.0.2.1", "192.0.2.2", "2"},
		"192.0.2.5-192.0.2.9":       {"192.0.2.5", "192.0.2.9", "5"},
		"192.0.2.6/31":              {"192.0.2.6", "192.0.2.7", "2"},
		"192.0.2.7/32":              {"192.0.2.7", "192.0.2.7", "1"},
		"2001:db8::/128":            {"2001:db8::", "2001:db8::", "1"},
		"2001:db8::/127":            {"2001:db8::", "2001:db8::1", "2"},
		"2001:db8::/126":            {"2001:db8::1", "2001:db8::3", "3"},
		"192.0.2.0-192.0.2.15":      {"192.0.2.0", "192.0.2.15", "16"},
		"2001:db8:1::/64":           {"2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff", "18446744073709551615"},
		"2001:db8::1-2001:db8::1:0": {"2001:db8::1", "2001:db8::1:0", "65536"},
		"0.0.0.0/0":                 {"0.0.0.1", "255.255.255.254", "4294967294"},
		"192.0.2.9/28":              {"192.0.2.1", "192.0.2.14", "14"},
	} {
		p, err := Parse(s, s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if p.First.String() != want.first || p.Last.String() != want.last || p.Size().String() != want.size {
			t.Errorf("%s is %s to %s, %s addresses; want %+v", s, p.First, p.Last, p.Size(), want)
		}
		for address, in := range map[netip.Addr]bool{p.First: true, p.Last: true, p.First.Prev(): false, p.Last.Next(): false} {
			if address.IsValid() && p.Contains(address) != in {
				t.Errorf("%s contains %s: %v", s, address, !in)
			}
		}
	}
	for _, s := range []string{"", "many", "192.0.2.0/40", "192.0.2.1-many", "-"} {
		if p, err := Parse(s, "192.0.2.0/24"); err == nil {
			t.Errorf("%q is taken for %v", s, p)
		}
	}
}

// TestSubnet: the ends of a CIDR are spared where they are the subnet's, and only
// there. The server's own reading of pools agrees.
func TestSubnet(t *testing.T) {
	for _, c := range []struct{ pool, subnet, first, last string }{
		{"192.0.2.0/29", "192.0.2.0/24", "192.0.2.1", "192.0.2.7"},
		{"192.0.2.8/29", "192.0.2.0/24", "192.0.2.8", "192.0.2.15"},
		{"192.0.2.248/29", "192.0.2.0/24", "192.0.2.248", "192.0.2.254"},
		{"192.0.2.0/31", "192.0.2.0/24", "192.0.2.0", "192.0.2.1"},
		{"192.0.2.255/32", "192.0.2.0/24", "192.0.2.255", "192.0.2.255"},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", "192.0.2.0", "192.0.2.255"},
		{"2001:db8::/64", "2001:db8::/48", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"},
		{"2001:db8:0:1::/64", "2001:db8::/48", "2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff"},
		{"2001:db8:0:ffff::/64", "2001:db8::/48", "2001:db8:0:ffff::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff"},
	} {
		p, err := Parse(c.pool, c.subnet)
		if err != nil || p.First.String() != c.first || p.Last.String() != c.last {
			t.Errorf("%s in %s is %v, %v; want %s to %s", c.pool, c.subnet, p, err, c.first, c.last)
		}
		if _, part, err := claims.ParseAssignable(c.pool, c.subnet); err != nil || part.From != p.First || part.To != p.Last {
			t.Errorf("%s in %s is %v, and the server assigns %s, %v", c.pool, c.subnet, p, part, err)
		}
	}
	if p, err := Parse("192.0.2.0/29", "many"); err == nil {
		t.Errorf("a subnet that can't be read makes %v", p)
	}
}

func TestContainsOtherFamily(t *testing.T) {
	p, err := Parse("0.0.0.0/0", "0.0.0.0/0")
	if err != nil {
		t.Fatal(err)
	}
	if p.Contains(netip.MustParseAddr("2001:db8::1")) {
		t.Error("an IPv6 address is in an IPv4 pool")
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		pool  string
		inUse int
		want  int64
	}{
		{"192.0.2.0-192.0.2.3", 0, 0}, {"192.0.2.0-192.0.2.3", 3, 75}, {"192.0.2.0/30", 2, 100}, {"192.0.2.0/24", 253, 99},
		{"2001:db8::/64", 1 << 40, 0},
	} {
		p, err := Parse(c.pool, c.pool)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Percent(c.inUse); got != c.want {
			t.Errorf("%d of %s are %d %%, want %d", c.inUse, c.pool, got, c.want)
		}
	}
}
