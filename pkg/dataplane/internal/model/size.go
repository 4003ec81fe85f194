// SPDX-License-Identifier: Apache-2.0

package model

import "encoding/binary"

const (
	// ipv6Minimum is the minimum MTU of IPv6.
	ipv6Minimum = 1280
	// quoted is the number of bytes that an error quotes.
	quoted = 512
	// longest is the size of the longest packet that is fragmented, and most its maximum
	// number of fragments.
	longest, most = 9216 - 14, 16
)

// tooBig answers a packet that may not be fragmented. Errors, fragments, and packets that
// are too short to be quoted get no answer.
func (w *World) tooBig(p *inner, b []byte, mtu int) Fate {
	if p.match == byQuote || p.match == byFirst || len(b) < quoted {
		return dropped("too-big")
	}
	message := make([]byte, 8, 8+quoted)
	if p.v6 {
		message[0] = 2
		binary.BigEndian.PutUint32(message[4:], uint32(max(mtu, ipv6Minimum)))
	} else {
		message[0], message[1] = 3, 4
		binary.BigEndian.PutUint16(message[6:], uint16(mtu))
	}
	message = append(message, b[:quoted]...)
	if p.v6 {
		pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
		check := sum(p.destination.AsSlice(), p.source.AsSlice(), pseudo, []byte{0, protoICMPv6}, message)
		binary.BigEndian.PutUint16(message[2:], ^check)
		return Fate{Kind: Answered, Drop: "too-big", Out: header(p.destination, p.source, protoICMPv6, 0, 0, message)}
	}
	binary.BigEndian.PutUint16(message[2:], ^sum(message))
	return Fate{Kind: Answered, Drop: "too-big", Out: header(p.destination, p.source, protoICMP, 0xc0, 0, message)}
}

// refusable reports whether a packet is the start of a TCP connection that can be refused
// by a segment on behalf of its destination: it has neither IP options nor extension
// headers.
func (p *inner) refusable() bool {
	return p.opens() && p.flags&flagRST == 0 && !p.first && p.transport == headerLength(p.v6)
}

// turnAway drops a packet of a proxy. The start of a TCP connection is refused.
func (w *World) turnAway(p *inner, b []byte, reason string) Fate {
	at := headerLength(p.v6)
	if !w.Gateway || !p.refusable() {
		return dropped(reason)
	}
	segment := append([]byte(nil), b[at+2:at+4]...)
	segment = append(segment, b[at:at+2]...)
	segment = append(segment, 0, 0, 0, 0)
	segment = binary.BigEndian.AppendUint32(segment, binary.BigEndian.Uint32(b[at+4:])+1)
	segment = append(segment, 0x50, 0x14, 0, 0, 0, 0, 0, 0)
	check := sum(p.destination.AsSlice(), p.source.AsSlice(), []byte{0, protoTCP, 0, byte(len(segment))}, segment)
	binary.BigEndian.PutUint16(segment[16:], ^check)
	return Fate{Kind: Answered, Drop: reason, Out: header(p.destination, p.source, protoTCP, 0, 0x4000, segment)}
}

// turnBack drops a packet from a tunnel. The start of a TCP connection without data is
// refused through the same tunnel, with a segment of the same length that keeps its
// options.
func turnBack(t *Tunnel, id uint32, p *inner, b []byte, cookie bool, reason string) Fate {
	at := headerLength(p.v6)
	if !p.refusable() || p.total != p.headers || p.total != len(b) || cookie != (t.Send != nil) {
		return dropped(reason)
	}
	b = append([]byte(nil), b...)
	source, destination, size := b[at-8:at-4], b[at-4:at], 4
	if p.v6 {
		source, destination, size = b[at-32:at-16], b[at-16:at], 16
	}
	for i := range size {
		source[i], destination[i] = destination[i], source[i]
	}
	segment := b[at:]
	had := append([]byte(nil), segment[:20]...)
	copy(segment, had[2:4])
	copy(segment[2:], had[:2])
	copy(segment[4:], []byte{0, 0, 0, 0})
	binary.BigEndian.PutUint32(segment[8:], binary.BigEndian.Uint32(had[4:])+1)
	segment[13] = flagRST | flagACK
	copy(segment[14:], []byte{0, 0})
	copy(segment[18:], []byte{0, 0})
	for i := 0; i < 20; i += 2 {
		if i != 16 {
			change(segment[16:], binary.BigEndian.Uint16(had[i:]), binary.BigEndian.Uint16(segment[i:]))
		}
	}
	return Fate{Kind: Answered, Drop: reason, Out: wrap(t, id, p, b)}
}

