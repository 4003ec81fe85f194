// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

const (
	etherARP, etherIPv6 = 0x0806, 0x86dd
	etherSize           = 14
	arpSize             = 28
	arpRequest          = 1
	arpReply            = 2
	ipv6Size            = 40
	icmpv6              = 58
	solicitation        = 135
	advertisement       = 136
	// neighborSize is the size of a solicitation or an advertisement without options.
	neighborSize = 24
	// optionSource and optionTarget are options with a hardware address.
	optionSource, optionTarget = 1, 2
	fullHops                   = 255
	// Flags of an advertisement.
	flagSolicited, flagOverride = 0x40, 0x20
)

var (
	broadcast   = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 1}
	allNodes    = netip.MustParseAddr("ff02::1")
)

// Kind is the kind of a frame.
type Kind uint8

// Kinds of frames.
const (
	// Question resolves an address, Want asks whether an address is free, and Claim
	// reports the location of an address.
	Question Kind = iota + 1
	Want
	Claim
)

// Message is a frame of ARP or neighbor discovery.
type Message struct {
	Kind   Kind
	Target netip.Addr
	// From is the sender, and FromIP its address, if it has sent one.
	From   MAC
	FromIP netip.Addr
}

// Parse parses a frame with its Ethernet header. It returns false for a frame that is not
// relevant.
func Parse(b []byte) (Message, bool) {
	if len(b) < etherSize {
		return Message{}, false
	}
	sender := MAC(b[6:12])
	if sender[0]&1 != 0 {
		return Message{}, false // a host can't have a multicast address
	}
	switch body := b[etherSize:]; binary.BigEndian.Uint16(b[12:]) {
	case etherARP:
		return parseARP(body)
	case etherIPv6:
		return parseNeighbor(sender, body)
	}
	return Message{}, false
}

func parseARP(b []byte) (Message, bool) {
	if len(b) < arpSize || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return Message{}, false
	}
	op := binary.BigEndian.Uint16(b[6:])
	source, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	m := Message{Target: target, From: MAC(b[8:14]), FromIP: source}
	switch {
	case m.From[0]&1 != 0 || op != arpRequest && op != arpReply:
		return Message{}, false
	case source.IsUnspecified() && op == arpRequest:
		m.Kind, m.FromIP = Want, netip.Addr{}
	case source.IsUnspecified():
		return Message{}, false
	case op == arpReply || source == target:
		// Both report the location of the sender's address.
		m.Kind, m.Target = Claim, source
	default:
		m.Kind = Question
	}
	return m, true
}

func parseNeighbor(sender MAC, b []byte) (Message, bool) {
	if len(b) < ipv6Size+neighborSize || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != fullHops {
		return Message{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < neighborSize || len(b) < ipv6Size+length {
		return Message{}, false
	}
	source, destination := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	body := b[ipv6Size : ipv6Size+length]
	if body[1] != 0 || checksum(source, destination, body) != 0 {
		return Message{}, false
	}
	m := Message{Target: netip.AddrFrom16([16]byte(body[8:24])), From: sender}
	if m.Target.IsMulticast() || m.Target.Is4In6() {
		return Message{}, false
	}
	switch body[0] {
	case solicitation:
		m.Kind = Want
		if !source.IsUnspecified() {
			m.Kind, m.FromIP = Question, source
		}
	case advertisement:
		m.Kind = Claim
	default:
		return Message{}, false
	}
	return m, true
}

// checksum returns the checksum of an ICMPv6 message; 0 if the message contains the
// correct one.
func checksum(source, destination netip.Addr, body []byte) uint16 {
	s, d := source.As16(), destination.As16()
	var sum uint32
	add := func(b []byte) {
		for len(b) > 1 {
			sum += uint32(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(s[:])
	add(d[:])
	add(body)
	sum += uint32(len(body)) + icmpv6
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func ethernet(to, from MAC, kind uint16, size int) []byte {
	b := make([]byte, 0, etherSize+size)
	b = append(append(b, to[:]...), from[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

func arp(to, from MAC, op uint16, source netip.Addr, target MAC, targetIP netip.Addr) []byte {
	b := append(ethernet(to, from, etherARP, arpSize), 0, 1, 8, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, from[:]...), source.AsSlice()...)
	return append(append(b, target[:]...), targetIP.AsSlice()...)
}

// neighbor returns a solicitation or an advertisement, with an option that contains the
// sender's hardware address if that is not 0.
func neighbor(to, from MAC, source, destination netip.Addr, kind, flags byte, target netip.Addr, option byte) []byte {
	body := append([]byte{kind, 0, 0, 0, flags, 0, 0, 0}, target.AsSlice()...)
	if option != 0 {
		body = append(append(body, option, 1), from[:]...)
	}
	binary.BigEndian.PutUint16(body[2:], checksum(source, destination, body))
	b := append(ethernet(to, from, etherIPv6, ipv6Size+len(body)), 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, icmpv6, fullHops)
	b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	return append(b, body...)
}

// solicited returns the solicited-node multicast group of an address.
func solicited(a netip.Addr) (netip.Addr, MAC) {
	b := a.As16()
	group := [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]}
	return netip.AddrFrom16(group), MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
}

// probeFrame returns a frame that asks whether an address is free.
func probeFrame(from MAC, a netip.Addr) []byte {
	if a.Is4() {
		return arp(broadcast, from, arpRequest, netip.IPv4Unspecified(), MAC{}, a)
	}
	group, to := solicited(a)
	return neighbor(to, from, netip.IPv6Unspecified(), group, solicitation, 0, a, 0)
}

// announceFrames returns frames that inform everybody of the location of an address. Some
// hosts only accept requests, others replies.
func announceFrames(from MAC, a netip.Addr) [][]byte {
	if a.Is4() {
		return [][]byte{arp(broadcast, from, arpRequest, a, MAC{}, a), arp(broadcast, from, arpReply, a, broadcast, a)}
	}
	return [][]byte{neighbor(allNodesMAC, from, a, allNodes, advertisement, flagOverride, a, optionTarget)}
}

// answerFrame returns a unicast answer to a message.
func answerFrame(from MAC, m Message) []byte {
	if m.Target.Is4() {
		ip := m.FromIP
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		return arp(m.From, from, arpReply, m.Target, m.From, ip)
	}
	if m.FromIP.IsValid() {
		return neighbor(m.From, from, m.Target, m.FromIP, advertisement, flagSolicited|flagOverride, m.Target, optionTarget)
	}
	// A host without an address is answered in the all-nodes group, in a frame addressed
	// only to it.
	return neighbor(m.From, from, m.Target, allNodes, advertisement, flagOverride, m.Target, optionTarget)
}
