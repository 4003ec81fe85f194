// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"strings"
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
	// turns says that a number may come again only when all others have had
	// their turn, even if a server slept on its block for a whole round.
	turns bool
	// pool is set where the numbers are offsets into a pool of addresses, and part
	// is the range inside it of those that are handed out.
	pool, part *Pool
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
		return AddressClaim(s.pool.at(n))
	}
	return Claim{kind: s.name, number: n + 1}
}

// Pool is a range of addresses of one family, both ends included.
type Pool struct {
	From, To netip.Addr
}

// ParsePool reads a CIDR prefix or a "from-to" range. A prefix stands for all
// its addresses.
func ParsePool(s string) (Pool, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return Pool{}, fmt.Errorf("%q has bits set beyond its mask: write %s", s, p.Masked())
		}
		return apartFromIPv4(s, Pool{From: p.Addr(), To: lastOf(p)})
	}
	from, to, ok := cutRange(s)
	if !ok {
		return Pool{}, fmt.Errorf("%q is neither a CIDR prefix (192.0.2.0/24) nor a range (192.0.2.1-192.0.2.9)", s)
	}
	f, err := netip.ParseAddr(from)
	if err != nil {
		return Pool{}, fmt.Errorf("%q: the start is no IP address", s)
	}
	t, err := netip.ParseAddr(to)
	if err != nil {
		return Pool{}, fmt.Errorf("%q: the end is no IP address", s)
	}
	switch {
	case f.Zone() != "" || t.Zone() != "" || f.Is4In6() || t.Is4In6():
		return Pool{}, fmt.Errorf("%q: write plain IPv4 or IPv6 addresses, without a zone and not IPv4 inside IPv6", s)
	case f.Is4() != t.Is4():
		return Pool{}, fmt.Errorf("%q: start and end are of different families", s)
	case t.Less(f):
		return Pool{}, fmt.Errorf("%q: the end comes before the start", s)
	}
	return apartFromIPv4(s, Pool{From: f, To: t})
}

// ParseAssignable reads a pool and its subnet, and returns the pool and the part of
// it from which addresses are assigned. Of a prefix that is all but the addresses
// that mean something else to hosts with the subnet on a link: the subnet's first,
// which is the network's or, with IPv6, the subnet-router anycast address, and in
// IPv4 its last, to which broadcasts go. To those hosts the ends of a prefix inside
// the subnet are addresses like any other. Prefixes of one or two addresses and
// ranges are taken as given. Whoever asks for one of the addresses left out gets it.
func ParseAssignable(s, subnet string) (pool, part Pool, err error) {
	if pool, err = ParsePool(s); err != nil {
		return Pool{}, Pool{}, err
	}
	link, err := netip.ParsePrefix(subnet)
	if err != nil {
		return Pool{}, Pool{}, fmt.Errorf("subnet %q is no CIDR prefix", subnet)
	}
	part = pool
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().BitLen()-p.Bits() < 2 {
		return pool, part, nil //nolint:nilerr // a range is no prefix
	}
	if pool.From == link.Masked().Addr() {
		part.From = pool.From.Next()
	}
	if pool.To.Is4() && pool.To == lastOf(link.Masked()) {
		part.To = pool.To.Prev()
	}
	return pool, part, nil
}

// ipv4InIPv6 are the IPv6 addresses that stand for IPv4 ones. Claims write IPv4
// addresses so, and would not tell the two apart.
var ipv4InIPv6 = Pool{From: netip.MustParseAddr("::ffff:0:0"), To: netip.MustParseAddr("::ffff:ffff:ffff")}

func apartFromIPv4(s string, p Pool) (Pool, error) {
	if p.Overlaps(ipv4InIPv6) {
		return Pool{}, fmt.Errorf("%q holds IPv4 addresses written as IPv6: write IPv4 pools as IPv4, and IPv6 pools without ::ffff:0:0/96", s)
	}
	return p, nil
}

