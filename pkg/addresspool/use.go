// SPDX-License-Identifier: Apache-2.0

package addresspool

import (
	"math/big"
	"net/netip"
)

// NearlyFullFrom is the percentage in use from which a pool is nearly full.
const NearlyFullFrom = 90

// InUse returns how many of the addresses are in the pool. For the assignable part of a
// pool, it does not count addresses that the server only assigns on request, such as a
// CIDR's first.
func (p Pool) InUse(addresses []netip.Addr) int {
	n := 0
	for _, a := range addresses {
		if p.Contains(a) {
			n++
		}
	}
	return n
}

// Size returns the number of addresses in the pool: for an IPv6 pool, it may exceed any
// integer type.
func (p Pool) Size() *big.Int {
	if !p.IsValid() {
		return new(big.Int)
	}
	size := new(big.Int).SetBytes(p.To().AsSlice())
	size.Sub(size, new(big.Int).SetBytes(p.From().AsSlice()))
	return size.Add(size, big.NewInt(1))
}

// Percent returns the percentage of the pool for inUse addresses, rounded down: 100 only
// if all of them are in use.
func (p Pool) Percent(inUse int) int64 {
	percent := new(big.Int).Mul(big.NewInt(int64(inUse)), big.NewInt(100))
	return percent.Div(percent, p.Size()).Int64()
}
