// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
)

// outerFixtures are about what arrives from the underlay, whatever is inside.
func (b *bench) outerFixtures() []fixture {
	var list []fixture
	for _, outer6 := range []bool{false, true} {
		id := uint32(tunnelOver(outer6))
		gateway, node := ends(outer6)
		pod, proxy := endpointOf(int(id), false), proxyAddress[false]
		reply := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
		good := gueOf(node.Port(), gateway.Port(), wordIPv4, id, reply)
		with := func(word, tunnel uint32) []byte {
			return outerAs(node, gateway, 0, gueOf(node.Port(), gateway.Port(), word, tunnel, reply))
		}
		elsewhere := map[bool]string{false: "192.0.2.77", true: "2001:db8:1::77"}[outer6]
		stranger := port(elsewhere, DefaultPort)
		both := func(in []byte, drop DropReason) []step {
			return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: shot, drop: drop}}
		}
		passes := func(in []byte) []step {
			return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: pass}}
		}
		over := "over " + family(outer6) + ": "
		for name, word := range map[string]uint32{
			"another variant": 0x41048000, "another header length": 0x02048000, "another flag": 0x0104c000,
			"no flag": 0x01040000, "an inner protocol that is not IP": 0x01118000, "a control packet of another type": 0x21008000,
			"a control packet with another flag": 0x21ff0000, "reserved bits": 0x01048001,
		} {
			list = append(list, fixture{over + name, RoleGateway, both(with(word, id), DropBadHeader)})
		}
		list = append(list,
			fixture{over + "a header that ends early", RoleGateway, both(outerAs(node, gateway, 0, udp(node.Port(), gateway.Port(), []byte{1, 4, 0x80})), DropBadHeader)},
			fixture{over + "an empty datagram", RoleGateway, both(outerAs(node, gateway, 0, udp(node.Port(), gateway.Port(), nil)), DropBadHeader)},
			fixture{over + "a tunnel that is not here", RoleGateway, both(with(wordIPv4, 99), DropUnknownTunnel)},
			fixture{over + "a tunnel of which only the sign differs", RoleGateway, both(with(wordIPv4, id|1<<31), DropUnknownTunnel)},
			fixture{over + "another source address", RoleGateway, both(outerAs(stranger, gateway, 0, good), DropWrongRemote)},
			fixture{over + "another source port", RoleGateway, both(outerAs(node, gateway, 0, gueOf(6081, gateway.Port(), wordIPv4, id, reply)), DropWrongRemote)},
			fixture{over + "control packets are the node program's", RoleGateway, passes(with(wordControl, id))},
			fixture{over + "control packets of unknown tunnels", RoleGateway, both(with(wordControl, 99), DropUnknownTunnel)},
			fixture{over + "control packets to another host", RoleGateway, passes(outerAs(node, stranger, 0, gueOf(node.Port(), gateway.Port(), wordControl, 99, reply)))},
			fixture{over + "the port of another host is an ordinary one", RoleGateway, passes(outerAs(node, stranger, 0, good))},
			fixture{over + "a bad header to another host", RoleGateway, passes(outerAs(node, stranger, 0, udp(1, DefaultPort, []byte("x"))))},
			fixture{over + "another port", RoleGateway, passes(outerAs(node, gateway, 0, gueOf(node.Port(), 6081, wordIPv4, id, reply)))},
			fixture{over + "TCP to the port", RoleGateway, passes(ip(node.Addr().String(), gateway.Addr().String(), protoTCP, tcp(1, DefaultPort, flagACK, nil, good[8:])))},
		)
	}
	gateway, node := ends(false)
	gateway6, node6 := ends(true)
	from, to := node.Addr().String(), gateway.Addr().String()
	reply := ip(endpointOf(tunnel4, false), proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
	reply6 := ip(endpointOf(tunnel6, false), proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
	datagram := gueOf(node.Port(), gateway.Port(), wordIPv4, tunnel4, reply)
	datagram6 := gueOf(node6.Port(), gateway6.Port(), wordIPv4, tunnel6, reply6)
	fragmentHeader := func(offset uint16) []byte { return concat([]byte{protoUDP, 0}, be16(offset), be32(1)) }
	one := func(in []byte, drop DropReason) []step {
		return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: shot, drop: drop}}
	}
	passes := func(in []byte) []step {
		return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: pass}}
	}
	newReply := ip(endpointOf(tunnelNew, false), proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, nil))
	return append(list,
		fixture{"a tunnel without a verified remote", RoleGateway, one(outer(node, gateway, tunnelNew, newReply), DropUnverified)},
		fixture{"a tunnel that ends at another address of this node", RoleGateway,
			one(outerAs(node6, gateway6, 0, gueOf(DefaultPort, DefaultPort, wordIPv4, tunnel4, reply)), DropWrongLocal)},
		fixture{"outer options", RoleGateway, one(ip4{options: []byte{1, 1, 1, 0}}.packet(from, to, protoUDP, datagram), DropOuterOptions)},
		fixture{"outer options to another port", RoleGateway, passes(ip4{options: []byte{1, 1, 1, 0}}.packet(from, to, protoUDP, udp(1, 2, nil)))},
		fixture{"the first outer fragment", RoleGateway, one(ip4{flags: moreFragments}.packet(from, to, protoUDP, datagram), DropOuterFragment)},
		fixture{"a later outer fragment, which is nothing without the first", RoleGateway, passes(ip4{flags: 100}.packet(from, to, protoUDP, datagram))},
		fixture{"the first outer IPv6 fragment", RoleGateway, one(ip6{first: 44, extensions: fragmentHeader(1)}.packet(node6.Addr().String(), gateway6.Addr().String(), protoUDP, datagram6), DropOuterFragment)},
		fixture{"a later outer IPv6 fragment", RoleGateway, passes(ip6{first: 44, extensions: fragmentHeader(800), fragment: true}.packet(node6.Addr().String(), gateway6.Addr().String(), protoUDP, datagram6))},
		fixture{"an outer fragment to another port", RoleGateway, passes(ip4{flags: moreFragments}.packet(from, to, protoUDP, udp(1, 2, nil)))},
		fixture{"ordinary traffic", RoleGateway, passes(ip(from, to, protoTCP, tcp(1, 22, flagSYN, nil, nil)))},
	)
}