// String is "from-to".
func (p Pool) String() string { return p.From.String() + "-" + p.To.String() }

// IsValid tells a pool from the zero value.
func (p Pool) IsValid() bool { return p.From.IsValid() }

// Contains says whether a lies in the pool.
func (p Pool) Contains(a netip.Addr) bool {
	return a.Is4() == p.From.Is4() && a.Compare(p.From) >= 0 && a.Compare(p.To) <= 0
}

// Overlaps says whether the two pools share an address.
func (p Pool) Overlaps(o Pool) bool {
	return p.From.Is4() == o.From.Is4() && p.From.Compare(o.To) <= 0 && o.From.Compare(p.To) <= 0
}

// Minus returns the parts of p that are not in o.
func (p Pool) Minus(o Pool) []Pool {
	if !p.Overlaps(o) {
		return []Pool{p}
	}
	var out []Pool
	if p.From.Less(o.From) {
		out = append(out, Pool{From: p.From, To: o.From.Prev()})
	}
	if o.To.Less(p.To) {
		out = append(out, Pool{From: o.To.Next(), To: p.To})
	}
	return out
}

// Size is the number of addresses, or 1<<62 if there are more.
func (p Pool) Size() uint64 {
	fh, fl := halves(p.From)
	th, tl := halves(p.To)
	lo, borrow := bits.Sub64(tl, fl, 0)
	hi, _ := bits.Sub64(th, fh, borrow)
	const most = 1 << 62
	if hi > 0 || lo >= most {
		return most
	}
	return lo + 1
}

// at is the address n after the first.
func (p Pool) at(n uint64) netip.Addr {
	h, l := halves(p.From)
	l, carry := bits.Add64(l, n, 0)
	h += carry
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], h)
	binary.BigEndian.PutUint64(b[8:], l)
	a := netip.AddrFrom16(b)
	if p.From.Is4() {
		a = a.Unmap()
	}
	return a
}

// space is the cursor's view of the pool.
func (p Pool) space() Space {
	// Of a small pool every server has a part, so that they do not pick the same.
	most := min(4096, max(64, p.Size()/64))
	return Space{name: "address/" + digest(p.String()), size: p.Size(), minBlock: 1, maxBlock: most, pool: &p}
}

// spaceOf is the cursor's view of the pool where only a part is handed out.
func (p Pool) spaceOf(part Pool) Space {
	s := p.space()
	s.part = &part
	return s
}

// spares says whether the number at a position is not handed out.
func (s Space) spares(position uint64) bool {
	return s.part != nil && !s.part.Contains(s.pool.at(position%s.size))
}

func (p Pool) keyRange(l layout) (first, end string) {
	return l.claim(AddressClaim(p.From)), l.claim(AddressClaim(p.To)) + "\x00"
}

func (p Pool) coolingRange(l layout) (first, end string) {
	return l.cooling(AddressClaim(p.From)), l.cooling(AddressClaim(p.To)) + "\x00"
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	host := p.Addr().BitLen() - p.Bits()
	for i := 15; host > 0; i-- {
		n := min(host, 8)
		b[i] |= byte(1<<n - 1)
		host -= n
	}
	a := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		a = a.Unmap()
	}
	return a
}

func cutRange(s string) (from, to string, ok bool) {
	for i := range len(s) {
		if s[i] == '-' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// parsePoolClaim reads a claim that AddPool made.
func parsePoolClaim(name string, value []byte) (HeldPool, error) {
	first, last, _ := strings.Cut(name, "-")
	from, err := parseAddressKey(first)
	if err != nil {
		return HeldPool{}, err
	}
	to, err := parseAddressKey(last)
	if err != nil {
		return HeldPool{}, err
	}
	o, err := parseOwner(value)
	if err != nil {
		return HeldPool{}, err
	}
	return HeldPool{Pool: Pool{From: from, To: to}, Owner: o}, nil
}
