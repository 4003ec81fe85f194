// SPDX-License-Identifier: Apache-2.0

package dataplane

import "testing"

// directAddress is that of an endpoint without a tunnel.
var directAddress = map[bool]string{false: "203.0.113.50", true: "2001:db8:50::50"}

// The ports of direct endpoints at directAddress: of the first proxy, and of the second.
const (
	directPort = 9000
	othersPort = 9001
)

func directTo(index int, address string, number uint16) []Direct {
	return []Direct{{index, port(address, number), protoTCP}, {index, port(address, number), protoUDP}}
}

// putDirects puts those that directFixtures are about. Those at a pod's address, which has a
// tunnel, open nothing.
func (b *bench) putDirects(t testing.TB) {
	t.Helper()
	for _, v6 := range []bool{false, true} {
		must(t, b.gatewaySide.Directs().Put(directTo(b.proxy0, directAddress[v6], directPort)...))
		must(t, b.gatewaySide.Directs().Put(directTo(b.proxy0, endpointOf(tunnel4, v6), directPort)...))
		must(t, b.gatewaySide.Directs().Put(directTo(b.proxy1, directAddress[v6], othersPort)...))
	}
}

// directFixtures are about what a proxy sends to endpoints without a tunnel.
func (b *bench) directFixtures() []fixture {
	var list []fixture
	passes := func(in ...[]byte) (steps []step) {
		for _, one := range in {
			steps = append(steps, step{program: "encap", in: one, verdict: pass})
		}
		return steps
	}
	for _, v6 := range []bool{false, true} {
		proxy, direct, pod, icmps := proxyAddress[v6], directAddress[v6], endpointOf(tunnel4, v6), icmpOf(v6)
		router := map[bool]string{false: "10.9.9.9", true: "fd00:9::9"}[v6]
		segment := func(from, to string, number uint16, flags byte) []byte {
			return ip(from, to, protoTCP, tcp(40000, number, flags, nil, nil))
		}
		datagram := func(from, to string, number uint16) []byte {
			return ip(from, to, protoUDP, udp(40000, number, []byte("question")))
		}
		about := func(number uint16) []byte {
			return unreachablePort(v6, ip(direct, proxy, protoUDP, udp(number, 40000, []byte("answer"))))
		}
		list = append(list,
			fixture{family(v6) + ": to a direct endpoint", RoleGateway, passes(
				segment(proxy, direct, directPort, flagSYN), segment(proxy, direct, directPort, flagACK),
				datagram(proxy, direct, directPort), ip(proxy, direct, icmps, about(directPort)))},
			fixture{family(v6) + ": beside a direct endpoint", RoleGateway, encapDrops(DropNotAnAnswer,
				segment(proxy, direct, directPort+7, flagSYN), datagram(proxy, direct, directPort+7),
				segment(proxy, router, directPort, flagSYN), datagram(proxy, router, directPort),
				ip(proxy, direct, icmps, echo(v6, false, 9)), ip(proxy, direct, 132, make([]byte, 24)),
				ip(proxy, direct, icmps, about(directPort+7)))},
			fixture{family(v6) + ": another proxy's direct endpoint", RoleGateway, encapDrops(DropNotAnAnswer,
				segment(proxy, direct, othersPort, flagSYN), datagram(proxy, direct, othersPort))},
			fixture{family(v6) + ": a direct endpoint at an address that has a tunnel", RoleGateway, encapDrops(DropNotRegistered,
				segment(proxy, pod, directPort, flagSYN), datagram(proxy, pod, directPort))},
			fixture{family(v6) + ": to a direct endpoint with another source", RoleGateway, encapDrops(DropWrongPeer,
				segment(router, direct, directPort, flagSYN), datagram(router, direct, directPort))},
		)
	}
	first := func(id uint16, number uint16) []byte {
		return ip4{id: id, flags: moreFragments}.packet(proxyAddress[false], directAddress[false], protoUDP, udp(40000, number, make([]byte, 24)))
	}
	later := func(id uint16) []byte {
		return ip4{id: id, flags: 4}.packet(proxyAddress[false], directAddress[false], protoUDP, make([]byte, 24))
	}
	return append(list, fixture{"fragments to a direct endpoint", RoleGateway, []step{
		{program: "encap", in: later(71), verdict: shot, drop: DropFragmentUnmatched},
		{program: "encap", in: first(71, directPort), verdict: pass},
		{program: "encap", in: later(71), verdict: pass},
		{program: "encap", in: first(72, othersPort), verdict: shot, drop: DropNotAnAnswer},
		{program: "encap", in: later(72), verdict: shot, drop: DropFragmentUnmatched},
	}})
}