// innerFixtures are about what is in a tunnel.
func (b *bench) innerFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		gateway, node := ends(false)
		pod, proxy := endpointOf(tunnel4, v6), proxyAddress[v6]
		other := map[bool]string{false: "10.244.99.1", true: "fd00:99::1"}[v6]
		icmps := icmpOf(v6)
		wrap := func(inner []byte) []byte { return outer(node, gateway, tunnel4, inner) }
		wrapDown := func(inner []byte) []byte { return outer(gateway, node, tunnel4, inner) }
		up := func(in []byte, drop DropReason) []step {
			return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: shot, drop: drop}}
		}
		request := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, nil))
		tcpTo := func(source, destination string, from, to uint16) []byte {
			return ip(source, destination, protoTCP, tcp(from, to, flagACK, nil, nil))
		}
		inside := "inside " + family(v6) + ": "
		list = append(list,
			fixture{inside + "an address that is no endpoint", RoleGateway, up(wrap(tcpTo(other, proxy, worldPort, 40000)), DropNotRegistered)},
			fixture{inside + "a port that is no endpoint's", RoleGateway, up(wrap(tcpTo(pod, proxy, 9999, 40000)), DropNotRegistered)},
			fixture{inside + "a protocol that is no endpoint's", RoleGateway, up(wrap(ip(pod, proxy, 132, make([]byte, 40))), DropProtocol)},
			fixture{inside + "an endpoint of another tunnel", RoleGateway, up(wrap(tcpTo(endpointOf(tunnel6, v6), proxy, worldPort, 40000)), DropNotRegistered)},
			fixture{inside + "to somebody else than the proxy", RoleGateway, up(wrap(tcpTo(pod, other, worldPort, 40000)), DropWrongPeer)},
			fixture{inside + "a ping of an address that is no endpoint", RoleGateway, up(wrap(ip(other, proxy, icmps, echo(v6, true, 1))), DropNotRegistered)},
			fixture{inside + "an error about a packet to no endpoint", RoleGateway, up(wrap(ip(pod, proxy, icmps, unreachablePort(v6, tcpTo(proxy, other, 40000, 80)))), DropNotRegistered)},
			fixture{inside + "an error about somebody else's packet", RoleGateway, up(wrap(ip(pod, proxy, icmps, unreachablePort(v6, tcpTo(other, pod, 40000, worldPort)))), DropICMPUnmatched)},
			fixture{inside + "an error about an error", RoleGateway, up(wrap(ip(pod, proxy, icmps, unreachablePort(v6, ip(proxy, pod, icmps, unreachablePort(v6, request))))), DropICMPUnmatched)},
			fixture{inside + "an error that quotes too little", RoleGateway, up(wrap(ip(pod, proxy, icmps, unreachablePort(v6, request[:24]))), DropMalformed)},
			fixture{inside + "a request from somebody else than the proxy", RoleClient, up(wrapDown(tcpTo(other, pod, 40000, worldPort)), DropWrongPeer)},
			fixture{inside + "a request to no endpoint", RoleClient, up(wrapDown(tcpTo(proxy, other, 40000, worldPort)), DropNotRegistered)},
			fixture{inside + "a request to another port", RoleClient, up(wrapDown(tcpTo(proxy, pod, 40000, 22)), DropNotRegistered)},
			fixture{inside + "an error about a reply that is not the receiver's", RoleClient, up(wrapDown(ip(proxy, pod, icmps, unreachablePort(v6, tcpTo(other, proxy, worldPort, 40000)))), DropICMPUnmatched)},
			fixture{inside + "an end in the middle of the transport", RoleGateway, up(wrap(ip(pod, proxy, protoTCP, []byte{0x1f, 0x90})), DropMalformed)},
			fixture{inside + "nothing", RoleGateway, up(outerAs(node, gateway, 0, gueOf(DefaultPort, DefaultPort, wordOf(request), tunnel4, nil)), DropMalformed)},
			fixture{inside + "the other family than the header says", RoleGateway, up(outerAs(node, gateway, 0,
				gueOf(DefaultPort, DefaultPort, map[bool]uint32{false: wordIPv6, true: wordIPv4}[v6], tunnel4, concat(ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, make([]byte, 40)))))), DropMalformed)},
		)
		// What the kernel can't do: GSO of a kind that it does not know.
		list = append(list, fixture{inside + "an operation that the kernel refuses", RoleGateway, []step{
			{program: "decap", in: wrap(tcpTo(pod, proxy, worldPort, 40000)), gso: 10, verdict: shot,
				drop: map[bool]DropReason{false: DropInternal, true: DropFamily}[v6]},
		}})
	}
	return append(append(list, b.lengthFixtures()...), b.fragmentFixtures()...)
}

