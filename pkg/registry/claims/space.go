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

// Space is a range of numbers that a cursor allocates in order, and again from the start
// when it reaches the end.
type Space struct {
	name string
	// size is the number of numbers in the space.
	size uint64
	// minBlock and maxBlock are the sizes of the first and of the largest block that a
	// server reserves, in numbers.
	minBlock, maxBlock uint64
	// turns indicates that a number may be allocated again only after all others have had
	// their turn, even if a server held its block for a whole round.
	turns bool
	// pool is set if the numbers are offsets into a pool of addresses. part is the range
	// of it that is allocated.
	pool, part *addresspool.Pool
}

// Range implements cursor.Ranged.
func (s Space) Range() cursor.Range {
	return cursor.Range{Name: s.name, Size: s.size, MinBlock: s.minBlock, MaxBlock: s.maxBlock, Turns: s.turns}
}

// TunnelIDs is the space of tunnel IDs, which are unique in the installation.
var TunnelIDs = Space{name: "tunnel", size: MaxID, minBlock: 16, maxBlock: 4096, turns: true}

// GroupIDs is the space of account group IDs.
var GroupIDs = Space{name: "group", size: MaxID, minBlock: 1, maxBlock: 256, turns: true}

// ServiceIDs returns the space of the service IDs of an account's load balancers.
func ServiceIDs(account Ref) Space {
	return Space{name: "service/" + digest(account.String()), size: MaxID, minBlock: 1, maxBlock: 256, turns: true}
}

// claimAt returns the claim of the number at a position of the space's cursor, which
// counts through all turns.
func (s Space) claimAt(position uint64) Claim {
	n := position % s.size
	if s.pool != nil {
		return AddressClaim(addressAt(*s.pool, n))
	}
	return Claim{kind: s.name, number: n + 1}
}

// poolSize returns the number of addresses of a pool, at most 1<<62.
func poolSize(p addresspool.Pool) uint64 {
	const most = 1 << 62
	if n := p.Size(); n.IsUint64() {
		return min(n.Uint64(), most)
	}
	return most
}

// addressAt returns the address of a pool at offset n.
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

// poolSpace returns the space of a pool's addresses.
func poolSpace(p addresspool.Pool) Space {
	size := poolSize(p)
	// Each server gets a part of a small pool, so servers do not pick the same address.
	most := min(4096, max(64, size/64))
	return Space{name: "address/" + digest(p.String()), size: size, minBlock: 1, maxBlock: most, pool: &p}
}

// partSpace returns the space of a pool of which only a part is allocated.
func partSpace(p, part addresspool.Pool) Space {
	s := poolSpace(p)
	s.part = &part
	return s
}

// spares reports whether the number at a position is not allocated.
func (s Space) spares(position uint64) bool {
	return s.part != nil && !s.part.Contains(addressAt(*s.pool, position%s.size))
}

// poolKeys returns the half-open range of the keys of all claims on a pool's addresses.
func poolKeys(l layout, p addresspool.Pool) (first, end string) {
	return l.claim(AddressClaim(p.From())), l.claim(AddressClaim(p.To())) + "\x00"
}

// poolCoolingKeys returns the half-open range of the cooling keys of a pool's addresses.
func poolCoolingKeys(l layout, p addresspool.Pool) (first, end string) {
	return l.cooling(AddressClaim(p.From())), l.cooling(AddressClaim(p.To())) + "\x00"
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// parsePoolClaim parses a claim made by AddPool.
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
