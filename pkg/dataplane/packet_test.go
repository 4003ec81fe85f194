// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Packets are put together from the inside out. Checksums are made by the layer that
// knows the addresses.

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	flagFIN     = 0x01
	flagSYN     = 0x02
	flagRST     = 0x04
	flagACK     = 0x10
)

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func tcp(source, destination uint16, flags byte, options, payload []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	return concat(be16(source), be16(destination), be32(1000), be32(2000),
		[]byte{byte(5+len(options)/4) << 4, flags}, be16(64000), be16(0), be16(0), options, payload)
}

func mss(value uint16) []byte { return concat([]byte{2, 4}, be16(value)) }

func udp(source, destination uint16, payload []byte) []byte {
	return concat(be16(source), be16(destination), be16(uint16(8+len(payload))), be16(0), payload)
}

// icmp has four bytes that mean something else in each type.
func icmp(kind, code byte, rest uint32, payload []byte) []byte {
	return concat([]byte{kind, code, 0, 0}, be32(rest), payload)
}

// ip4 is an IPv4 header's fields that are not always the same.
type ip4 struct {
	tos     byte
	id      uint16
	flags   uint16 // with the fragment's offset
	ttl     byte
	options []byte
	// total is the length if it is to be wrong.
	total uint16
}

const dontFragment, moreFragments = 0x4000, 0x2000

func (h ip4) packet(source, destination string, protocol byte, payload []byte) []byte {
	if h.ttl == 0 {
		h.ttl = 64
	}
	if h.total == 0 {
		h.total = uint16(20 + len(h.options) + len(payload))
	}
	from, to := netip.MustParseAddr(source).As4(), netip.MustParseAddr(destination).As4()
	header := concat([]byte{0x40 | byte(5+len(h.options)/4), h.tos}, be16(h.total), be16(h.id), be16(h.flags),
		[]byte{h.ttl, protocol, 0, 0}, from[:], to[:], h.options)
	binary.BigEndian.PutUint16(header[10:], ^fold(header, 0))
	if h.flags&0x3fff == 0 {
		payload = summed(protocol, from[:], to[:], payload)
	}
	return append(header, payload...)
}

// ip6 is an IPv6 header's fields that are not always the same.
type ip6 struct {
	tos byte
	hop byte
	// extensions are headers between; first is the type of the first.
	first      byte
	extensions []byte
	fragment   bool
}

func (h ip6) packet(source, destination string, protocol byte, payload []byte) []byte {
	if h.hop == 0 {
		h.hop = 64
	}
	from, to := netip.MustParseAddr(source).As16(), netip.MustParseAddr(destination).As16()
	if !h.fragment {
		payload = summed(protocol, from[:], to[:], payload)
	}
	next := protocol
	if h.extensions != nil {
		next = h.first
	}
	return concat(be32(6<<28|uint32(h.tos)<<20), be16(uint16(len(h.extensions)+len(payload))),
		[]byte{next, h.hop}, from[:], to[:], h.extensions, payload)
}

// ip makes a plain packet of the addresses' family.
func ip(source, destination string, protocol byte, payload []byte) []byte {
	if netip.MustParseAddr(source).Is4() {
		return ip4{flags: dontFragment}.packet(source, destination, protocol, payload)
	}
	return ip6{}.packet(source, destination, protocol, payload)
}

// summed fills in the checksum of a transport.
func summed(protocol byte, source, destination, payload []byte) []byte {
	at, ok := map[byte]int{protoTCP: 16, protoUDP: 6, protoICMP: 2, protoICMPv6: 2}[protocol]
	if !ok || len(payload) < at+2 {
		return payload
	}
	payload = append([]byte(nil), payload...)
	binary.BigEndian.PutUint16(payload[at:], 0)
	var sum uint32
	if protocol != protoICMP {
		sum = uint32(fold(concat(source, destination, be32(uint32(len(payload))), be32(uint32(protocol))), 0))
	}
	binary.BigEndian.PutUint16(payload[at:], ^fold(payload, sum))
	return payload
}

func fold(data []byte, sum uint32) uint16 {
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	if len(data)%2 == 1 {
		sum += uint32(data[len(data)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func ether(to, from net.HardwareAddr, packet []byte) []byte {
	kind := uint16(0x0800)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		kind = 0x86dd
	}
	return concat(to, from, be16(kind), packet)
}

// gueOf is a tunnel's UDP datagram. No checksum is sent.
func gueOf(source, destination uint16, word, tunnel uint32, inner []byte) []byte {
	return udp(source, destination, concat(be32(word), be32(tunnel), inner))
}

const (
	wordIPv4    = 0x01048000
	wordIPv6    = 0x01298000
	wordCookie4 = 0x03049000
	wordCookie6 = 0x03299000
	wordControl = 0x21ff8000
)

func wordOf(inner []byte) uint32 {
	if len(inner) > 0 && inner[0]>>4 == 6 {
		return wordIPv6
	}
	return wordIPv4
}

// outer puts an inner packet into a tunnel as the programs do.
func outer(source, destination netip.AddrPort, tunnel uint32, inner []byte) []byte {
	tos := inner[1]
	if inner[0]>>4 == 6 {
		tos = inner[0]<<4 | inner[1]>>4
	}
	return outerAs(source, destination, tos, gueOf(source.Port(), destination.Port(), wordOf(inner), tunnel, inner))
}

// outerAs makes the outer packet of a datagram, whose checksum stays zero.
func outerAs(source, destination netip.AddrPort, tos byte, datagram []byte) []byte {
	var packet []byte
	if source.Addr().Is4() {
		packet = ip4{tos: tos, flags: dontFragment}.packet(source.Addr().String(), destination.Addr().String(), protoUDP, datagram)
		packet[20+6], packet[20+7] = 0, 0
	} else {
		packet = ip6{tos: tos}.packet(source.Addr().String(), destination.Addr().String(), protoUDP, datagram)
		packet[40+6], packet[40+7] = 0, 0
	}
	return packet
}
