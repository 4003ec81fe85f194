// SPDX-License-Identifier: Apache-2.0

// Package addresspooltest generates random addresses, and converts them to numbers, to
// test the arithmetic of pools.
package addresspooltest

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
)

// Number returns an address as a number.
func Number(a netip.Addr) *big.Int {
	return new(big.Int).SetBytes(a.AsSlice())
}

// Size returns the number of addresses in a range, both ends included.
func Size(from, to netip.Addr) *big.Int {
	size := new(big.Int).Sub(Number(to), Number(from))
	return size.Add(size, big.NewInt(1))
}

// Address returns a random address: IPv4, or IPv6 outside the IPv4-mapped range.
func Address(r *rand.Rand, v4 bool) netip.Addr {
	if v4 {
		var b [4]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	for i := range b {
		// Runs of zeros and ones cause carries.
		b[i] = []byte{0, 0xff, byte(r.Uint32())}[r.IntN(3)]
	}
	b[0] |= 0x20
	return netip.AddrFrom16(b)
}

// Ends returns the first and the last address of a random pool, which is small in one
// case of three.
func Ends(r *rand.Rand, v4 bool) (from, to netip.Addr) {
	from, to = Address(r, v4), Address(r, v4)
	if r.IntN(3) == 0 {
		to = from
		for range r.IntN(300) {
			if next := to.Next(); next.IsValid() {
				to = next
			}
		}
	}
	if to.Less(from) {
		return to, from
	}
	return from, to
}
