// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/registry/claims/internal/cursor"
)

// MaxID is the largest ID of any kind; the smallest is 1.
const MaxID = math.MaxInt32

// Space is a range of numbers from which a cursor hands out one after the
// other, beginning again at the start when the end is reached.
type Space struct {
	name string
	// size is how many numbers there are.
	size uint64
	// first block that a server reserves, and the largest, in numbers.
	minBlock, maxBlock uint64
	// turns indicates that a number may come again only when all others have had
	// their turn, even if a server slept on its block for a whole round.
	turns bool
	// pool is set where the numbers are offsets into a pool of addresses, and part
	// is the range inside it of those that are handed out.
	pool, part *addresspool.Pool
}

// Range implements cursor.Ranged.
func (s Space) Range() cursor.Range {
	return cursor.Range{Name: s.name, Size: s.size, MinBlock: s.minBlock, MaxBlock: s.maxBlock, Turns: s.turns}
}

// TunnelIDs are unique in the whole system.
var TunnelIDs = Space{name: "tunnel", size: MaxID, minBlock: 16, maxBlock: 4096, turns: true}

// GroupIDs number the accounts.
var GroupIDs = Space{name: "group", size: MaxID, minBlock: 1, maxBlock: 256, turns: true}

// ServiceIDs number the load balancers of an account.
func ServiceIDs(account Ref) Space {
	return Space{name: "service/" + digest(account.String()), size: MaxID, minBlock: 1, maxBlock: 256, turns: true}
}

// claimAt is the claim of the number at a position of the space's cursor, which
// counts on through all turns.
func (s Space) claimAt(position uint64) Claim {
	n := position % s.size
	if s.pool != nil {
		return AddressClaim(addressAt(*s.pool, n))
	}
	return Claim{kind: s.name, number: n + 1}
}

// poolSize is the number of addresses of a pool, or 1<<62 if there are more.
func poolSize(p addresspool.Pool) uint64 {
	const most = 1 << 62
	if n := p.Size(); n.IsUint64() {
		return min(n.Uint64(), most)
	}
	return most
}

// addressAt is the address of a pool that is n after its first.
func addressAt(p addresspool.Pool, n uint64) netip.Addr {
	h, l := halves(p.From())
	l, carry := bits.Add64(l, n, 0)
	h += carry
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], h)
	binary.BigEndian.PutUint64(b[8:], l)
	a := netip.AddrFrom16(b)
	if p.From().Is4() {
		a = a.Unmap()
	}
	return a
}

// poolSpace is the cursor's view of a pool.
func poolSpace(p addresspool.Pool) Space {
	size := poolSize(p)
	// Each server gets a part of a small pool, so servers do not pick the same address.
	most := min(4096, max(64, size/64))
	return Space{name: "address/" + digest(p.String()), size: size, minBlock: 1, maxBlock: most, pool: &p}
}

// partSpace is the cursor's view of a pool of which only a part is handed out.
func partSpace(p, part addresspool.Pool) Space {
	s := poolSpace(p)
	s.part = &part
	return s
}

// spares reports whether the number at a position is not handed out.
func (s Space) spares(position uint64) bool {
	return s.part != nil && !s.part.Contains(addressAt(*s.pool, position%s.size))
}

// poolKeys is the half-open range of the keys of all claims on a pool's addresses.
func poolKeys(l layout, p addresspool.Pool) (first, end string) {
	return l.claim(AddressClaim(p.From())), l.claim(AddressClaim(p.To())) + "\x00"
}

// poolCoolingKeys is the half-open range of the cooling keys of a pool's addresses.
func poolCoolingKeys(l layout, p addresspool.Pool) (first, end string) {
	return l.cooling(AddressClaim(p.From())), l.cooling(AddressClaim(p.To())) + "\x00"
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// parsePoolClaim reads a claim that AddPool made.
func parsePoolClaim(name string, value []byte) (HeldPool, error) {
	pool, err := parsePoolKey(name)
	if err != nil {
		return HeldPool{}, err
	}
	o, err := parseOwner(value)
	if err != nil {
		return HeldPool{}, err
	}
	return HeldPool{Pool: pool, Owner: o}, nil
}