// fragment splits a packet into fragments that fit, or returns nil if it must not be
// fragmented. Tests use linear buffers, so no IPv6 packet appears reassembled.
func fragment(p *inner, b []byte, mtu int) [][]byte {
	if len(b) > longest {
		return nil
	}
	if p.v6 {
		return fragment6(p, b, mtu)
	}
	flags := binary.BigEndian.Uint16(b[6:])
	if b[0] != 0x45 || flags&0x4000 != 0 {
		return nil
	}
	b = append([]byte(nil), b...)
	fill(p, b)
	payload := b[20:]
	size := (mtu - 20) &^ 7
	if len(payload) <= size || len(payload) > most*size {
		return nil
	}
	total := int(binary.BigEndian.Uint16(b[2:])) - 20
	var parts [][]byte
	for from := 0; from < total; from += size {
		end := min(from+size, total)
		part := append(append([]byte(nil), b[:20]...), payload[from:end]...)
		binary.BigEndian.PutUint16(part[2:], uint16(len(part)))
		now := flags + uint16(from/8)
		if end < total {
			now |= 0x2000
		}
		binary.BigEndian.PutUint16(part[6:], now)
		part[10], part[11] = 0, 0
		binary.BigEndian.PutUint16(part[10:], ^sum(part[:20]))
		parts = append(parts, part)
	}
	return parts
}

// fragment6 splits an IPv6 packet, or a fragment of one, whose size no sender would
// reduce. The identification of a new fragment is random, and zero here.
func fragment6(p *inner, b []byte, mtu int) [][]byte {
	if mtu >= ipv6Minimum || len(b) > ipv6Minimum {
		return nil
	}
	b = append([]byte(nil), b...)
	next, offset, id, at := b[6], uint16(0), uint32(0), 40
	switch {
	case p.transport == 48 && next == 44:
		next, offset, id, at = b[40], binary.BigEndian.Uint16(b[42:]), binary.BigEndian.Uint32(b[44:]), 48
	case p.transport != 40:
		return nil
	default:
		fill(p, b)
	}
	size := (mtu - 48) &^ 7
	if len(b)-at <= size {
		return nil
	}
	total := p.total - at
	payload := b[at:]
	var parts [][]byte
	for from := 0; from < total; from += size {
		end := min(from+size, total)
		part := append([]byte(nil), b[:40]...)
		part[6] = 44
		binary.BigEndian.PutUint16(part[4:], uint16(end-from+8))
		now := offset + uint16(from)
		if end < total {
			now |= 1
		}
		part = append(part, next, 0)
		part = binary.BigEndian.AppendUint16(part, now)
		part = binary.BigEndian.AppendUint32(part, id)
		parts = append(parts, append(part, payload[from:end]...))
	}
	return parts
}

// fill computes the transport checksum if it was left to the network card.
func fill(p *inner, b []byte) {
	if p.match != byPort || p.first || p.total <= p.transport {
		return
	}
	at := p.transport + 6
	if p.protocol == protoTCP {
		at = p.transport + 16
	}
	check := binary.BigEndian.Uint16(b[at:])
	length := uint32(p.total - p.transport)
	pseudo := sum(p.source.AsSlice(), p.destination.AsSlice(), binary.BigEndian.AppendUint32(nil, length), []byte{0, p.protocol})
	if check == 0 || check != pseudo {
		return
	}
	if check = ^sum(b[p.transport:p.total]); check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], check)
}
