// SPDX-License-Identifier: Apache-2.0

package dataplane

// guardFixtures are about what reaches the guard of a client node: what went into a tunnel,
// what belongs into none, and, where somebody has removed the program before it, the rest.
func (b *bench) guardFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		pod, proxy := endpointOf(tunnel4, v6), proxyAddress[v6]
		gateway, node := ends(v6)
		icmps := icmpOf(v6)
		answer := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("answer")))
		drops := func(packets ...[]byte) []step {
			var steps []step
			for _, in := range packets {
				steps = append(steps, step{program: "guard", in: in, verdict: shot, drop: DropBypassed, bare: true})
			}
			return steps
		}
		passes := func(packets ...[]byte) []step {
			var steps []step
			for _, in := range packets {
				steps = append(steps, step{program: "guard", in: in, verdict: pass, bare: true})
			}
			return steps
		}
		list = append(list,
			fixture{"guard, " + family(v6) + ": an endpoint's answers", RoleClient, drops(answer,
				ip(pod, proxy, protoUDP, udp(worldPort, 40000, []byte("answer"))),
				ip(pod, proxy, icmps, echo(v6, true, 1)),
				ip(pod, proxy, icmps, unreachablePort(v6, ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, nil)))))},
			fixture{"guard, " + family(v6) + ": what is in a tunnel", RoleClient, passes(
				outer(node, gateway, uint32(tunnelOver(v6)), answer), withCookie(outer(node, gateway, uint32(tunnelOver(v6)), answer), cookieUp))},
			fixture{"guard, " + family(v6) + ": what belongs into none", RoleClient, passes(
				ip(pod, proxy, protoTCP, tcp(50000, 443, flagSYN, nil, nil)),
				ip(pod, proxy, icmps, echo(v6, false, 1)),
				ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, nil)))},
		)
	}
	return list
}
