// SPDX-License-Identifier: Apache-2.0

// Package addresspool parses the pools of service prefixes and computes with them: which
// addresses a pool has, which of them the server assigns, and how many are in use. It is
// pure. pkg/registry/claims records which object holds which address.
package addresspool

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
)

// Pool is a range of addresses of one family, both ends included. The zero value
// is not valid and has no addresses. Pools are comparable.
type Pool struct{ netipx.IPRange }

// Between returns the pool from one address to another.
func Between(from, to netip.Addr) Pool { return Pool{netipx.IPRangeFrom(from, to)} }

// ipv4InIPv6 is the range of IPv4-mapped IPv6 addresses. Claims use this form for IPv4
// addresses and could not distinguish the two.
var ipv4InIPv6 = Pool{netipx.RangeOfPrefix(netip.MustParsePrefix("::ffff:0:0/96"))}

// Parse parses a CIDR prefix or a range, "FROM-TO". A prefix includes all its addresses.
func Parse(s string) (Pool, error) {
	pool, err := parse(s)
	if err != nil {
		return Pool{}, err
	}
	if pool.Overlaps(ipv4InIPv6) {
		return Pool{}, fmt.Errorf("%q holds IPv4 addresses written as IPv6: write IPv4 pools as IPv4, and IPv6 pools without ::ffff:0:0/96", s)
	}
	return pool, nil
}

func parse(s string) (Pool, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return Pool{}, fmt.Errorf("%q has bits set beyond its mask: write %s", s, p.Masked())
		}
		return Pool{netipx.RangeOfPrefix(p)}, nil
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Pool{}, fmt.Errorf("%q is not a CIDR (192.0.2.0/24) or a range (192.0.2.1-192.0.2.9)", s)
	}
	f, err := netip.ParseAddr(from)
	if err != nil {
		return Pool{}, fmt.Errorf("%q: the start is not an IP address", s)
	}
	t, err := netip.ParseAddr(to)
	if err != nil {
		return Pool{}, fmt.Errorf("%q: the end is not an IP address", s)
	}
	switch {
	case f.Zone() != "" || t.Zone() != "" || f.Is4In6() || t.Is4In6():
		return Pool{}, fmt.Errorf("%q: write plain IPv4 or IPv6 addresses, without a zone and not IPv4 inside IPv6", s)
	case f.Is4() != t.Is4():
		return Pool{}, fmt.Errorf("%q: start and end are of different address families", s)
	case t.Less(f):
		return Pool{}, fmt.Errorf("%q: the end comes before the start", s)
	}
	return Between(f, t), nil
}

// hostBitsWithEnds is the minimum number of host bits of a prefix with a network and a
// broadcast address.
const hostBitsWithEnds = 2

// ParseAssignable parses a pool and its subnet, and returns the pool and the part of it
// from which the server assigns addresses. From a prefix, it does not assign the
// addresses with a special meaning for hosts with the subnet on a link: the subnet's
// first address, which is the network address or, with IPv6, the subnet-router anycast
// address, and in IPv4 its last, the broadcast address. For those hosts, the ends of a
// prefix inside the subnet are ordinary addresses. Prefixes of one or two addresses and
// ranges are assigned completely. A client that requests one of the excluded addresses
// gets it.
func ParseAssignable(s, subnet string) (pool, part Pool, err error) {
	if pool, err = Parse(s); err != nil {
		return Pool{}, Pool{}, err
	}
	link, err := netip.ParsePrefix(subnet)
	if err != nil {
		return Pool{}, Pool{}, fmt.Errorf("subnet %q is not a CIDR", subnet)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().BitLen()-p.Bits() < hostBitsWithEnds {
		return pool, pool, nil //nolint:nilerr // a range is not a prefix
	}
	from, to := pool.From(), pool.To()
	if from == link.Masked().Addr() {
		from = from.Next()
	}
	if to.Is4() && to == netipx.PrefixLastIP(link) {
		to = to.Prev()
	}
	return pool, Between(from, to), nil
}

// Overlaps reports whether the two pools share an address.
func (p Pool) Overlaps(o Pool) bool { return p.IPRange.Overlaps(o.IPRange) }

// Minus returns the parts of p that are not in o, in order.
func (p Pool) Minus(o Pool) []Pool {
	var rest netipx.IPSetBuilder
	rest.AddRange(p.IPRange)
	rest.RemoveRange(o.IPRange)
	set, err := rest.IPSet()
	if err != nil {
		// Only an invalid range is rejected, and it has no addresses to remove.
		return []Pool{p}
	}
	ranges := set.Ranges()
	out := make([]Pool, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, Pool{r})
	}
	return out
}
