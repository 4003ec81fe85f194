// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"net/netip"
)

// as16 returns the form of an address in the maps: IPv4 in its IPv6-mapped form, zero if
// there is none.
func as16(address netip.Addr) [16]byte {
	if !address.IsValid() {
		return [16]byte{}
	}
	return address.As16()
}

// from16 is the inverse of as16.
func from16(bytes [16]byte) netip.Addr {
	if bytes == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(bytes).Unmap()
}

// big converts a port to network byte order and back.
func big(port uint16) uint16 {
	var bytes [2]byte
	binary.BigEndian.PutUint16(bytes[:], port)
	return binary.NativeEndian.Uint16(bytes[:])
}

// pair holds a proxy's addresses in the form of services and policies.
type pair struct {
	four uint32
	six  [16]byte
}

// pairOf sorts addresses by family.
func pairOf(addresses []netip.Addr) pair {
	var p pair
	for _, address := range addresses {
		if address = address.Unmap(); address.Is4() {
			bytes := address.As4()
			p.four = binary.NativeEndian.Uint32(bytes[:])
		} else {
			p.six = address.As16()
		}
	}
	return p
}

// list is the inverse of pairOf.
func (p pair) list() []netip.Addr {
	var addresses []netip.Addr
	if p.four != 0 {
		var bytes [4]byte
		binary.NativeEndian.PutUint32(bytes[:], p.four)
		addresses = append(addresses, netip.AddrFrom4(bytes))
	}
	if p.six != [16]byte{} {
		addresses = append(addresses, netip.AddrFrom16(p.six))
	}
	return addresses
}
