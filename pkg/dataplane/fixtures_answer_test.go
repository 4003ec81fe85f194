// SPDX-License-Identifier: Apache-2.0

package dataplane

// answerFixtures are about what a proxy sends outside tunnels.
func (b *bench) answerFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		pod, proxy, icmps := endpointOf(tunnel4, v6), proxyAddress[v6], icmpOf(v6)
		visitor := map[bool]string{false: "203.0.113.99", true: "2001:db8:ffff::1"}[v6]
		removed := map[bool]string{false: "10.244.77.5", true: "fd00:244:77::5"}[v6]
		segment := func(source, destination string, from, to uint16, flags byte) []byte {
			return ip(source, destination, protoTCP, tcp(from, to, flags, nil, []byte("data")))
		}
		datagram := func(source, destination string, from, to uint16) []byte {
			return ip(source, destination, protoUDP, udp(from, to, []byte("data")))
		}
		passes := func(in ...[]byte) (steps []step) {
			for _, one := range in {
				steps = append(steps, step{program: "encap", in: one, verdict: pass})
			}
			return steps
		}
		list = append(list,
			fixture{family(v6) + ": answers from a published port", RoleGateway, passes(
				segment(proxy, visitor, publicPort, 50000, flagSYN|flagACK), segment(proxy, visitor, publicPort, 50000, flagACK),
				datagram(proxy, visitor, publicPort, 50000),
				ip(proxy, visitor, icmps, echo(v6, true, 9)),
				ip(proxy, visitor, icmps, unreachablePort(v6, datagram(visitor, proxy, 50000, publicPort))),
			)},
			fixture{family(v6) + ": what the proxy opens itself", RoleGateway, encapDrops(DropNotAnAnswer,
				segment(proxy, visitor, publicPort, 50000, flagSYN), segment(proxy, visitor, 40000, 80, flagSYN),
				datagram(proxy, visitor, 40000, 53), ip(proxy, visitor, icmps, echo(v6, false, 9)),
				ip(proxy, visitor, 47, make([]byte, 24)), ip(proxy, visitor, 132, make([]byte, 24)),
			)},
			fixture{family(v6) + ": what goes on after its endpoint was removed", RoleGateway, encapDrops(DropNotAnAnswer,
				segment(proxy, removed, 40000, worldPort, flagACK), segment(proxy, removed, 40000, worldPort, flagSYN),
				datagram(proxy, removed, 40000, worldPort),
				ip(proxy, removed, icmps, unreachablePort(v6, datagram(removed, proxy, worldPort, 40000))),
			)},
			fixture{family(v6) + ": a port of an endpoint's address that is no endpoint", RoleGateway, append(
				encapDrops(DropNotRegistered, segment(proxy, pod, publicPort, 50000, flagACK), datagram(proxy, pod, publicPort, 50000)),
				encapDrops(DropNotAnAnswer, segment(proxy, pod, 40000, 50000, flagSYN))...)},
			fixture{family(v6) + ": answers with another source than the proxy's", RoleGateway, encapDrops(DropNotAnAnswer,
				segment(visitor, pod, publicPort, 50000, flagACK), datagram(removed, visitor, publicPort, 50000),
				ip(removed, visitor, icmps, echo(v6, true, 9)))},
			fixture{family(v6) + ": an error about somebody else's packet to a visitor", RoleGateway, encapDrops(DropICMPUnmatched,
				ip(proxy, visitor, icmps, unreachablePort(v6, datagram(removed, proxy, 50000, publicPort))))},
			fixture{family(v6) + ": packets that end early", RoleGateway, encapDrops(DropMalformed,
				segment(proxy, visitor, publicPort, 50000, flagACK)[:map[bool]int{false: 30, true: 50}[v6]])},
			fixture{family(v6) + ": other frames", RoleGateway, []step{
				{program: "encap", in: datagram(proxy, visitor, publicPort, 50000), kind: 0x88cc, verdict: shot, drop: DropFrame},
				{program: "encap", in: datagram(proxy, visitor, publicPort, 50000), kind: 0x8100, verdict: shot, drop: DropFrame},
				{program: "encap", in: make([]byte, 46), kind: 0x0806, verdict: pass},
			}},
		)
	}
	first := func(id uint16, port uint16) []byte {
		return ip4{id: id, flags: moreFragments}.packet(proxyAddress[false], "203.0.113.99", protoUDP, udp(port, 50000, make([]byte, 24)))
	}
	later := func(id uint16) []byte {
		return ip4{id: id, flags: 4}.packet(proxyAddress[false], "203.0.113.99", protoUDP, make([]byte, 24))
	}
	discovery := func(kind byte, destination string) []byte {
		return ip6{hop: 255}.packet(proxyAddress[true], destination, protoICMPv6, icmp(kind, 0, 0, make([]byte, 16)))
	}
	here := "2001:db8:7::1" // the gateway's own address next to the proxy
	return append(list,
		fixture{"fragments of answers", RoleGateway, []step{
			{program: "encap", in: later(61), verdict: shot, drop: DropFragmentUnmatched},
			{program: "encap", in: first(61, publicPort), verdict: pass},
			{program: "encap", in: later(61), verdict: pass},
			{program: "encap", in: first(62, 40000), verdict: shot, drop: DropNotAnAnswer},
			{program: "encap", in: later(62), verdict: shot, drop: DropFragmentUnmatched},
		}},
		fixture{"neighbor discovery with the node", RoleGateway, []step{
			{program: "encap", in: discovery(135, "ff02::1:ff00:1"), verdict: pass},
			{program: "encap", in: discovery(135, here), verdict: pass},
			{program: "encap", in: discovery(136, "fe80::1"), verdict: pass},
			{program: "encap", in: discovery(133, "ff02::2"), verdict: pass},
			{program: "encap", in: discovery(143, "ff02::16"), verdict: pass},
		}},
		fixture{"neighbor discovery with others", RoleGateway, []step{
			{program: "encap", in: discovery(135, nodeAddress[true]), verdict: shot, drop: DropNotAnAnswer},
			{program: "encap", in: discovery(137, "ff02::1"), verdict: shot, drop: DropNotAnAnswer},
			{program: "encap", in: discovery(143, nodeAddress[true]), verdict: shot, drop: DropNotAnAnswer},
		}},
	)
}

