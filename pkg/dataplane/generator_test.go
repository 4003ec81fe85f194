// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// generator makes random packets, of which many are good, many are nearly so, and the rest
// are not.
type generator struct {
	random *rand.Rand
	// gateway indicates that it makes them for a gateway node.
	gateway bool
	// cookies indicates that tunnels use cookies.
	cookies bool
	// tunnel is the one to which the last packet's endpoint belongs.
	tunnel int
}

// underlayMTU is that of a bench's interfaces. By no interface leaves what is longer.
const underlayMTU = 1500

// testRunMost is about how long a packet the kernel's test run takes, with outer headers.
const testRunMost = 3200

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.random.IntN(len(from))] }

// input makes a frame for one of the node's programs.
func (g *generator) input(decap bool) input {
	v6 := g.chance(50)
	// Requests go into tunnels at gateways and come out at clients.
	in := input{decap: decap, packet: g.inner(v6, g.gateway != decap, true)}
	most := underlayMTU
	if g.gateway || decap {
		most = testRunMost
	}
	for len(in.packet) > most {
		in.packet = g.inner(v6, g.gateway != decap, true)
	}
	if decap {
		in.packet = g.outer(in.packet)
	}
	if g.chance(8) {
		in.packet = mutate(g.random, in.packet)
		in.packet = in.packet[:min(len(in.packet), max(underlayMTU, len(in.packet)-40))]
	}
	for len(in.packet) < 40 {
		in.packet = append(in.packet, 0)
	}
	in.kind = 0x0800
	if in.packet[0]>>4 == 6 {
		in.kind = 0x86dd
	}
	if g.chance(3) {
		in.kind = pick(g, uint16(0x0800), 0x86dd, 0x0806, 0x88cc, 0x8100, uint16(g.random.Uint32()))
	}
	if g.chance(4) {
		in.to = 1 + g.random.IntN(3)
	}
	return in
}

func (g *generator) address(v6 bool) string {
	if v6 {
		return pick(g, proxyAddress[true], endpointOf(1+g.random.IntN(6), true), "fd00:99::1", "2001:db8:ffff::1", directAddress[true],
			"2001:db8:7::1", gatewayAddress[true], nodeAddress[true], "ff02::1", "ff05::1", "fe80::1", "::1", "2001:db8:7::", "2001:db8:1::77",
			"::ffff:"+endpointOf(1+g.random.IntN(6), false), "::ffff:"+proxyAddress[false])
	}
	return pick(g, proxyAddress[false], endpointOf(1+g.random.IntN(6), false), "10.244.99.1", "203.0.113.99", directAddress[false],
		gatewayAddress[false], nodeAddress[false], "127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "169.254.1.1")
}

func (g *generator) port() uint16 {
	return pick(g, uint16(worldPort), worldPort, worldPort, publicPort, publicPort, directPort, othersPort, 40000, uint16(g.random.Uint32()))
}

// inner makes a packet from a proxy or to it.
func (g *generator) inner(v6, fromProxy, mayQuote bool) []byte {
	tunnel := pick(g, tunnel4, tunnel4, tunnel6, tunnel6, tunnelNarrow, tunnelNarrow, 1+g.random.IntN(6))
	if mayQuote {
		g.tunnel = tunnel
	} else if g.chance(80) {
		tunnel = g.tunnel
	}
	proxy, far := proxyAddress[v6], endpointOf(tunnel, v6)
	if !g.gateway && (tunnel == tunnel4 || tunnel == tunnel6) && g.chance(40) {
		far = endpointOf(severalTunnels, v6)
	}
	if g.chance(12) {
		far = g.address(v6)
	}
	if g.chance(6) {
		proxy = g.address(v6)
	}
	from, to := far, proxy
	if fromProxy {
		from, to = proxy, far
	}
	protocol := pick(g, byte(protoTCP), protoTCP, protoUDP, protoUDP, icmpOf(v6))
	if g.chance(6) {
		protocol = pick(g, byte(47), 50, 51, 132, 41, 4, 2, 0, 43, 44, 60, 58, 1, 135, 59, byte(g.random.Uint32()))
	}
	payload := g.transport(v6, fromProxy, mayQuote, protocol, from, to)
	if v6 {
		return g.header6(from, to, protocol, payload)
	}
	return g.header4(from, to, protocol, payload)
}

// size is that of a payload: often none, and often about as large as fits.
func (g *generator) size() int {
	switch g.random.IntN(12) {
	case 0:
		return 1180 + g.random.IntN(100)
	case 1:
		return 1380 + g.random.IntN(100)
	case 2:
		return 450 + g.random.IntN(100)
	case 3:
		return g.random.IntN(3500)
	default:
		return g.random.IntN(40)
	}
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.random.Uint32())
	}
	return b
}

