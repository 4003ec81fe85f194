// SPDX-License-Identifier: Apache-2.0

package addresspool

import (
	"net/netip"
	"testing"
)

// TestAssignableSize counts the addresses that the server assigns from a pool.
func TestAssignableSize(t *testing.T) {
	for s, want := range map[string]struct{ first, last, size string }{
		"192.0.2.0/28":    {"192.0.2.1", "192.0.2.14", "14"},
		"192.0.2.0/30":    {"192.0.2.1", "192.0.2.2", "2"},
		"192.0.2.6/31":    {"192.0.2.6", "192.0.2.7", "2"},
		"192.0.2.7/32":    {"192.0.2.7", "192.0.2.7", "1"},
		"2001:db8::/128":  {"2001:db8::", "2001:db8::", "1"},
		"2001:db8::/127":  {"2001:db8::", "2001:db8::1", "2"},
		"2001:db8::/126":  {"2001:db8::1", "2001:db8::3", "3"},
		"2001:db8:1::/64": {"2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff", "18446744073709551615"},
		"0.0.0.0/0":       {"0.0.0.1", "255.255.255.254", "4294967294"},
	} {
		_, p, err := ParseAssignable(s, s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if p.From().String() != want.first || p.To().String() != want.last || p.Size().String() != want.size {
			t.Errorf("%s is %s, %s addresses; want %+v", s, p, p.Size(), want)
		}
		for address, in := range map[netip.Addr]bool{p.From(): true, p.To(): true, p.From().Prev(): false, p.To().Next(): false} {
			if address.IsValid() && p.Contains(address) != in {
				t.Errorf("%s contains %s: %v", s, address, !in)
			}
		}
	}
	for s, want := range map[string]string{"192.0.2.5-192.0.2.9": "5", "192.0.2.0-192.0.2.15": "16", "2001:db8::1-2001:db8::1:0": "65536"} {
		if size := pool(t, s).Size().String(); size != want {
			t.Errorf("%s has %s addresses, want %s", s, size, want)
		}
	}
	if size := (Pool{}).Size(); size.Sign() != 0 {
		t.Errorf("no pool has %s addresses", size)
	}
}

func TestContainsOtherFamily(t *testing.T) {
	if pool(t, "0.0.0.0/0").Contains(netip.MustParseAddr("2001:db8::1")) {
		t.Error("an IPv6 address is in an IPv4 pool")
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		pool, subnet string
		inUse        int
		want         int64
	}{
		{"192.0.2.0-192.0.2.3", "192.0.2.0/24", 0, 0}, {"192.0.2.0-192.0.2.3", "192.0.2.0/24", 3, 75}, {"192.0.2.0/30", "192.0.2.0/30", 2, 100},
		{"192.0.2.0/24", "192.0.2.0/24", 253, 99}, {"2001:db8::/64", "2001:db8::/64", 1 << 40, 0},
	} {
		_, p, err := ParseAssignable(c.pool, c.subnet)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Percent(c.inUse); got != c.want {
			t.Errorf("%d of %s are %d %%, want %d", c.inUse, c.pool, got, c.want)
		}
	}
}
