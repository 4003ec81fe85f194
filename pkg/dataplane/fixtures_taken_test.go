// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// turnedBack is a segment that opens a connection by one tunnel, and is refused by it.
func (b *bench) turnedBack(outer6 bool, inner []byte) step {
	gateway, node := ends(outer6)
	id := uint32(tunnelOver(outer6))
	answer := outer(node, gateway, id, refusal(inner))
	if b.cookies {
		answer = withCookie(answer, cookieUp)
	}
	return step{program: "decap", in: outer(gateway, node, id, inner), verdict: redirect, drop: DropPortTaken, out: answer}
}

// refusal is the answer to a segment that opens a connection, as long as it.
func refusal(about []byte) []byte {
	at := 20
	if about[0]>>4 == 6 {
		at = 40
	}
	segment := bytes.Clone(about[at:])
	copy(segment, concat(about[at+2:at+4], about[at:at+2], be32(0), be32(binary.BigEndian.Uint32(about[at+4:])+1)))
	segment[13] = flagRST | flagACK
	copy(segment[14:], concat(be16(0), be16(0), be16(0)))
	if at == 40 {
		source, destination := netip.AddrFrom16([16]byte(about[8:24])), netip.AddrFrom16([16]byte(about[24:40]))
		return ip6{}.packet(destination.String(), source.String(), protoTCP, segment)
	}
	source, destination := netip.AddrFrom4([4]byte(about[12:16])), netip.AddrFrom4([4]byte(about[16:20]))
	return ip4{flags: dontFragment}.packet(destination.String(), source.String(), protoTCP, segment)
}

// takenFixtures are about flows of two gateway nodes' proxies that have chosen the same port
// toward the same endpoint. Each has ports of its own.
func (b *bench) takenFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		for _, first6 := range []bool{false, true} {
			proxy, pod := proxyAddress[v6], endpointOf(severalTunnels, v6)
			number := uint16(45000)
			if first6 {
				number += 100
			}
			by := func(outer6 bool, inner []byte) []byte {
				gateway, node := ends(outer6)
				return outer(gateway, node, uint32(tunnelOver(outer6)), inner)
			}
			request := func(flags byte) []byte { return ip(proxy, pod, protoTCP, tcp(number, worldPort, flags, nil, nil)) }
			arrives := func(outer6 bool, packets ...[]byte) (steps []step) {
				for _, inner := range packets {
					steps = append(steps, step{program: "decap", in: by(outer6, inner), verdict: pass, out: inner})
				}
				return steps
			}
			dropped := func(outer6 bool, packets ...[]byte) (steps []step) {
				for _, inner := range packets {
					steps = append(steps,
						step{program: "xdp", in: by(outer6, inner), verdict: xdpPass},
						step{program: "decap", in: by(outer6, inner), verdict: shot, drop: DropPortTaken})
				}
				return steps
			}
			refused := func(outer6 bool, packets ...[]byte) (steps []step) {
				for _, inner := range packets {
					steps = append(steps, step{program: "xdp", in: by(outer6, inner), verdict: xdpPass}, b.turnedBack(outer6, inner))
				}
				return steps
			}
			answered := func(outer6 bool, protocol byte, transport []byte) []step {
				answer := ip(pod, proxy, protocol, transport)
				gateway, node := ends(outer6)
				return []step{{program: "encap", in: answer, verdict: sent, out: outer(node, gateway, uint32(tunnelOver(outer6)), answer)}}
			}
			replies := func(outer6 bool, flags byte) []step {
				return answered(outer6, protoTCP, tcp(worldPort, number, flags, nil, nil))
			}
			add := func(name string, steps ...[]step) {
				f := fixture{family(v6) + ", first by " + family(first6) + ": " + name, RoleClient, nil}
				for _, some := range steps {
					f.steps = append(f.steps, some...)
				}
				list = append(list, f)
				number++
			}
			a, z := first6, !first6
			withOptions := ip4{options: []byte{1, 1, 1, 0}}.packet
			plain := func(flags byte) []byte {
				segment := tcp(number, worldPort, flags, nil, nil)
				if v6 {
					return ip6{first: 60, fragment: true, extensions: []byte{protoTCP, 0, 1, 4, 0, 0, 0, 0}}.packet(proxy, pod, protoTCP, segment)
				}
				return withOptions(proxy, pod, protoTCP, segment)
			}

			add("a connection that is open", arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK),
				refused(z, request(flagSYN), ip(proxy, pod, protoTCP, tcp(number, worldPort, flagSYN|0xc0, mss(1400), nil))),
				replies(a, flagACK), arrives(a, request(flagACK)), refused(z, request(flagSYN)), dropped(z, plain(flagSYN), ip(proxy, pod, protoTCP, tcp(number, worldPort, flagSYN, nil, []byte("data")))), replies(a, flagACK))
			add("one that is about to open", arrives(a, request(flagSYN)), refused(z, request(flagSYN)), arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK))
			add("one that the proxy has closed", arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK), arrives(a, request(flagFIN|flagACK)),
				refused(z, request(flagSYN)), replies(a, flagACK), refused(z, request(flagSYN)), replies(a, flagFIN|flagACK), arrives(a, request(flagACK)),
				arrives(z, request(flagSYN)), replies(z, flagSYN|flagACK), refused(a, request(flagSYN)), replies(z, flagACK))
			add("one that the endpoint has closed", arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK), replies(a, flagFIN|flagACK),
				refused(z, request(flagSYN)), arrives(a, request(flagFIN|flagACK)), replies(a, flagACK), arrives(z, request(flagSYN)), replies(z, flagSYN|flagACK))
			add("one that the endpoint has refused", arrives(a, request(flagSYN)), replies(a, flagRST|flagACK), arrives(z, request(flagSYN)), replies(z, flagSYN|flagACK))
			add("one that the proxy has reset", arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK), arrives(a, request(flagRST)),
				arrives(z, request(flagSYN)), replies(z, flagSYN|flagACK))
			add("a closed one that opens again", arrives(a, request(flagSYN), request(flagRST), request(flagSYN)), refused(z, request(flagSYN)), replies(a, flagSYN|flagACK))
			add("one that goes another way", arrives(a, request(flagSYN)), replies(a, flagSYN|flagACK), arrives(z, request(flagACK)), replies(z, flagACK),
				arrives(a, request(flagRST)), replies(z, flagACK))

			datagram, more := ip(proxy, pod, protoUDP, udp(number, worldPort, []byte("question"))), firstFragment(proxy, pod, udp(number, worldPort, make([]byte, 8)))
			add("datagrams", arrives(a, datagram), answered(a, protoUDP, udp(worldPort, number, nil)), dropped(z, datagram, more),
				answered(a, protoUDP, udp(worldPort, number, nil)), arrives(a, datagram, more), dropped(z, datagram))
			ping := ip(proxy, pod, icmpOf(v6), echo(v6, false, number))
			add("pings", arrives(a, ping), answered(a, icmpOf(v6), echo(v6, true, number)), dropped(z, ping), answered(a, icmpOf(v6), echo(v6, true, number)))
			unanswerable := ip(proxy, pod, icmpOf(v6), unreachablePort(v6, ip(pod, proxy, protoUDP, udp(worldPort, number, nil))))
			later := laterFragment(proxy, pod, protoUDP, make([]byte, 8))
			datagram = ip(proxy, pod, protoUDP, udp(number, worldPort, nil))
			add("errors and later fragments", arrives(a, datagram), arrives(z, unanswerable, later), answered(a, protoUDP, udp(worldPort, number, nil)))
		}
	}
	return list
}
