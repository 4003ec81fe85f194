// SPDX-License-Identifier: Apache-2.0

package addresspool

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/addresspool/addresspooltest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func pool(t testing.TB, s string) Pool {
	t.Helper()
	p, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"192.168.77.0/24":           "192.168.77.0-192.168.77.255",
		"192.168.77.2/32":           "192.168.77.2-192.168.77.2",
		"0.0.0.0/0":                 "0.0.0.0-255.255.255.255",
		"192.0.2.128/25":            "192.0.2.128-192.0.2.255",
		"192.0.2.4/31":              "192.0.2.4-192.0.2.5",
		"192.0.2.1-192.0.2.9":       "192.0.2.1-192.0.2.9",
		"192.0.2.9-192.0.2.9":       "192.0.2.9-192.0.2.9",
		"2001:db8::/64":             "2001:db8::-2001:db8::ffff:ffff:ffff:ffff",
		"2001:db8::1/128":           "2001:db8::1-2001:db8::1",
		"2001:db8::/61":             "2001:db8::-2001:db8:0:7:ffff:ffff:ffff:ffff",
		"2001:db8::1-2001:db8::1:1": "2001:db8::1-2001:db8::1:1",
	} {
		if got := pool(t, in).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"":                              "is not a CIDR",
		"192.0.2.1":                     "is not a CIDR",
		"192.0.2.0/33":                  "is not a CIDR",
		"192.0.2.1/24":                  "write 192.0.2.0/24",
		"2001:db8::1/64":                "write 2001:db8::/64",
		"192.0.2.9-192.0.2.1":           "before the start",
		"192.0.2.9-2001:db8::1":         "different address families",
		"x-192.0.2.1":                   "the start is not an IP address",
		"192.0.2.1-x":                   "the end is not an IP address",
		"192.0.2.1-192.0.2.2-3":         "the end is not an IP address",
		"192.0.2.1 - 192.0.2.2":         "the start is not an IP address",
		"fe80::1%eth0-fe80::2%eth0":     "without a zone",
		"::ffff:192.0.2.0/120":          "IPv4",
		"::ffff:1.2.3.4-::ffff:1.2.3.5": "not IPv4 inside IPv6",
		// These hold IPv4 addresses in their middle, whose claims would be
		// those of IPv4 itself.
		"::/64":                      "IPv4",
		"::/0":                       "IPv4",
		"::1-1::":                    "IPv4",
		"::1-::ffff:0:1":             "IPv4",
		"::fffe:0:1-::ffff:ffff:1:0": "IPv4",
	} {
		p, err := Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error with %q", in, p, err, want)
		}
		if p.IsValid() {
			t.Errorf("%s: refused, and yet a pool: %s", in, p)
		}
	}
}

// Of a prefix the addresses that mean something to hosts with the subnet on a link are
// not assigned.
func TestParseAssignable(t *testing.T) {
	for _, c := range []struct{ pool, subnet, want string }{
		{"192.0.2.0/24", "192.0.2.0/24", "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/30", "192.0.2.0/30", "192.0.2.1-192.0.2.2"},
		{"192.0.2.0/29", "192.0.2.0/24", "192.0.2.1-192.0.2.7"},
		{"192.0.2.8/29", "192.0.2.0/24", "192.0.2.8-192.0.2.15"},
		{"192.0.2.248/29", "192.0.2.0/24", "192.0.2.248-192.0.2.254"},
		{"192.0.2.8/29", "192.0.2.9/24", "192.0.2.8-192.0.2.15"}, // a host's address for its subnet
		{"192.0.2.0/29", "192.0.2.9/24", "192.0.2.1-192.0.2.7"},
		{"192.0.2.0/31", "192.0.2.0/31", "192.0.2.0-192.0.2.1"},
		{"192.0.2.0/31", "192.0.2.0/24", "192.0.2.0-192.0.2.1"},
		{"192.0.2.0/32", "192.0.2.0/24", "192.0.2.0-192.0.2.0"},
		{"192.0.2.255/32", "192.0.2.0/24", "192.0.2.255-192.0.2.255"},
		{"0.0.0.0/0", "0.0.0.0/0", "0.0.0.1-255.255.255.254"},
		{"10.0.0.0/24", "0.0.0.0/0", "10.0.0.0-10.0.0.255"},
		{"2001:db8::/64", "2001:db8::/64", "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"},
		{"2001:db8::/64", "2001:db8::/48", "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"},
		{"2001:db8:0:1::/64", "2001:db8::/48", "2001:db8:0:1::-2001:db8:0:1:ffff:ffff:ffff:ffff"},
		{"2001:db8:0:ffff::/64", "2001:db8::/48", "2001:db8:0:ffff::-2001:db8:0:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db8::/126", "2001:db8::/126", "2001:db8::1-2001:db8::3"},
		{"2001:db8::4/126", "2001:db8::/64", "2001:db8::4-2001:db8::7"},
		{"2001:db8::/127", "2001:db8::/64", "2001:db8::-2001:db8::1"},
		{"2001:db8::/128", "2001:db8::/64", "2001:db8::-2001:db8::"},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", "192.0.2.0-192.0.2.255"},
		{"2001:db8::-2001:db8::ffff", "2001:db8::/64", "2001:db8::-2001:db8::ffff"},
	} {
		p, part, err := ParseAssignable(c.pool, c.subnet)
		if err != nil || part.String() != c.want {
			t.Errorf("%s in %s: got %s, %v, want %s", c.pool, c.subnet, part, err, c.want)
		}
		if whole, err := Parse(c.pool); err != nil || p != whole {
			t.Errorf("%s is %s, want %s, %v", c.pool, p, whole, err)
		}
		// A part lacks no more than what the cursor of the pool passes over.
		if spared := new(big.Int).Sub(p.Size(), part.Size()); spared.Cmp(big.NewInt(2)) > 0 || !p.Contains(part.From()) || !p.Contains(part.To()) {
			t.Errorf("%s of %s", part, p)
		}
	}
	for _, c := range [][2]string{
		{"", "192.0.2.0/24"}, {"many", "192.0.2.0/24"}, {"::ffff:1.2.3.0/120", "::/0"}, {"192.0.2.9-192.0.2.1", "192.0.2.0/24"},
		{"192.0.2.0/29", ""}, {"192.0.2.0/29", "192.0.2.0"}, {"192.0.2.1-192.0.2.2", "many"},
	} {
		if p, part, err := ParseAssignable(c[0], c[1]); err == nil || p.IsValid() || part.IsValid() {
			t.Errorf("%q: got %s, %s, %v", c, p, part, err)
		}
	}
}

