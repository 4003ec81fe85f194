// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/binary"
	"net/netip"
)

// Encap returns the fate of a frame that a proxy sends, on a gateway node, or that leaves
// a client node.
func (w *World) Encap(f Frame) Fate {
	if w.Gateway {
		return w.fromProxy(f)
	}
	switch f.Type {
	case TypeIPv4:
		return w.fromNode(f.Packet, false)
	case TypeIPv6:
		return w.fromNode(f.Packet, true)
	}
	return Fate{}
}

func (w *World) fromProxy(f Frame) Fate {
	if f.Type == TypeARP {
		return Fate{}
	}
	if f.Broadcast || f.Type != TypeIPv4 && f.Type != TypeIPv6 {
		return dropped("frame")
	}
	v6 := f.Type == TypeIPv6
	p, reason := read(f.Packet, v6, true)
	if reason != "" {
		p.match = byAddress
	} else if p.match == unquoted {
		p.match, reason = byAddress, "icmp-unmatched"
	}
	id, ok := uint32(0), false
	if p.read {
		id, ok = w.tunnelTo(p.at())
	}
	if !ok {
		if reason == "" {
			reason = w.outside(&p)
		}
		switch reason {
		case "":
			return Fate{}
		case "not-an-answer", "not-registered":
			return w.turnAway(&p, f.Packet, reason)
		}
		return dropped(reason)
	}
	if p.proxy != w.Proxy[v6] {
		return dropped("wrong-peer")
	}
	if reason == "" && !p.crosses(true) {
		reason = "protocol"
	}
	if reason == "" && f.Multicast {
		reason = "frame"
	}
	if reason != "" {
		return dropped(reason)
	}
	switch {
	case p.first:
		w.remember(&p, id)
	case p.match == byFirst:
		if path, ok := w.fragments[p.key()]; !ok || path.tunnel != id {
			return dropped("fragment-unmatched")
		}
	}
	return w.send(id, &p, f.Packet)
}

// outside returns why a proxy may not send a packet outside tunnels, or "" if it may.
func (w *World) outside(p *inner) string {
	if p.match == byPort || p.match == byQuote && p.port.Protocol != 0 {
		if w.Directs[p.at()] {
			if _, has := w.tunnelTo(Endpoint{Address: p.endpoint}); has {
				return "not-registered"
			}
			if !w.publishes(p.proxy, nil) {
				return "wrong-peer"
			}
			w.rememberOutside(p)
			return ""
		}
	}
	var port *Port
	switch p.match {
	case byPort:
		if p.opens() {
			return "not-an-answer"
		}
		port = &Port{p.protocol, p.proxyPort}
	case byQuote:
		port = &Port{p.port.Protocol, p.proxyPort}
		if p.port.Protocol == 0 {
			// It is about a ping, which has no port.
			return "not-an-answer"
		}
	case byFirst:
		if path, ok := w.fragments[p.key()]; !ok || path.tunnel != 0 {
			return "fragment-unmatched"
		}
		return ""
	case byAddress:
		if p.protocol != icmpOf(p.v6) {
			return "not-an-answer"
		}
		if p.v6 && w.neighborly(p) {
			return ""
		}
		if p.icmp != echoReply(p.v6) {
			return "not-an-answer"
		}
	default:
		return "icmp-unmatched"
	}
	if !w.publishes(p.proxy, port) {
		return "not-an-answer"
	}
	if _, has := w.tunnelTo(Endpoint{Address: p.endpoint}); has {
		return "not-registered"
	}
	w.rememberOutside(p)
	return ""
}

func (w *World) rememberOutside(p *inner) {
	if p.first {
		w.remember(p, 0)
	}
}

// publishes reports whether the proxy has an address and, if a port is given, publishes
// that port.
func (w *World) publishes(a netip.Addr, port *Port) bool {
	if a != w.Proxy[a.Is6()] {
		return false
	}
	return port == nil || w.Openings[*port]
}

// neighborly reports whether an ICMPv6 message is needed between a proxy and its node.
func (w *World) neighborly(p *inner) bool {
	discovery := p.icmp >= 133 && p.icmp <= 136
	if !discovery && (p.icmp < 130 || p.icmp > 132) && p.icmp != 143 {
		return false
	}
	a := p.destination.As16()
	beside := a[0] == 0xfe && a[1]&0xc0 == 0x80 || a[0] == 0xff && a[1]&15 <= 2
	// Routers do not forward packets from some sources either.
	from := p.source
	return beside || discovery && (w.Own(p.destination) || from.IsLinkLocalUnicast() || from.IsMulticast() || from.IsLoopback())
}

