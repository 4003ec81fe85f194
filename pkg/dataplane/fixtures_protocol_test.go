// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
)

// everywhere is what a packet between an endpoint and its proxy meets in both directions
// and at both ends, if it must not cross: it is dropped before a tunnel and behind one.
func everywhere(v6 bool, drop DropReason, packet func(from, to string) []byte) (gatewaySteps, clientSteps []step) {
	gateway, node := ends(false)
	pod, proxy := endpointOf(tunnel4, v6), proxyAddress[v6]
	request, answer := packet(proxy, pod), packet(pod, proxy)
	out := func(in []byte) step { return step{program: "encap", in: in, verdict: shot, drop: drop} }
	in := func(in []byte) []step {
		return []step{{program: "xdp", in: in, verdict: xdpPass}, {program: "decap", in: in, verdict: shot, drop: drop}}
	}
	gatewaySteps = append(in(outer(node, gateway, tunnel4, answer)), out(request))
	clientSteps = append(in(outer(gateway, node, tunnel4, request)), out(answer))
	return gatewaySteps, clientSteps
}

// protocolFixtures are about what no registered port of an address opens.
func (b *bench) protocolFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		both := func(name string, drop DropReason, packet func(from, to string) []byte) {
			up, down := everywhere(v6, drop, packet)
			list = append(list,
				fixture{family(v6) + ": " + name + ", gateway", RoleGateway, up},
				fixture{family(v6) + ": " + name + ", client", RoleClient, down})
		}
		for _, protocol := range []byte{2, 4, 33, 41, 46, 47, 50, 89, 94, 103, 112, 115, 132, 136, 137, 253, 255} {
			both(fmt.Sprintf("protocol %d", protocol), DropProtocol, func(from, to string) []byte {
				return ip(from, to, protocol, make([]byte, 40))
			})
		}
		// Errors of ICMP that hosts on a link tell each other, queries, and neighbor
		// discovery.
		kinds := []byte{4, 5, 9, 10, 13, 14, 15, 16, 17, 18, 30, 40, 42, 253}
		if v6 {
			kinds = []byte{0, 5, 100, 101, 127, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 143, 151, 155, 200}
		}
		for _, kind := range kinds {
			both(fmt.Sprintf("ICMP type %d", kind), DropProtocol, func(from, to string) []byte {
				return ip(from, to, icmpOf(v6), icmp(kind, 0, 0, ip(to, from, protoTCP, tcp(40000, worldPort, flagACK, nil, nil))))
			})
		}
		both("fragments of another protocol", DropProtocol, func(from, to string) []byte {
			if v6 {
				return ip6{first: 44, fragment: true, extensions: concat([]byte{47, 0}, be16(32), be32(5))}.packet(from, to, 47, make([]byte, 24))
			}
			return ip4{id: 5, flags: 4}.packet(from, to, 47, make([]byte, 24))
		})
		gateway, node := ends(false)
		pod, proxy := endpointOf(tunnel4, v6), proxyAddress[v6]
		fromProxy := ip(proxy, pod, icmpOf(v6), echo(v6, true, 3))
		fromPod := ip(pod, proxy, icmpOf(v6), echo(v6, false, 3))
		list = append(list,
			fixture{family(v6) + ": an answer to a ping that no endpoint sends", RoleGateway, []step{
				{program: "encap", in: fromProxy, verdict: shot, drop: DropProtocol},
				{program: "decap", in: outer(node, gateway, tunnel4, fromPod), verdict: shot, drop: DropProtocol}}},
			fixture{family(v6) + ": the same at a client", RoleClient, []step{
				{program: "decap", in: outer(gateway, node, tunnel4, fromProxy), verdict: shot, drop: DropProtocol}}},
		)
	}
	return list
}

