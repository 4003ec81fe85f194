// SPDX-License-Identifier: Apache-2.0

package addresspool

import (
	"math/big"
	"net/netip"
)

// NearlyFullFrom is the share of a pool, in percent, from which on it is nearly
// full.
const NearlyFullFrom = 90

// InUse returns how many of the addresses are in the pool. Of the assignable part of
// a pool it does not count addresses that the server assigns only on request, such
// as a CIDR's first.
func (p Pool) InUse(addresses []netip.Addr) int {
	n := 0
	for _, a := range addresses {
		if p.Contains(a) {
			n++
		}
	}
	return n
}

// Size returns how many addresses the pool has: an IPv6 pool may have more than any
// integer type holds.
func (p Pool) Size() *big.Int {
	if !p.IsValid() {
		return new(big.Int)
	}
	size := new(big.Int).SetBytes(p.To().AsSlice())
	size.Sub(size, new(big.Int).SetBytes(p.From().AsSlice()))
	return size.Add(size, big.NewInt(1))
}

// Percent returns the share of the pool that inUse of its addresses are, rounded
// down: 100 only when all of them are in use.
func (p Pool) Percent(inUse int) int64 {
	percent := new(big.Int).Mul(big.NewInt(int64(inUse)), big.NewInt(100))
	return percent.Div(percent, p.Size()).Int64()
}