// lengthFixtures are about lengths that do not nest, ECN, and extension headers.
func (b *bench) lengthFixtures() []fixture {
	gateway, node := ends(false)
	pod, proxy := endpointOf(tunnel4, false), proxyAddress[false]
	pod6, proxy6 := endpointOf(tunnel4, true), proxyAddress[true]
	segment := tcp(worldPort, 40000, flagACK, nil, []byte("reply"))
	up := func(in []byte, drop DropReason) []step {
		return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: shot, drop: drop}}
	}
	marked := func(outerTOS, innerTOS byte) []byte {
		inner := ip4{tos: innerTOS, flags: dontFragment}.packet(pod, proxy, protoTCP, segment)
		return outerAs(node, gateway, outerTOS, gueOf(DefaultPort, DefaultPort, wordIPv4, tunnel4, inner))
	}
	marked6 := func(outerTOS, innerTOS byte) []byte {
		inner := ip6{tos: innerTOS}.packet(pod6, proxy6, protoTCP, segment)
		return outerAs(node, gateway, outerTOS, gueOf(DefaultPort, DefaultPort, wordIPv6, tunnel4, inner))
	}
	short := ip4{flags: dontFragment}.packet(pod, proxy, protoTCP, segment)
	lying := outer(node, gateway, tunnel4, short)
	lying[24], lying[25] = 0, byte(16+len(short)-1) // the datagram ends before the inner packet
	// The link padded the frame.
	padded := concat(outer(node, gateway, tunnel4, short), make([]byte, 20))
	options := func(n int) []byte {
		var all []byte
		for i := range n {
			next := byte(60)
			if i == n-1 {
				next = protoTCP
			}
			all = append(all, next, 0, 1, 4, 0, 0, 0, 0)
		}
		return all
	}
	extended := ip6{first: 60, extensions: options(3)}.packet(pod6, proxy6, protoTCP, segment)
	list := []fixture{
		{"an inner packet that is longer than its datagram", RoleGateway, up(lying, DropMalformed)},
		{"an inner length that is longer than the packet", RoleGateway, up(outer(node, gateway, tunnel4, ip4{total: 400, flags: dontFragment}.packet(pod, proxy, protoTCP, segment)), DropMalformed)},
		{"a frame that was padded", RoleGateway, []step{{program: "decap", in: padded, verdict: redirect, out: concat(short, make([]byte, 20))}}},
		{"inner options cross", RoleGateway, []step{{program: "decap",
			in:      outer(node, gateway, tunnel4, ip4{options: []byte{7, 4, 4, 0}}.packet(pod, proxy, protoTCP, segment)),
			verdict: redirect, out: ip4{options: []byte{7, 4, 4, 0}}.packet(pod, proxy, protoTCP, segment)}}},
		{"a few extension headers cross", RoleGateway, []step{{program: "decap", in: outer(node, gateway, tunnel4, extended), verdict: redirect, out: extended}}},
		{"too many extension headers", RoleGateway, up(outer(node, gateway, tunnel4, ip6{first: 60, extensions: options(8)}.packet(pod6, proxy6, protoTCP, segment)), DropExtensionHeaders)},
		{"an extension header that hides the transport", RoleGateway, up(outer(node, gateway, tunnel4, ip6{first: 51, extensions: make([]byte, 24)}.packet(pod6, proxy6, protoTCP, segment)), DropExtensionHeaders)},
	}
	for _, c := range []struct{ outer, inner, want byte }{
		{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {0, 1, 1}, {1, 1, 1}, {2, 1, 1}, {3, 1, 3},
		{0, 2, 2}, {1, 2, 1}, {2, 2, 2}, {3, 2, 3}, {0, 3, 3}, {1, 3, 3}, {2, 3, 3}, {3, 3, 3},
		{46<<2 | 1, 10<<2 | 1, 46<<2 | 1}, {3, 46<<2 | 2, 3},
	} {
		name := fmt.Sprintf("traffic class %#x outside and %#x inside", c.outer, c.inner)
		list = append(list, fixture{name, RoleGateway, []step{
			{program: "decap", in: marked(c.outer, c.inner), verdict: redirect, out: ip4{tos: c.want, flags: dontFragment}.packet(pod, proxy, protoTCP, segment)},
			{program: "decap", in: marked6(c.outer, c.inner), verdict: redirect, out: ip6{tos: c.want}.packet(pod6, proxy6, protoTCP, segment)},
		}})
	}
	return append(list,
		fixture{"congestion that the sender would not notice", RoleGateway, up(marked(3, 0), DropECN)},
		fixture{"congestion that the sender would not notice, IPv6", RoleGateway, up(marked6(3, 0), DropECN)},
	)
}