func (g *generator) transport(v6, fromProxy, mayQuote bool, protocol byte, from, to string) []byte {
	near, far := g.port(), uint16(worldPort)
	if g.chance(15) {
		far = g.port()
	}
	if !fromProxy {
		near, far = far, near
	}
	switch protocol {
	case protoTCP:
		flags := pick(g, byte(flagACK), flagACK, flagSYN, flagSYN|flagACK, byte(g.random.Uint32()))
		var options []byte
		if g.chance(30) {
			options = pick(g, mss(1460), mss(536), mss(9000), concat([]byte{1}, mss(1460), []byte{1, 1}), concat([]byte{1, 1, 4, 2}, mss(65535)),
				[]byte{2, 0, 0, 0}, []byte{0, 2, 4, 255}, []byte{2, 3, 5, 5}, []byte{8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4, 0, 0}, g.bytes(g.random.IntN(10)*4))
		}
		data := g.bytes(g.size())
		if flags == flagSYN && g.chance(70) {
			data = nil
		}
		segment := tcp(near, far, flags, options, data)
		if g.chance(3) {
			segment[12] = byte(g.random.Uint32())
		}
		return segment
	case protoUDP:
		datagram := udp(near, far, g.bytes(g.size()))
		if g.chance(3) {
			binary.BigEndian.PutUint16(datagram[4:], pick(g, 0, 7, 8, uint16(len(datagram)+1), uint16(g.random.Uint32())))
		}
		return datagram
	case protoICMP, protoICMPv6:
		if mayQuote && g.chance(50) {
			about := g.inner(v6, !fromProxy, false)
			if g.chance(20) {
				about = about[:g.random.IntN(len(about))]
			}
			return icmp(pick(g, byte(1), 2, 3, 4, 11, 12, 5), 0, g.random.Uint32(), about[:min(len(about), 1000)])
		}
		kind := pick(g, byte(8), 0, 128, 129, 128, 129, 8, 0, 5, 13, 130, 131, 132, 133, 134, 135, 136, 137, 143, byte(g.random.Uint32()))
		return icmp(kind, 0, g.random.Uint32(), g.bytes(g.size()))
	}
	return g.bytes(g.size())
}

func (g *generator) header4(from, to string, protocol byte, payload []byte) []byte {
	h := ip4{tos: byte(g.random.Uint32()), id: uint16(g.random.IntN(4)), flags: pick(g, uint16(dontFragment), dontFragment, dontFragment, 0), ttl: pick(g, byte(64), 1, 255)}
	if g.chance(8) {
		h.flags = pick(g, uint16(moreFragments), moreFragments|5, 5, 185, 0x8000, dontFragment|moreFragments)
	}
	if g.chance(5) {
		h.options = g.bytes(4 * (1 + g.random.IntN(10)))
	}
	if g.chance(3) {
		h.total = pick(g, uint16(1), 19, 20, 27, 28, 39, 40, 65535, uint16(20+len(payload)+1), uint16(g.random.Uint32()))
	}
	packet := h.packet(from, to, protocol, payload)
	if g.chance(2) {
		packet[0] = byte(g.random.Uint32())
	}
	if g.chance(3) && len(packet) >= 28 && protocol == protoUDP && h.options == nil {
		partial(packet, 20, 6, packet[12:20], protocol)
	}
	return packet
}

func (g *generator) header6(from, to string, protocol byte, payload []byte) []byte {
	h := ip6{tos: byte(g.random.Uint32()), hop: pick(g, byte(64), 1, 255)}
	if g.chance(12) {
		h.first, h.fragment = g.extensions(&h, protocol), true
	}
	packet := h.packet(from, to, protocol, payload)
	if g.chance(3) {
		binary.BigEndian.PutUint16(packet[4:], pick(g, uint16(0), 7, 8, 19, 65535, uint16(len(packet)-40+1), uint16(g.random.Uint32())))
	}
	if g.chance(3) && len(packet) >= 48 && protocol == protoUDP && h.extensions == nil {
		partial(packet, 40, 6, packet[8:40], protocol)
	}
	return packet
}

// extensions makes a chain of headers, and returns the type of the first.
func (g *generator) extensions(h *ip6, protocol byte) byte {
	n := 1 + g.random.IntN(3)
	if g.chance(20) {
		n = 1 + g.random.IntN(9)
	}
	next, first := protocol, byte(0)
	var chain []byte
	for range n {
		first = pick(g, byte(0), 43, 60, 44, 44, 44, 51, 135)
		if n > 1 && g.chance(70) {
			first = pick(g, byte(0), 43, 60)
		}
		if first == 44 {
			chain = concat([]byte{next, 0}, be16(pick(g, uint16(0), 1, 1, 8, 9, 1233, 1232, 5)), be32(g.random.Uint32N(4)), chain)
		} else {
			size := g.random.IntN(3)
			chain = concat([]byte{next, byte(size)}, make([]byte, 6+8*size), chain)
		}
		next = first
	}
	h.extensions = chain
	return first
}

