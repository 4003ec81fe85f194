// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/binary"
	"net/netip"
)

// IP protocols.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// match is how a packet is matched.
type match int

const (
	byPort    match = iota
	byAddress       // ICMP and other protocols without ports
	byQuote         // an ICMP error, by the packet it quotes
	unquoted        // an ICMP error that does not quote a packet of its receiver
	byFirst         // a fragment, by the first one
)

// inner is an inner packet.
type inner struct {
	v6                  bool
	source, destination netip.Addr
	// endpoint and proxy are the two ends by which it is matched.
	endpoint, proxy netip.Addr
	port            Port // at the endpoint
	proxyPort       uint16
	echo            uint16 // the identifier of a ping
	match           match
	protocol        byte
	icmp            int // the type; -1 for another protocol
	tos             byte
	total           int // the length in the header; zero for none
	transport       int // offset of the transport header
	headers         int // offset of its payload
	flags           byte
	id              uint32
	first           bool
	// read indicates that the addresses are known.
	read bool
}

const (
	malformed  = "malformed"
	extensions = "extension-headers"
)

// read parses a packet of a family, from the proxy or to it. It returns a reason to drop
// it, or "".
func read(b []byte, v6, fromProxy bool) (p inner, reason string) {
	p.v6, p.match, p.icmp = v6, byAddress, -1
	if v6 {
		reason = p.read6(b)
	} else {
		reason = p.read4(b)
	}
	p.turn(fromProxy)
	if reason != "" {
		return p, reason
	}
	p.headers = p.transport
	if p.match == byFirst {
		return p, ""
	}
	rest := b[min(p.transport, len(b)):]
	switch {
	case p.protocol == protoTCP:
		if len(rest) < 20 || rest[12]>>4 < 5 {
			return p, malformed
		}
		p.flags, p.headers, p.match = rest[13], p.transport+int(rest[12]>>4)*4, byPort
		p.ports(rest, fromProxy)
	case p.protocol == protoUDP:
		if len(rest) < 8 {
			return p, malformed
		}
		length := int(binary.BigEndian.Uint16(rest[4:]))
		if length < 8 || !p.first && p.transport+length > p.total {
			return p, malformed
		}
		p.headers, p.match = p.transport+8, byPort
		p.ports(rest, fromProxy)
	case p.protocol == icmpOf(v6):
		if len(rest) < 8 {
			return p, malformed
		}
		p.icmp, p.headers = int(rest[0]), p.transport+8
		if isEcho(v6, rest[0]) {
			p.echo = binary.BigEndian.Uint16(rest[4:])
		}
		if isError(v6, rest[0]) {
			return p, p.quote(rest[8:], fromProxy)
		}
	}
	return p, ""
}

func (p *inner) read4(b []byte) string {
	if len(b) < 20 || b[0]>>4 != 4 {
		return malformed
	}
	p.transport, p.total = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if p.transport < 20 {
		return malformed
	}
	p.tos, p.protocol, p.read = b[1], b[9], true
	p.source, p.destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	fragment := binary.BigEndian.Uint16(b[6:])
	if fragment&0x3fff != 0 {
		p.id = uint32(binary.BigEndian.Uint16(b[4:]))
		if fragment&0x1fff != 0 {
			p.match = byFirst
		} else {
			p.first = true
		}
	}
	return ""
}

func (p *inner) read6(b []byte) string {
	if len(b) < 40 || b[0]>>4 != 6 {
		return malformed
	}
	p.source, p.destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	if p.source.Is4In6() || p.destination.Is4In6() {
		// Packets must not contain IPv4 addresses in this form.
		return malformed
	}
	if length := int(binary.BigEndian.Uint16(b[4:])); length != 0 {
		p.total = 40 + length
	}
	p.tos, p.protocol, p.read = b[0]<<4|b[1]>>4, b[6], true
	at := 40
	// Up to six extension headers, with up to 152 bytes.
	for range 7 {
		p.transport = at
		switch p.protocol {
		case 51, 135:
			return extensions
		case 0, 43, 60, 44:
		default:
			return ""
		}
		if len(b) < at+8 {
			return malformed
		}
		h := b[at:]
		if p.protocol == 44 {
			at += 8
			fragment := binary.BigEndian.Uint16(h[2:])
			p.id, p.first = binary.BigEndian.Uint32(h[4:]), fragment == 1
			if fragment>>3 != 0 {
				p.protocol, p.transport, p.match = h[0], at, byFirst
				return ""
			}
		} else {
			at += (int(h[1]) + 1) * 8
		}
		p.protocol = h[0]
		if at > 40+152 {
			return extensions
		}
	}
	return extensions
}