// fragmentFixtures are about fragments inside.
func (b *bench) fragmentFixtures() []fixture {
	gateway, node := ends(false)
	pod, proxy := endpointOf(tunnel4, false), proxyAddress[false]
	pod6, proxy6 := endpointOf(tunnel4, true), proxyAddress[true]
	down := func(inner []byte) []byte { return outer(gateway, node, tunnel4, inner) }
	up := func(inner []byte) []byte { return outer(node, gateway, tunnel4, inner) }
	part := func(from, to string, id, flags uint16, payload []byte) []byte {
		return ip4{id: id, flags: flags}.packet(from, to, protoUDP, payload)
	}
	part6 := func(from, to string, id uint32, offset uint16, payload []byte) []byte {
		return ip6{first: 44, fragment: true, extensions: concat([]byte{protoUDP, 0}, be16(offset), be32(id))}.packet(from, to, protoUDP, payload)
	}
	request, reply := udp(40002, worldPort, make([]byte, 24)), udp(worldPort, 40002, make([]byte, 24))
	rest := make([]byte, 16)
	whole := ip(proxy, pod, protoUDP, request)
	whole6 := ip(proxy6, pod6, protoUDP, request)
	return []fixture{
		{"fragments of the proxy go where the first one goes", RoleGateway, []step{
			{program: "encap", in: part(proxy, pod, 7, 4, rest), verdict: shot, drop: DropFragmentUnmatched},
			{program: "encap", in: part(proxy, pod, 7, moreFragments, request), verdict: redirect, out: down(part(proxy, pod, 7, moreFragments, request))},
			{program: "encap", in: part(proxy, pod, 7, 4, rest), verdict: redirect, out: down(part(proxy, pod, 7, 4, rest))},
			{program: "encap", in: part(proxy, pod, 8, 4, rest), verdict: shot, drop: DropFragmentUnmatched},
			{program: "encap", in: part6(proxy6, pod6, 7, 1, request), verdict: redirect, out: down(part6(proxy6, pod6, 7, 1, request))},
			{program: "encap", in: part6(proxy6, pod6, 7, 32, rest), verdict: redirect, out: down(part6(proxy6, pod6, 7, 32, rest))},
			{program: "encap", in: part6(proxy6, pod6, 8, 32, rest), verdict: shot, drop: DropFragmentUnmatched},
		}},
		{"fragments come out by their address", RoleGateway, []step{
			{program: "xdp", in: up(part(pod, proxy, 7, moreFragments, reply)), verdict: xdpPass},
			{program: "decap", in: up(part(pod, proxy, 7, moreFragments, reply)), verdict: redirect, out: part(pod, proxy, 7, moreFragments, reply)},
			{program: "decap", in: up(part(pod, proxy, 7, 4, rest)), verdict: redirect, out: part(pod, proxy, 7, 4, rest)},
			{program: "decap", in: up(part6(pod6, proxy6, 7, 32, rest)), verdict: redirect, out: part6(pod6, proxy6, 7, 32, rest)},
			{program: "decap", in: up(part("10.244.99.1", proxy, 7, 4, rest)), verdict: shot, drop: DropNotRegistered},
			{program: "decap", in: up(part(pod, "10.0.0.1", 7, 4, rest)), verdict: shot, drop: DropWrongPeer},
		}},
		{"fragments of replies go where the first one goes", RoleClient, []step{
			{program: "decap", in: down(whole), verdict: pass, out: whole},
			{program: "encap", in: part(pod, proxy, 9, 4, rest), verdict: shot, drop: DropFragmentUnmatched},
			{program: "encap", in: part(pod, proxy, 9, moreFragments, reply), verdict: sent, out: up(part(pod, proxy, 9, moreFragments, reply))},
			{program: "encap", in: part(pod, proxy, 9, 4, rest), verdict: sent, out: up(part(pod, proxy, 9, 4, rest))},
			{program: "decap", in: down(whole6), verdict: pass, out: whole6},
			{program: "encap", in: part6(pod6, proxy6, 9, 1, reply), verdict: sent, out: up(part6(pod6, proxy6, 9, 1, reply))},
			{program: "encap", in: part6(pod6, proxy6, 9, 32, rest), verdict: sent, out: up(part6(pod6, proxy6, 9, 32, rest))},
		}},
	}
}

