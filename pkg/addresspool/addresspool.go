// SPDX-License-Identifier: Apache-2.0

// Package addresspool counts the addresses that the pools of service prefixes have to
// assign, for the programs that show how full a pool is. It reads pools that the API server has
// accepted; which pools are accepted, and which address is whose, it does not
// decide.
package addresspool

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
)

// NearlyFullFrom is the share of a pool, in percent, from which on it is nearly
// full.
const NearlyFullFrom = 90

// Pool is the addresses from one to another, both among them.
type Pool struct{ First, Last netip.Addr }

// hostBitsWithEnds is the number of host bits from which on a prefix has a network
// and a broadcast address of its own.
const hostBitsWithEnds = 2

// Parse returns the addresses that the server assigns from a pool, which is a CIDR,
// or a first and a last address with a dash between. Of a CIDR the server assigns
// neither the network or subnet-router address of the subnet nor, in IPv4, its
// broadcast address, unless the CIDR has only one or two addresses.
func Parse(s, subnet string) (Pool, error) {
	if from, to, ok := strings.Cut(s, "-"); ok {
		first, err := netip.ParseAddr(strings.TrimSpace(from))
		if err != nil {
			return Pool{}, fmt.Errorf("the start of pool %q: %w", s, err)
		}
		last, err := netip.ParseAddr(strings.TrimSpace(to))
		if err != nil {
			return Pool{}, fmt.Errorf("the end of pool %q: %w", s, err)
		}
		return Pool{first, last}, nil
	}
	prefix, err := netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil {
		return Pool{}, fmt.Errorf("pool %q: %w", s, err)
	}
	link, err := netip.ParsePrefix(strings.TrimSpace(subnet))
	if err != nil {
		return Pool{}, fmt.Errorf("subnet %q: %w", subnet, err)
	}
	first, last := ends(prefix)
	if first.BitLen()-prefix.Bits() >= hostBitsWithEnds {
		network, broadcast := ends(link)
		if first == network {
			first = first.Next()
		}
		if last.Is4() && last == broadcast {
			last = last.Prev()
		}
	}
	return Pool{first, last}, nil
}

// ends are the first and the last address of a prefix.
func ends(prefix netip.Prefix) (first, last netip.Addr) {
	first = prefix.Masked().Addr()
	end := first.AsSlice()
	for bit := prefix.Bits(); bit < first.BitLen(); bit++ {
		end[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ = netip.AddrFromSlice(end)
	return first, last
}

// Contains reports whether an address is one of those that the server assigns.
func (p Pool) Contains(a netip.Addr) bool {
	return p.First.Compare(a) <= 0 && a.Compare(p.Last) <= 0
}

// InUse is how many of some addresses are in the pool. An address that the server
// gives only to those who ask for it, such as a CIDR's first, does not count.
func (p Pool) InUse(addresses []netip.Addr) int {
	n := 0
	for _, a := range addresses {
		if p.Contains(a) {
			n++
		}
	}
	return n
}

// Size is how many addresses the pool has: one of IPv6 may have more than any
// integer type holds.
func (p Pool) Size() *big.Int {
	size := new(big.Int).SetBytes(p.Last.AsSlice())
	size.Sub(size, new(big.Int).SetBytes(p.First.AsSlice()))
	return size.Add(size, big.NewInt(1))
}

// Percent is the share of the pool that a number of its addresses is, rounded
// down: 100 only when all of them are in use.
func (p Pool) Percent(inUse int) int64 {
	percent := new(big.Int).Mul(big.NewInt(int64(inUse)), big.NewInt(100))
	return percent.Div(percent, p.Size()).Int64()
}