func TestPoolSets(t *testing.T) {
	for _, tc := range []struct {
		p, o     string
		overlaps bool
		minus    string
	}{
		{"192.0.2.0/24", "192.0.2.0/24", true, ""},
		{"192.0.2.0/24", "192.0.3.0/24", false, "192.0.2.0-192.0.2.255"},
		{"192.0.2.0/24", "192.0.2.0/25", true, "192.0.2.128-192.0.2.255"},
		{"192.0.2.0/24", "192.0.2.128/25", true, "192.0.2.0-192.0.2.127"},
		{"192.0.2.0/24", "192.0.2.7-192.0.2.8", true, "192.0.2.0-192.0.2.6 192.0.2.9-192.0.2.255"},
		{"192.0.2.7-192.0.2.8", "192.0.2.0/24", true, ""},
		{"192.0.2.0-192.0.2.8", "192.0.2.8-192.0.2.9", true, "192.0.2.0-192.0.2.7"},
		{"192.0.2.0-192.0.2.8", "192.0.2.9-192.0.2.9", false, "192.0.2.0-192.0.2.8"},
		{"0.0.0.0/0", "255.255.255.255/32", true, "0.0.0.0-255.255.255.254"},
		{"2001:db8::/64", "192.0.2.0/24", false, "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"},
		{"2001:db8::/64", "2001:db8::1:0:0:0/128", true, "2001:db8::-2001:db8::ffff:ffff:ffff 2001:db8::1:0:0:1-2001:db8::ffff:ffff:ffff:ffff"},
	} {
		p, o := pool(t, tc.p), pool(t, tc.o)
		if got := p.Overlaps(o); got != tc.overlaps {
			t.Errorf("%s overlaps %s: %v", p, o, got)
		}
		if got := o.Overlaps(p); got != tc.overlaps {
			t.Errorf("%s overlaps %s: %v", o, p, got)
		}
		var parts []string
		for _, m := range p.Minus(o) {
			parts = append(parts, m.String())
		}
		if got := strings.Join(parts, " "); got != tc.minus {
			t.Errorf("%s minus %s: got %q, want %q", p, o, got, tc.minus)
		}
	}
	if pool(t, "192.0.2.0/24").Contains(addr("::ffff:192.0.2.1")) {
		t.Error("an IPv4 pool contains an IPv6 address")
	}
}

// TestSetsOfRandomPools compares sets of addresses with numbers.
func TestSetsOfRandomPools(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		v4 := i%2 == 0
		a, b := addresspooltest.Ends(r, v4)
		p := Between(a, b)
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("%s: read as %s, %v", p, again, err)
		}
		if got, want := p.Size(), addresspooltest.Size(a, b); got.Cmp(want) != 0 {
			t.Fatalf("%s: size %s, want %s", p, got, want)
		}
		if !p.Contains(a) || !p.Contains(b) {
			t.Fatalf("%s does not contain its own addresses", p)
		}
		c := addresspooltest.Address(r, v4)
		n := addresspooltest.Number(c)
		inside := n.Cmp(addresspooltest.Number(a)) >= 0 && n.Cmp(addresspooltest.Number(b)) <= 0
		if p.Contains(c) != inside {
			t.Fatalf("%s contains %s: %v", p, c, !inside)
		}
		for _, part := range p.Minus(Between(c, c)) {
			if part.Contains(c) || !part.IsValid() {
				t.Fatalf("%s minus %s has %s", p, c, part)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1-192.0.2.9", "2001:db8::/64", "::/0", "fe80::1%a-fe80::2%a", "::ffff:1.2.3.4/128", "-", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if p.From().Is4() != p.To().Is4() || p.To().Less(p.From()) || p.From().Zone() != "" || p.From().Is4In6() || p.To().Is4In6() {
			t.Fatalf("%q is read as %s", s, p)
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("%q: %s is read as %s, %v", s, p, again, err)
		}
	})
}