// sendFixtures are about what goes into tunnels, or does not.
func (b *bench) sendFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		pod, proxy := endpointOf(tunnel4, v6), proxyAddress[v6]
		outside := map[bool]string{false: "203.0.113.99", true: "2001:db8:ffff::1"}[v6]
		to := func(source, destination string, port uint16) []byte {
			return ip(source, destination, protoTCP, tcp(443, port, flagACK, nil, nil))
		}
		send := func(in []byte, drop DropReason) []step {
			return []step{{program: "encap", in: in, verdict: shot, drop: drop}}
		}
		inside := family(v6) + ": "
		list = append(list,
			fixture{inside + "another source than the proxy's", RoleGateway, send(to(outside, pod, worldPort), DropWrongPeer)},
			fixture{inside + "a tunnel that is not here", RoleGateway, send(to(proxy, endpointOf(tunnelMissing, v6), worldPort), DropNoTunnel)},
			fixture{inside + "a tunnel without a verified remote", RoleGateway, send(to(proxy, endpointOf(tunnelNew, v6), worldPort), DropNoRemote)},
			fixture{inside + "a remote to which there is no route", RoleGateway, send(to(proxy, endpointOf(tunnelNowhere, v6), worldPort), DropNoRoute)},
			fixture{inside + "an error about somebody else's packet", RoleGateway, send(ip(proxy, pod, icmpOf(v6), unreachablePort(v6, to(outside, proxy, worldPort))), DropICMPUnmatched)},
			fixture{inside + "an operation that the kernel refuses", RoleGateway, []step{
				{program: "encap", in: ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, 500))), gso: 250, verdict: shot, drop: DropInternal}}},
			fixture{inside + "a way that is narrower than the interface", RoleGateway, narrow(v6)},
			fixture{inside + "what may be fragmented goes on in parts", RoleGateway, fragmentable(v6)},
			fixture{inside + "an answer that may be fragmented becomes its last part", RoleClient, lastPart(v6)},
			fixture{inside + "a node's own traffic", RoleClient, []step{{program: "encap", in: to(endpointOf(tunnel4, v6), outside, 443), verdict: pass}}},
		)
	}
	return list
}