// fromNode handles a packet that leaves a client node.
func (w *World) fromNode(b []byte, v6 bool) Fate {
	p, reason := read(b, v6, false)
	if reason != "" {
		p.match = byAddress
	}
	if !p.read || p.proxy != w.Proxy[v6] {
		return Fate{}
	}
	e := p.at()
	if p.match == unquoted {
		e.Port = Port{}
	}
	id, ok := w.tunnelTo(e)
	if !ok {
		return w.nodesOwn(&p)
	}
	if p.match == unquoted {
		reason = "icmp-unmatched"
	}
	if reason == "" && p.match == byAddress && p.icmp == echoRequest(v6) {
		return w.nodesOwn(&p) // a ping of the public address
	}
	if reason == "" && !p.crosses(false) {
		reason = "protocol"
	}
	if reason != "" {
		return dropped(reason)
	}
	if p.match == byFirst {
		path, ok := w.fragments[p.key()]
		if !ok {
			return dropped("fragment-unmatched")
		}
		if path.tunnel == 0 {
			return Fate{}
		}
		id = path.tunnel
	} else if len(w.tunnelsTo(e)) > 1 {
		id = w.tunnelOfFlow(&p, id)
	}
	if p.first {
		w.remember(&p, id)
	}
	return w.send(id, &p, b)
}

// nodesOwn passes packets that no endpoint sends to the proxy from its port.
func (w *World) nodesOwn(p *inner) Fate {
	if p.first {
		if _, ok := w.tunnelTo(Endpoint{Address: p.endpoint}); ok {
			w.remember(p, 0)
		}
	}
	return Fate{}
}

// send sends a packet into a tunnel.
func (w *World) send(id uint32, p *inner, b []byte) Fate {
	t, ok := w.Tunnels[id]
	if !ok {
		return w.turnAway(p, b, "no-tunnel")
	}
	if !t.Remote.IsValid() {
		return w.turnAway(p, b, "no-remote")
	}
	if !p.whole(len(b)) {
		return dropped(malformed)
	}
	hop := w.Hop(t.Remote.Addr())
	if hop == 0 {
		return w.turnAway(p, b, "no-route")
	}
	outer6 := t.Local.Addr().Is6()
	overhead := headerLength(outer6) + 8 + gueLength + t.extra()
	mtu := min(t.MTU-t.extra(), hop-overhead)
	// Bytes after the packet in its frame are ignored.
	b = append([]byte(nil), b[:p.total]...)
	if p.protocol == protoTCP && p.flags&2 != 0 {
		clamp(b, p.transport, mtu-headerLength(p.v6)-20)
	}
	if len(b) <= mtu {
		return Fate{Kind: Sent, Out: wrap(&t, id, p, b)}
	}
	parts := fragment(p, b, mtu)
	if parts == nil {
		return w.tooBig(p, b, mtu)
	}
	if w.Gateway {
		return Fate{Kind: Parted}
	}
	// The packet itself becomes the last part.
	return Fate{Kind: Parted, Out: wrap(&t, id, p, parts[len(parts)-1])}
}

// wrap adds the outer headers to a packet.
func wrap(t *Tunnel, id uint32, p *inner, b []byte) []byte {
	word := uint32(wordIPv4)
	switch {
	case p.v6 && t.Send != nil:
		word = wordCookie6
	case p.v6:
		word = wordIPv6
	case t.Send != nil:
		word = wordCookie4
	}
	datagram := binary.BigEndian.AppendUint16(nil, t.Local.Port())
	datagram = binary.BigEndian.AppendUint16(datagram, t.Remote.Port())
	datagram = binary.BigEndian.AppendUint16(datagram, uint16(8+gueLength+t.extra()+len(b)))
	datagram = append(datagram, 0, 0)
	datagram = binary.BigEndian.AppendUint32(datagram, word)
	datagram = binary.BigEndian.AppendUint32(datagram, id)
	if t.Send != nil {
		datagram = append(datagram, t.Send[:]...)
	}
	datagram = append(datagram, b...)
	return header(t.Local.Addr(), t.Remote.Addr(), protoUDP, p.tos, 0x4000, datagram)
}

// header adds an IP header to a payload.
func header(source, destination netip.Addr, protocol, tos byte, flags uint16, payload []byte) []byte {
	var h []byte
	if source.Is6() {
		h = binary.BigEndian.AppendUint32(h, 6<<28|uint32(tos)<<20)
		h = binary.BigEndian.AppendUint16(h, uint16(len(payload)))
		h = append(h, protocol, 64)
		h = append(h, source.AsSlice()...)
		h = append(h, destination.AsSlice()...)
		return append(h, payload...)
	}
	h = append(h, 0x45, tos)
	h = binary.BigEndian.AppendUint16(h, uint16(20+len(payload)))
	h = append(h, 0, 0)
	h = binary.BigEndian.AppendUint16(h, flags)
	h = append(h, 64, protocol, 0, 0)
	h = append(h, source.AsSlice()...)
	h = append(h, destination.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], ^sum(h))
	return append(h, payload...)
}

// sum adds words with carry.
func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, b := range parts {
		for i := 0; i+1 < len(b); i += 2 {
			s += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			s += uint32(b[len(b)-1]) << 8
		}
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