// clientFixtures are about what leaves a client node by no tunnel, or should have.
func (b *bench) clientFixtures() []fixture {
	var list []fixture
	gateway, node := ends(false)
	toProxy := func(packet []byte) []byte { return outer(node, gateway, tunnel4, packet) }
	for _, v6 := range []bool{false, true} {
		pod, proxy, icmps := endpointOf(tunnel4, v6), proxyAddress[v6], icmpOf(v6)
		other := map[bool]string{false: "10.244.99.1", true: "fd00:99::1"}[v6]
		outside := map[bool]string{false: "203.0.113.99", true: "2001:db8:ffff::1"}[v6]
		answer := func(source, destination string, from uint16) []byte {
			return ip(source, destination, protoUDP, udp(from, 41000, []byte("answer")))
		}
		var passes []step
		for _, in := range [][]byte{
			answer(pod, outside, worldPort), answer(other, proxy, worldPort), answer(pod, proxy, worldPort+1),
			ip(pod, proxy, protoTCP, tcp(50000, publicPort, flagSYN, nil, nil)), // the pod as a visitor
			ip(pod, proxy, icmps, echo(v6, false, 5)),
			ip(other, proxy, icmps, echo(v6, true, 5)), ip(pod, outside, icmps, echo(v6, true, 5)),
			ip(pod, outside, 47, make([]byte, 24)), ip(other, proxy, 47, make([]byte, 24)),
			answer(other, proxy, worldPort)[:map[bool]int{false: 24, true: 44}[v6]],
		} {
			passes = append(passes, step{program: "encap", in: in, verdict: pass})
		}
		forgotten := answer(pod, proxy, worldPort)
		pong := ip(pod, proxy, icmps, echo(v6, true, 5))
		refused := ip(pod, proxy, icmps, unreachablePort(v6, ip(proxy, pod, protoUDP, udp(41000, worldPort, []byte("question")))))
		list = append(list,
			fixture{family(v6) + ": a node's own traffic and that of its pods", RoleClient, passes},
			fixture{family(v6) + ": answers of flows that nobody remembers", RoleClient, []step{
				{program: "encap", in: forgotten, verdict: sent, out: toProxy(forgotten)},
				{program: "encap", in: pong, verdict: sent, out: toProxy(pong)},
				{program: "encap", in: refused, verdict: sent, out: toProxy(refused)},
			}},
			fixture{family(v6) + ": what an endpoint's address sends besides", RoleClient, []step{
				{program: "encap", in: ip(pod, proxy, 47, make([]byte, 24)), verdict: shot, drop: DropProtocol},
				{program: "encap", in: ip(pod, proxy, icmps, icmp(map[bool]byte{false: 14, true: 136}[v6], 0, 0, make([]byte, 16))), verdict: shot, drop: DropProtocol},
				{program: "encap", in: ip(pod, proxy, icmps, unreachablePort(v6, answer(other, pod, 1))), verdict: shot, drop: DropICMPUnmatched},
				{program: "encap", in: answer(pod, proxy, worldPort)[:map[bool]int{false: 24, true: 44}[v6]], verdict: shot, drop: DropMalformed},
			}},
		)
	}
	first := func(id, port uint16) []byte {
		return ip4{id: id, flags: moreFragments}.packet(endpointOf(tunnel4, false), proxyAddress[false], protoUDP, udp(port, 50000, make([]byte, 24)))
	}
	later := func(id uint16) []byte {
		return ip4{id: id, flags: 4}.packet(endpointOf(tunnel4, false), proxyAddress[false], protoUDP, make([]byte, 24))
	}
	hidden := ip6{first: 51, extensions: make([]byte, 24)}.packet(endpointOf(tunnel4, true), proxyAddress[true], protoUDP, udp(worldPort, 1, nil))
	return append(list,
		fixture{"fragments of an endpoint's address", RoleClient, []step{
			{program: "encap", in: later(71), verdict: shot, drop: DropFragmentUnmatched},
			{program: "encap", in: first(71, 5353), verdict: pass},
			{program: "encap", in: later(71), verdict: pass},
			{program: "encap", in: first(72, worldPort), verdict: sent, out: toProxy(first(72, worldPort))},
			{program: "encap", in: later(72), verdict: sent, out: toProxy(later(72))},
		}},
		fixture{"an answer whose transport is hidden", RoleClient, []step{{program: "encap", in: hidden, verdict: shot, drop: DropExtensionHeaders}}},
	)
}