// narrow is a packet that would fit into the tunnel's interface, but not on its way.
func narrow(v6 bool) []step {
	const room = 1300 - 36
	headers := map[bool]int{false: 40, true: 60}[v6]
	gateway, remote := port(gatewayAddress[false], DefaultPort), port("192.0.2.66", DefaultPort)
	packet := func(payload int) []byte {
		return ip(proxyAddress[v6], endpointOf(tunnelNarrow, v6), protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, payload)))
	}
	syn := func(option []byte) []byte {
		return ip(proxyAddress[v6], endpointOf(tunnelNarrow, v6), protoTCP, tcp(40000, worldPort, flagSYN, option, nil))
	}
	large := step{program: "encap", in: packet(room - headers + 1), verdict: redirect, out: tooBig(packet(room-headers+1), room), drop: DropTooBig}
	if v6 {
		// Its sender would make it no smaller, so it is sent in parts, and the next larger
		// one is told the least MTU of IPv6.
		large = step{program: "encap", in: packet(1280 - headers + 1), verdict: redirect, out: tooBig(packet(1280-headers+1), 1280), drop: DropTooBig}
	}
	steps := []step{
		{program: "encap", in: packet(room - headers), verdict: redirect, out: outer(gateway, remote, tunnelNarrow, packet(room-headers))},
		large,
		{program: "encap", in: syn(mss(1460)), verdict: redirect, out: outer(gateway, remote, tunnelNarrow, syn(mss(uint16(room-headers))))},
	}
	if v6 {
		steps = append(steps, step{program: "encap", in: packet(room - headers + 1), verdict: shot}, step{program: "encap", in: packet(1280 - headers), verdict: shot})
	}
	return steps
}

// fragmentable are packets that are too big, but may be fragmented. Their parts are
// copies that come by again. Options would have to be looked at one by one, so packets
// with some are answered like all IPv6 packets, which only their sender may fragment.
func fragmentable(v6 bool) []step {
	const room = 1500 - 36
	proxy, pod := proxyAddress[v6], endpointOf(tunnel4, v6)
	if v6 {
		packet := ip(proxy, pod, protoUDP, udp(40000, worldPort, make([]byte, room)))
		return []step{{program: "encap", in: packet, verdict: redirect, out: tooBig(packet, room), drop: DropTooBig}}
	}
	whole := ip4{id: 7}.packet(proxy, pod, protoUDP, udp(40000, worldPort, make([]byte, room)))
	fragment := ip4{id: 8, flags: 200}.packet(proxy, pod, protoUDP, make([]byte, room))
	first := ip4{id: 8, flags: moreFragments}.packet(proxy, pod, protoUDP, udp(40000, worldPort, make([]byte, 1592)))
	options := ip4{options: []byte{7, 4, 4, 0}}.packet(proxy, pod, protoUDP, udp(40000, worldPort, make([]byte, room)))
	return []step{
		{program: "encap", in: whole, verdict: shot},
		{program: "encap", in: first, verdict: shot},
		{program: "encap", in: fragment, verdict: shot},
		{program: "encap", in: options, verdict: redirect, out: tooBig(options, room), drop: DropTooBig},
	}
}

// lastPart is an answer that is too big. On its way out it becomes the last of its parts, because
// the sender of a packet that is dropped does not send the fragments after it. The
// other parts are copies. Only its sender may fragment an IPv6 packet.
func lastPart(v6 bool) []step {
	const room, size = 1500 - 36, 1440
	gateway, node := ends(false)
	proxy, pod := proxyAddress[v6], endpointOf(tunnel4, v6)
	request := ip(proxy, pod, protoUDP, udp(40300, worldPort, nil))
	learn := step{program: "decap", in: outer(gateway, node, tunnel4, request), verdict: pass, out: request}
	payload := make([]byte, room)
	for i := range payload {
		payload[i] = byte(i * 3)
	}
	if v6 {
		answer := ip(pod, proxy, protoUDP, udp(worldPort, 40300, payload))
		return []step{learn, {program: "encap", in: answer, verdict: redirect, out: tooBig(answer, room), drop: DropTooBig}}
	}
	transport := udp(worldPort, 40300, payload)
	part := func(more uint16) step {
		return step{program: "encap", in: ip4{id: 9, flags: more}.packet(pod, proxy, protoUDP, transport), verdict: sent,
			out: outer(node, gateway, tunnel4, ip4{id: 9, flags: more + size/8}.packet(pod, proxy, protoUDP, transport[size:]))}
	}
	return []step{learn, part(0), part(moreFragments)}
}