// partial leaves a transport's checksum to a network card.
func partial(packet []byte, at, offset int, addresses []byte, protocol byte) {
	sum := fold(concat(addresses, be32(uint32(len(packet)-at)), be32(uint32(protocol))), 0)
	binary.BigEndian.PutUint16(packet[at+offset:], sum)
}

// outer puts a packet into a tunnel, mostly a good one.
func (g *generator) outer(inner []byte) []byte {
	outer6, id := g.tunnel == tunnel6, uint32(g.tunnel)
	if g.chance(10) {
		id = pick(g, uint32(1), 2, 3, 4, 5, 6, 99, 1<<31|1, g.random.Uint32())
	}
	gateway, node := ends(outer6)
	from, to := node, gateway
	if !g.gateway {
		from, to = gateway, node
	}
	if g.tunnel == tunnelNarrow {
		from = port("192.0.2.66", DefaultPort)
	}
	if g.chance(6) {
		elsewhere := map[bool]string{false: "192.0.2.77", true: "2001:db8:1::77"}[outer6]
		if outer6 && g.chance(50) {
			elsewhere = "::ffff:" + pick(g, gatewayAddress[false], nodeAddress[false])
		}
		if g.chance(50) {
			from = port(elsewhere, DefaultPort)
		} else {
			to = port(elsewhere, DefaultPort)
		}
	}
	if g.chance(3) {
		from = netip.AddrPortFrom(from.Addr(), g.port())
	}
	if g.chance(3) {
		to = netip.AddrPortFrom(to.Addr(), g.port())
	}
	word := wordOf(inner)
	if g.chance(5) {
		word = pick(g, uint32(wordControl), wordControl, wordIPv4, wordIPv6, wordCookie4, wordCookie6, word^1<<g.random.IntN(32), g.random.Uint32())
	}
	datagram := gueOf(from.Port(), to.Port(), word, id, inner)
	if g.chance(3) {
		binary.BigEndian.PutUint16(datagram[4:], pick(g, 0, 8, 15, 23, 24, 16, uint16(len(datagram)-1), uint16(len(datagram)+1), uint16(g.random.Uint32())))
	}
	if g.chance(2) {
		datagram = datagram[:8+g.random.IntN(min(len(datagram)-8, 16))]
	}
	if g.chance(10) {
		datagram = append(datagram, g.bytes(g.random.IntN(30))...)
	}
	tos := inner[1]
	if inner[0]>>4 == 6 {
		tos = inner[0]<<4 | inner[1]>>4
	}
	if g.chance(30) {
		tos = byte(g.random.Uint32())
	}
	if g.chance(either(g.cookies, 95, 3)) {
		datagram = g.marked(datagram)
	}
	if !outer6 && g.chance(4) {
		return ip4{tos: tos, flags: pick(g, uint16(0), moreFragments, 5, dontFragment), options: g.bytes(4 * g.random.IntN(4))}.
			packet(from.Addr().String(), to.Addr().String(), protoUDP, datagram)
	}
	if outer6 && g.chance(4) {
		h := ip6{tos: tos, fragment: true}
		h.first = g.extensions(&h, protoUDP)
		return h.packet(from.Addr().String(), to.Addr().String(), protoUDP, datagram)
	}
	return outerAs(from, to, tos, datagram)
}

// marked puts a cookie into a datagram, mostly one that is accepted.
func (g *generator) marked(datagram []byte) []byte {
	if len(datagram) < 16 {
		return datagram
	}
	word, ok := map[uint32]uint32{wordIPv4: wordCookie4, wordIPv6: wordCookie6}[binary.BigEndian.Uint32(datagram[8:])]
	if !ok {
		return datagram
	}
	cookie := pick(g, cookieUp, cookieUp, cookieUpOld)
	if !g.gateway {
		cookie = pick(g, cookieDown, cookieDown, cookieDownOld)
	}
	if g.chance(8) {
		cookie = pick(g, cookieUp, cookieDown, [CookieSize]byte{}, [CookieSize]byte(g.bytes(CookieSize)))
	}
	out := concat(datagram[:16], cookie[:], datagram[16:])
	binary.BigEndian.PutUint32(out[8:], word)
	binary.BigEndian.PutUint16(out[4:], binary.BigEndian.Uint16(out[4:])+CookieSize)
	return out
}
