// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/addresspool"
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

// number is an address as a number.
func number(a netip.Addr) *big.Int {
	return new(big.Int).SetBytes(a.AsSlice())
}

// TestPoolArithmetic compares the arithmetic on halves with that of math/big.
func TestPoolArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(v4 bool) netip.Addr {
		if v4 {
			var b [4]byte
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return netip.AddrFrom4(b)
		}
		var b [16]byte
		for i := range b {
			// Runs of zeros and ones make for carries.
			b[i] = []byte{0, 0xff, byte(r.Uint32())}[r.IntN(3)]
		}
		b[0] |= 0x20 // away from IPv4 inside IPv6
		return netip.AddrFrom16(b)
	}
	most := new(big.Int).Lsh(big.NewInt(1), 62)
	for i := range 20000 {
		v4 := i%2 == 0
		a, b := random(v4), random(v4)
		if r.IntN(3) == 0 {
			b = a
			for range r.IntN(300) {
				if n := b.Next(); n.IsValid() {
					b = n
				}
			}
		}
		if b.Less(a) {
			a, b = b, a
		}
		p := addresspool.Between(a, b)
		want := new(big.Int).Sub(number(b), number(a))
		want.Add(want, big.NewInt(1))
		if want.Cmp(most) > 0 {
			want = most
		}
		if got := new(big.Int).SetUint64(poolSize(p)); got.Cmp(want) != 0 {
			t.Fatalf("%s: size %s, want %s", p, got, want)
		}
		n := r.Uint64N(poolSize(p))
		at := addressAt(p, n)
		if want := new(big.Int).Add(number(a), new(big.Int).SetUint64(n)); number(at).Cmp(want) != 0 || at.Is4() != v4 {
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
