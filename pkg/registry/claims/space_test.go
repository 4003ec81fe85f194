// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/addresspool/addresspooltest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func pool(t testing.TB, s string) addresspool.Pool {
	t.Helper()
	p, err := addresspool.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPoolArithmetic compares sizes and addresses of pools with numbers of math/big.
func TestPoolArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	most := new(big.Int).Lsh(big.NewInt(1), 62)
	for i := range 20000 {
		v4 := i%2 == 0
		a, b := addresspooltest.Ends(r, v4)
		p := addresspool.Between(a, b)
		want := addresspooltest.Size(a, b)
		if want.Cmp(most) > 0 {
			want = most
		}
		if got := new(big.Int).SetUint64(poolSize(p)); got.Cmp(want) != 0 {
			t.Fatalf("%s: size %s, want %s", p, got, want)
		}
		n := r.Uint64N(poolSize(p))
		at := addressAt(p, n)
		if want := new(big.Int).Add(addresspooltest.Number(a), new(big.Int).SetUint64(n)); addresspooltest.Number(at).Cmp(want) != 0 || at.Is4() != v4 {
			t.Fatalf("%s: at %d is %s", p, n, at)
		}
		if !p.Contains(at) || !p.Contains(a) || !p.Contains(b) {
			t.Fatalf("%s does not contain its own addresses", p)
		}
		if back, err := parseAddressKey(addressKey(at)); err != nil || back != at {
			t.Fatalf("%s: key reads as %s, %v", at, back, err)
		}
		if (addressKey(a) < addressKey(at)) != a.Less(at) {
			t.Fatalf("keys of %s and %s are not in order", a, at)
		}
	}
}

// TestPoolEnds: the addresses of a pool are counted from its first to its last, and
// their claims are never outside its family.
func TestPoolEnds(t *testing.T) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1-192.0.2.9", "0.0.0.0/0", "2001:db8::/64", "2001:db8::1-2001:db8::1:0:0:0", "2001:db8::/128"} {
		p := pool(t, s)
		size := poolSize(p)
		if addressAt(p, 0) != p.From() || size < 1<<62 && addressAt(p, size-1) != p.To() {
			t.Errorf("%s has its ends elsewhere", p)
		}
		for _, n := range []uint64{0, size / 2, size - 1} {
			a, ok := poolSpace(p).claimAt(n).Address()
			if !ok || !p.Contains(a) {
				t.Errorf("address %d of %s is claimed as %s", n, p, a)
			}
		}
	}
}

func TestSpaces(t *testing.T) {
	s := Space{name: "tunnel", size: 3}
	for position, want := range map[uint64]uint64{0: 1, 1: 2, 2: 3, 3: 1, 7: 2, 3_000_000_002: 3} {
		if got := s.claimAt(position).Number(); got != want {
			t.Errorf("position %d: got %d, want %d", position, got, want)
		}
	}
	if TunnelIDs.claimAt(TunnelIDs.size-1).Number() != 2147483647 || TunnelIDs.claimAt(TunnelIDs.size).Number() != 1 {
		t.Error("tunnel IDs do not run from 1 to 2147483647")
	}
	a, b := ServiceIDs(Ref{"accounts", "a", "bc"}), ServiceIDs(Ref{"accounts", "ab", "c"})
	if a.name == b.name || strings.Contains(a.name, "bc") {
		t.Errorf("service spaces %s and %s", a.name, b.name)
	}
}
