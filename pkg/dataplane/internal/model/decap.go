// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Frame is a received frame.
type Frame struct {
	// Type is the Ethernet type.
	Type uint16
	// Ours indicates that the frame has the interface's own hardware address; Broadcast
	// and Multicast indicate frames for several hosts.
	Ours, Broadcast, Multicast bool
	// Packet begins with the IP header.
	Packet []byte
}

// Ethernet types.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// gueLength is the number of bytes that a tunnel without cookies adds to a UDP header.
const gueLength = 8

// First words of GUE headers.
const (
	wordIPv4    = 0x01048000
	wordIPv6    = 0x01298000
	wordControl = 0x21ff8000
	wordCookie4 = 0x03049000
	wordCookie6 = 0x03299000
)

// Decap returns the fate of a frame from the underlay.
func (w *World) Decap(f Frame) Fate {
	var source, destination netip.Addr
	b := f.Packet
	at := 20
	var tos byte
	refused := ""
	switch f.Type {
	case TypeIPv4:
		if len(b) < 28 || b[9] != protoUDP || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return Fate{}
		}
		source, destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		tos = b[1]
		switch {
		case b[0] != 0x45:
			at, refused = int(b[0]&15)*4, "outer-options"
		case b[6]&0x20 != 0:
			refused = "outer-fragment"
		}
	case TypeIPv6:
		if len(b) < 48 {
			return Fate{}
		}
		source, destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		tos, at = b[0]<<4|b[1]>>4, 40
		next := b[6]
		if next == 44 && binary.BigEndian.Uint16(b[42:])&0xfff8 == 0 {
			next, at, refused = b[40], 48, "outer-fragment"
		}
		if next != protoUDP || refused == "" && destination.Is4In6() {
			return Fate{}
		}
	default:
		return Fate{}
	}
	if at < 20 || len(b) < at+8 || binary.BigEndian.Uint16(b[at+2:]) != w.Port {
		return Fate{}
	}
	if refused == "" {
		return w.decapUDP(f, b[at:], netip.AddrPortFrom(source, binary.BigEndian.Uint16(b[at:])), destination, tos)
	}
	return w.refuse(destination, refused)
}

// refuse drops a packet to an address at which tunnels end. Other packets pass.
func (w *World) refuse(destination netip.Addr, reason string) Fate {
	if !w.own(destination) {
		return Fate{}
	}
	return dropped(reason)
}

// decapUDP handles a datagram to the tunnels' port, with everything that follows it in
// the frame.
func (w *World) decapUDP(f Frame, b []byte, source netip.AddrPort, destination netip.Addr, tos byte) Fate {
	if len(b) < 8+gueLength {
		return w.refuse(destination, "bad-header")
	}
	id := binary.BigEndian.Uint32(b[12:])
	t, here := w.Tunnels[id]
	v6, cookie := false, false
	switch binary.BigEndian.Uint32(b[8:]) {
	case wordIPv4:
	case wordIPv6:
		v6 = true
	case wordCookie4:
		cookie = true
	case wordCookie6:
		v6, cookie = true, true
	case wordControl:
		if here {
			return Fate{} // to the node program
		}
		return w.refuse(destination, "unknown-tunnel")
	default:
		return w.refuse(destination, "bad-header")
	}
	length := gueLength
	if cookie {
		if length += cookieLength; len(b) < 8+length {
			return w.refuse(destination, "bad-header")
		}
	}
	reason := ""
	switch {
	case !here:
		reason = "unknown-tunnel"
	case t.Local != netip.AddrPortFrom(destination, w.Port):
		reason = "wrong-local"
	case !t.Remote.IsValid():
		reason = "unverified"
	case t.Remote != source:
		reason = "wrong-remote"
	case !cookie && t.Required:
		reason = "no-cookie"
	case cookie && !slices.Contains(t.Accept, Cookie(b[8+gueLength:])):
		reason = "wrong-cookie"
	}
	if reason != "" {
		return w.refuse(destination, reason)
	}
	if !f.Ours {
		return dropped("frame")
	}
	datagram := int(binary.BigEndian.Uint16(b[4:]))
	return w.decapInner(id, &t, b[8+length:], datagram-8-length, v6, cookie, tos)
}

// decapInner handles an inner packet; room is the size of its datagram.
func (w *World) decapInner(id uint32, t *Tunnel, b []byte, room int, v6, cookie bool, outerTOS byte) Fate {
	// Replies arrive at a gateway; requests come from the proxy.
	p, reason := read(b, v6, !w.Gateway)
	if reason != "" {
		return dropped(reason)
	}
	if room < 0 || room > len(b) || !p.whole(room) {
		return dropped(malformed)
	}
	if p.match == unquoted {
		return dropped("icmp-unmatched")
	}
	if !p.crosses(!w.Gateway) {
		return dropped("protocol")
	}
	if !w.registered(id, p.at()) {
		return dropped("not-registered")
	}
	if p.proxy != w.Proxy[v6] {
		return dropped("wrong-peer")
	}
	if !w.claim(id, &p) {
		return turnBack(t, id, &p, b, cookie, "port-taken")
	}
	tos, ok := combine(outerTOS, p.tos)
	if !ok {
		return dropped("ecn")
	}
	out := append([]byte(nil), b...)
	setTOS(out, v6, tos)
	if p.protocol == protoTCP && p.flags&2 != 0 {
		clamp(out, p.transport, t.MTU-t.extra()-headerLength(v6)-20)
	}
	return Fate{Kind: Delivered, Out: out}
}

func headerLength(v6 bool) int {
	if v6 {
		return 40
	}
	return 20
}

// combine implements figure 4 of RFC 6040, with the outer DSCP.
func combine(outer, inner byte) (byte, bool) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	ecn := inner & 3
	switch {
	case outer&3 == ce && ecn == notECT:
		return 0, false
	case outer&3 == ce:
		ecn = ce
	case outer&3 == ect1 && ecn == ect0:
		ecn = ect1
	}
	return outer&^3 | ecn, true
}

// setTOS changes the traffic class, and adjusts the header's checksum.
func setTOS(b []byte, v6 bool, tos byte) {
	if v6 {
		b[0], b[1] = b[0]&0xf0|tos>>4, b[1]&0x0f|tos<<4
		return
	}
	if b[1] != tos {
		change(b[10:], uint16(b[1]), uint16(tos))
		b[1] = tos
	}
}

// change updates a checksum for a changed word (RFC 1624).
func change(checksum []byte, from, to uint16) {
	sum := uint32(^binary.BigEndian.Uint16(checksum)) + uint32(^from) + uint32(to)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(checksum, ^uint16(sum))
}

// clamp lowers the MSS of a SYN, whose TCP header begins at an offset.
func clamp(b []byte, tcp, most int) {
	end := tcp + int(b[tcp+12]>>4)*4
	at := tcp + 20
	for range 16 {
		if at+2 > min(end, len(b)) || b[at] == 0 {
			return
		}
		if b[at] == 1 {
			at++
			continue
		}
		if b[at+1] < 2 {
			return
		}
		if b[at] != 2 || b[at+1] != 4 {
			at += int(b[at+1])
			continue
		}
		if at+4 > min(end, len(b)) {
			return
		}
		from, to := binary.BigEndian.Uint16(b[at+2:]), uint16(most)
		if from <= to {
			return
		}
		binary.BigEndian.PutUint16(b[at+2:], to)
		if (at-tcp)%2 == 1 {
			// The option is misaligned with the words of the checksum.
			from, to = from<<8|from>>8, to<<8|to>>8
		}
		change(b[tcp+16:], from, to)
		return
	}
}