// frameFixtures are about frames that are not for this host.
func (b *bench) frameFixtures() []fixture {
	var list []fixture
	broadcast, multicast := net.HardwareAddr{255, 255, 255, 255, 255, 255}, net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}
	stranger := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	for _, outer6 := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			id := tunnelOver(outer6)
			gateway, node := ends(outer6)
			pod, proxy := endpointOf(id, v6), proxyAddress[v6]
			request := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, nil))
			answer := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, nil))
			name := fmt.Sprintf("%s in %s: ", family(v6), family(outer6))
			var up, down []step
			for _, to := range []net.HardwareAddr{broadcast, multicast, stranger} {
				up = append(up, step{program: "decap", in: outer(node, gateway, uint32(id), answer), to: to, verdict: shot, drop: DropFrame})
				down = append(down, step{program: "decap", in: outer(gateway, node, uint32(id), request), to: to, verdict: shot, drop: DropFrame})
			}
			list = append(list,
				fixture{name + "frames for others, gateway", RoleGateway, up},
				fixture{name + "frames for others, client", RoleClient, down},
				fixture{name + "requests in broadcasts", RoleGateway, []step{
					{program: "encap", in: request, to: broadcast, verdict: shot, drop: DropFrame},
					{program: "encap", in: request, to: multicast, verdict: shot, drop: DropFrame},
				}})
		}
	}
	return list
}

// shortFixtures are about inner lengths that do not fit what they are of.
func (b *bench) shortFixtures() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		header := map[bool]int{false: 20, true: 40}[v6]
		both := func(name string, packet func(from, to string) []byte) {
			up, down := everywhere(v6, DropMalformed, packet)
			list = append(list,
				fixture{family(v6) + ": " + name + ", gateway", RoleGateway, up},
				fixture{family(v6) + ": " + name + ", client", RoleClient, down})
		}
		sized := func(packet []byte, length int) []byte {
			packet = slices.Clone(packet)
			if v6 {
				binary.BigEndian.PutUint16(packet[4:], uint16(length-40))
				return packet
			}
			binary.BigEndian.PutUint16(packet[2:], uint16(length))
			packet[10], packet[11] = 0, 0
			binary.BigEndian.PutUint16(packet[10:], ^fold(packet[:20], 0))
			return packet
		}
		portsOf := func(from string) (uint16, uint16) {
			if from == proxyAddress[v6] {
				return 40000, worldPort
			}
			return worldPort, 40000
		}
		for _, c := range []struct {
			protocol byte
			least    int
		}{{protoTCP, 20}, {protoUDP, 8}, {icmpOf(v6), 8}} {
			for length := header; length < header+c.least; length++ {
				both(fmt.Sprintf("protocol %d with a length of %d", c.protocol, length), func(from, to string) []byte {
					source, destination := portsOf(from)
					transport := udp(source, destination, make([]byte, 32))
					switch c.protocol {
					case protoTCP:
						transport = tcp(source, destination, flagACK, nil, make([]byte, 20))
					case icmpOf(v6):
						transport = echo(v6, from != proxyAddress[v6], 5)
					}
					return sized(ip(from, to, c.protocol, transport), length)
				})
			}
		}
		both("a TCP header of 16 bytes", func(from, to string) []byte {
			source, destination := portsOf(from)
			segment := tcp(source, destination, flagACK, nil, make([]byte, 20))
			segment[12] = 4 << 4
			return ip(from, to, protoTCP, segment)
		})
		both("a TCP header that is longer than its segment", func(from, to string) []byte {
			source, destination := portsOf(from)
			segment := tcp(source, destination, flagACK, nil, nil)
			segment[12] = 15 << 4
			return ip(from, to, protoTCP, segment)
		})
		for _, length := range []uint16{0, 7, 41, 65535} {
			both(fmt.Sprintf("a UDP length of %d in 40 bytes", length), func(from, to string) []byte {
				source, destination := portsOf(from)
				datagram := udp(source, destination, make([]byte, 32))
				binary.BigEndian.PutUint16(datagram[4:], length)
				return ip(from, to, protoUDP, datagram)
			})
		}
	}
	return list
}