func (p *inner) turn(fromProxy bool) {
	if fromProxy {
		p.endpoint, p.proxy = p.destination, p.source
	} else {
		p.endpoint, p.proxy = p.source, p.destination
	}
}

func (p *inner) ports(rest []byte, fromProxy bool) {
	source, destination := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	if fromProxy {
		source, destination = destination, source
	}
	p.port, p.proxyPort = Port{p.protocol, source}, destination
}

// quote matches an ICMP error by the packet that it quotes, which its receiver must have
// sent. Any host on the path may send the error, except between a proxy and its node.
func (p *inner) quote(b []byte, fromProxy bool) string {
	p.match = unquoted
	var source, destination netip.Addr
	var protocol byte
	at := 40
	if p.v6 {
		if len(b) < 40 {
			return malformed
		}
		source, destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		if source.Is4In6() || destination.Is4In6() {
			return ""
		}
		protocol = b[6]
	} else {
		if len(b) < 20 {
			return malformed
		}
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return ""
		}
		source, destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		protocol, at = b[9], int(b[0]&15)*4
	}
	if len(b) < at+8 {
		return malformed
	}
	rest := b[at:]
	// The quoted packet was sent in the other direction.
	endpoint, proxy := source, destination
	if !fromProxy {
		endpoint, proxy = destination, source
	}
	switch {
	case protocol == protoTCP || protocol == protoUDP:
	case protocol == icmpOf(p.v6) && isEcho(p.v6, rest[0]):
	default:
		return ""
	}
	if proxy != p.proxy || fromProxy && endpoint != p.endpoint {
		return ""
	}
	p.match, p.endpoint = byQuote, endpoint
	p.port = Port{}
	if protocol == protoTCP || protocol == protoUDP {
		source, destination := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		if !fromProxy {
			source, destination = destination, source
		}
		p.port, p.proxyPort = Port{protocol, source}, destination
	} else {
		p.echo = binary.BigEndian.Uint16(rest[4:])
	}
	return ""
}

func icmpOf(v6 bool) byte {
	if v6 {
		return protoICMPv6
	}
	return protoICMP
}

func isError(v6 bool, kind byte) bool {
	if v6 {
		return kind >= 1 && kind <= 4
	}
	return kind == 3 || kind == 11 || kind == 12
}

func isEcho(v6 bool, kind byte) bool {
	if v6 {
		return kind == 128 || kind == 129
	}
	return kind == 0 || kind == 8
}

func echoRequest(v6 bool) int {
	if v6 {
		return 128
	}
	return 8
}

func echoReply(v6 bool) int {
	if v6 {
		return 129
	}
	return 0
}

// at returns the endpoint by which a packet's service is found.
func (p *inner) at() Endpoint {
	e := Endpoint{Address: p.endpoint}
	if p.match == byPort || p.match == byQuote {
		e.Port = p.port
	}
	return e
}

// crosses reports whether tunnels carry packets of this kind.
func (p *inner) crosses(fromProxy bool) bool {
	switch p.match {
	case byPort, byQuote:
		return true
	case byFirst:
		return p.protocol == protoTCP || p.protocol == protoUDP || p.protocol == icmpOf(p.v6)
	case byAddress:
		want := echoReply(p.v6)
		if fromProxy {
			want = echoRequest(p.v6)
		}
		return p.icmp == want
	default:
		return false
	}
}

// whole reports whether the headers are within the packet, and the packet within its
// bytes.
func (p *inner) whole(length int) bool { return p.total >= p.headers && p.total <= length }

func (p *inner) key() fragmentKey { return fragmentKey{p.endpoint, p.proxy, p.id, p.protocol} }

func (w *World) remember(p *inner, tunnel uint32) {
	if w.fragments == nil {
		w.fragments = map[fragmentKey]fragmentPath{}
	}
	w.fragments[p.key()] = fragmentPath{tunnel}
}
