// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// least is the minimum number of attempts of all attackers together.
const least = 150

// Attackers at six places try to get packets to where they do not belong, in both families
// inside and outside. Every attempt is one frame in a network of real hosts.
func TestAttackers(t *testing.T) {
	a := newAttacked(t)
	for _, attacker := range []struct {
		name, by string
		attempts []attempt
	}{
		{"a host of the Internet", "stranger eth0", a.byStranger()},
		{"a spoofer on the path", "router eth0", a.bySpoofer()},
		{"a spoofer towards a client node", "router eth0", a.bySpooferToNode()},
		{"a neighbor on the link", "neighbor eth0", a.byNeighbor()},
		{"a tenant's client node", "node eth0", a.byClientNode()},
		{"a tenant's pod", "pod eth0", a.byPod()},
		{"a tenant's proxy", "proxy net1", a.byProxy()},
	} {
		t.Run(attacker.name, func(t *testing.T) { a.attack(t, attacker.by, attacker.attempts) })
	}
	t.Run("a spoofer that does not know the cookie", func(t *testing.T) {
		for _, outer6 := range []bool{false, true} {
			must(t, a.sides["gateway"].Tunnels().SetCookies(victim(outer6), cookiesOf(RoleGateway)))
			must(t, a.sides["node"].Tunnels().SetCookies(victim(outer6), cookiesOf(RoleClient)))
		}
		a.attack(t, "router eth0", a.bySpooferWithoutCookie())
	})
	t.Run("all of them after deletions", a.deleted)
	t.Logf("%d attempts", a.attempts)
	if a.attempts < least {
		t.Errorf("%d attempts, want at least %d", a.attempts, least)
	}
}

// frame makes one for an interface that is named by its host.
func (a *attacked) frame(from, to string, packet []byte) []byte {
	return ether(a.macs[to], a.macs[from], packet)
}

// tunneled makes the frame of an inner packet that a node sends to the gateway, or the other
// way, as seen on the gateway's link.
func (a *attacked) tunneled(from, to string, source, destination netip.AddrPort, id uint32, inner []byte) []byte {
	return a.frame(from, to, outer(source, destination, id, inner))
}

// segment is a plain TCP segment with a mark.
func segment(from, to string, source, destination uint16, mark []byte) []byte {
	return ip(from, to, protoTCP, tcp(source, destination, flagACK, nil, mark))
}

func datagramOf(from, to string, source, destination uint16, mark []byte) []byte {
	return ip(from, to, protoUDP, udp(source, destination, mark))
}

// combination names a pair of families.
func combination(v6, outer6 bool) string { return family(v6) + " in " + family(outer6) + ": " }

// eachFamily calls attempts for all four combinations.
func eachFamily(attempts func(outer6, v6 bool) []attempt) (all []attempt) {
	for _, outer6 := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			all = append(all, attempts(outer6, v6)...)
		}
	}
	return all
}

// byStranger are attempts of a host anywhere on the Internet, with its own address.
func (a *attacked) byStranger() (all []attempt) {
	for _, outer6 := range []bool{false, true} {
		own, gateway := port(stranger[outer6], DefaultPort), port(gatewayAddress[outer6], DefaultPort)
		over := "over " + family(outer6) + ": "
		reply := func(mark []byte) []byte {
			return segment(podBehind(outer6, false), proxyAddress[false], worldPort, 40000, mark)
		}
		send := func(name, at string, drop DropReason, packet func(mark []byte) []byte) {
			all = append(all, attempt{name: over + name, at: at, drop: drop, frame: func(mark []byte) []byte {
				return a.frame("stranger eth0", "router out", packet(mark))
			}})
		}
		header := func(word, id uint32) func([]byte) []byte {
			return func(mark []byte) []byte {
				return outerAs(own, gateway, 0, gueOf(own.Port(), gateway.Port(), word, id, reply(mark)))
			}
		}
		send("data of a tunnel that is another's", "gateway", DropWrongRemote, header(wordIPv4, victim(outer6)))
		send("data of the second tenant's tunnel", "gateway", DropWrongRemote, header(wordIPv4, victim(outer6)+10))
		send("data of a tunnel without a verified remote", "gateway", DropUnverified, header(wordIPv4, victim(outer6)+20))
		send("data of a tunnel over the other family", "gateway", DropWrongLocal, header(wordIPv4, victim(!outer6)))
		send("data of a tunnel that is not there", "gateway", DropUnknownTunnel, header(wordIPv4, 4242))
		send("the largest tunnel ID", "gateway", DropUnknownTunnel, header(wordIPv6, 0xffffffff))
		send("tunnel ID zero", "gateway", DropUnknownTunnel, header(wordIPv6, 0))
		send("control of a tunnel that is not there", "gateway", DropUnknownTunnel, header(wordControl, 4242))
		for name, word := range map[string]uint32{
			"GUE variant 1": 0x41048000, "GUE variant 3": 0xc1048000, "no group identifier": 0x01040000,
			"a longer header": 0x05048000, "a header without extensions": 0x00048000, "unknown flags": 0x0104ff00,
			"a private flag": 0x01048001, "control of another type": 0x21008000, "control as data": 0x21048000, "GRE inside": 0x012f8000, "ESP inside": 0x01328000,
		} {
			send(name, "gateway", DropBadHeader, header(word, victim(outer6)))
		}
		send("a scan with one byte", "gateway", DropBadHeader, func([]byte) []byte {
			return outerAs(own, gateway, 0, udp(own.Port(), gateway.Port(), []byte{0}))
		})
		send("a scan without a payload", "gateway", DropBadHeader, func([]byte) []byte {
			return outerAs(own, gateway, 0, udp(own.Port(), gateway.Port(), nil))
		})
		send("a GUE header that ends before the tunnel's ID", "gateway", DropBadHeader, func([]byte) []byte {
			return outerAs(own, gateway, 0, udp(own.Port(), gateway.Port(), be32(wordIPv4)))
		})
		send("data to a client node", "node", DropWrongRemote, func(mark []byte) []byte {
			return outer(own, port(nodeAddress[outer6], DefaultPort), victim(outer6), segment(proxyAddress[false], podBehind(outer6, false), 40000, worldPort, mark))
		})
		send("data of another tenant's tunnel to a client node", "node", DropUnknownTunnel, func(mark []byte) []byte {
			return outer(own, port(nodeAddress[outer6], DefaultPort), victim(outer6)+10, segment(proxyAddress[false], podBehind(outer6, false), 40000, worldPort, mark))
		})
		send("a visitor of a port that is not published", "gateway", DropNotAnAnswer, func([]byte) []byte {
			// The proxy refuses, and may not say so.
			return ip(stranger[outer6], proxyAddress[outer6], protoTCP, tcp(50000, 9999, flagSYN, nil, nil))
		})
		send("a packet to a pod's address", "", "", func(mark []byte) []byte {
			return segment(stranger[outer6], podBehind(false, outer6), 50000, worldPort, mark)
		})
		send("a packet with the last hop", "", "", func(mark []byte) []byte {
			packet := header(wordIPv4, victim(outer6))(mark)
			if outer6 {
				packet[7] = 1
				return packet
			}
			packet[8], packet[10], packet[11] = 1, 0, 0
			binary.BigEndian.PutUint16(packet[10:], ^fold(packet[:20], 0))
			return packet
		})
	}
	from, to := stranger[false], gatewayAddress[false]
	data := gueOf(DefaultPort, DefaultPort, wordIPv4, victimTunnel, make([]byte, 40))
	fragment6 := func(offset uint16) []byte { return concat([]byte{protoUDP, 0}, be16(offset), be32(9)) }
	raw := func(name string, drop DropReason, packet []byte) {
		at := "gateway"
		if drop == "" {
			at = ""
		}
		all = append(all, attempt{name: name, at: at, drop: drop, frame: func([]byte) []byte { return a.frame("stranger eth0", "router out", packet) }})
	}
	raw("outer options", DropOuterOptions, ip4{options: []byte{1, 1, 1, 0}}.packet(from, to, protoUDP, data))
	raw("an outer record of the route", DropOuterOptions, ip4{options: []byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}}.packet(from, to, protoUDP, data))
	raw("the first outer fragment", DropOuterFragment, ip4{flags: moreFragments, id: 9}.packet(from, to, protoUDP, data))
	raw("a later outer fragment", "", ip4{flags: 1, id: 9}.packet(from, to, protoUDP, data))
	raw("an outer fragment that overlaps", "", ip4{flags: 1 | moreFragments, id: 9}.packet(from, to, protoUDP, data))
	raw("the first outer IPv6 fragment", DropOuterFragment, ip6{first: 44, fragment: true, extensions: fragment6(1)}.packet(stranger[true], gatewayAddress[true], protoUDP, data))
	raw("an outer IPv6 packet that is a fragment by itself", DropOuterFragment, ip6{first: 44, fragment: true, extensions: fragment6(0)}.packet(stranger[true], gatewayAddress[true], protoUDP, data))
	raw("an outer IPv6 fragment that overlaps", "", ip6{first: 44, fragment: true, extensions: fragment6(8)}.packet(stranger[true], gatewayAddress[true], protoUDP, data))
	return all
}

// bySpoofer are attempts of a router on the path, which sends as the client node does, and
// so comes as far as to the rules for what is inside.
func (a *attacked) bySpoofer() (all []attempt) {
	return append(eachFamily(a.spoofedInside), a.spoofedOutside()...)
}

// spoofedInside are inner packets that a tunnel must not carry towards its gateway.
func (a *attacked) spoofedInside(outer6, v6 bool) (all []attempt) {
	gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
	pod, proxy, id := podBehind(outer6, v6), proxyAddress[v6], victim(outer6)
	send := func(name string, drop DropReason, inner func(mark []byte) []byte) {
		all = append(all, attempt{name: combination(v6, outer6) + name, at: "gateway", drop: drop, frame: func(mark []byte) []byte {
			return a.tunneled("router eth0", "gateway eth0", node, gateway, id, inner(mark))
		}})
	}
	all = append(all, attempt{name: combination(v6, outer6) + "a good packet, which nothing tells from the node's", reaches: "proxy net1", frame: func(mark []byte) []byte {
		return a.tunneled("router eth0", "gateway eth0", node, gateway, id, segment(pod, proxy, worldPort, 40000, mark))
	}})
	for _, s := range a.insideAttempts(v6, pod, proxy, othersProxy[v6], bridgeAddress[v6], false) {
		send(s.name, s.drop, s.inner)
	}
	return all
}

// insideAttempt is an inner packet that must not cross.
type insideAttempt struct {
	name  string
	drop  DropReason
	inner func(mark []byte) []byte
}

// insideAttempts are inner packets from an endpoint to its proxy, or the other way, that a
// tunnel must not carry. Next to is another's address at the receiver's side.
func (a *attacked) insideAttempts(v6 bool, from, to, beside, host string, toPod bool) []insideAttempt {
	source, destination := uint16(worldPort), uint16(40000)
	if toPod {
		source, destination = destination, source
	}
	icmps := icmpOf(v6)
	other := map[bool]string{false: "10.244.99.1", true: "fd00:99::1"}[v6]
	plain := func(source, destination uint16) func([]byte) []byte {
		return func(mark []byte) []byte { return segment(from, to, source, destination, mark) }
	}
	message := func(kind byte) func([]byte) []byte {
		return func(mark []byte) []byte { return ip(from, to, icmps, icmp(kind, 0, 0, concat(make([]byte, 16), mark))) }
	}
	protocol := func(number byte) func([]byte) []byte {
		return func(mark []byte) []byte { return ip(from, to, number, concat(make([]byte, 40), mark)) }
	}
	// Towards the pod the address that is checked first is the endpoint's, and that is the
	// receiver's.
	wrongReceiver, wrongSender := DropWrongPeer, DropNotRegistered
	if toPod {
		wrongReceiver, wrongSender = DropNotRegistered, DropWrongPeer
	}
	all := []insideAttempt{
		{"another sender", wrongSender, func(mark []byte) []byte { return segment(other, to, source, destination, mark) }},
		{"the receiver as its own sender", wrongSender, func(mark []byte) []byte { return segment(to, to, source, destination, mark) }},
		{"the sender as the receiver", wrongReceiver, func(mark []byte) []byte { return segment(from, from, source, destination, mark) }},
		{"another tenant's address", wrongReceiver, func(mark []byte) []byte { return segment(from, beside, source, destination, mark) }},
		{"the host's own address", wrongReceiver, func(mark []byte) []byte { return segment(from, host, source, destination, mark) }},
		{"an address that nobody has", wrongReceiver, func(mark []byte) []byte { return segment(from, other, source, destination, mark) }},
		{"a port that is not registered", DropNotRegistered, plain(source^1, destination^1)},
		{"port zero", DropNotRegistered, plain(0, 0)},
		{"IP in IP", DropProtocol, func(mark []byte) []byte { return ip(from, to, 4, segment("10.0.0.1", "10.0.0.2", 1, 2, mark)) }},
		{"IPv6 in IP", DropProtocol, func(mark []byte) []byte { return ip(from, to, 41, segment("fd00::1", "fd00::2", 1, 2, mark)) }},
		{"GRE", DropProtocol, protocol(47)}, {"ESP", DropProtocol, protocol(50)}, {"SCTP", DropProtocol, protocol(132)},
		{"IGMP", DropProtocol, protocol(2)}, {"OSPF", DropProtocol, protocol(89)}, {"VRRP", DropProtocol, protocol(112)}, {"UDP-Lite", DropProtocol, protocol(136)},
		{"an unknown protocol", DropProtocol, protocol(253)},
		{"the other family's ICMP", DropProtocol, protocol(map[bool]byte{false: 58, true: 1}[v6])},
		{"a datagram that is longer than its packet", DropMalformed, func(mark []byte) []byte {
			packet := datagramOf(from, to, source, destination, mark)
			packet[len(packet)-len(mark)-4] = 0xff
			return packet
		}},
		{"a TCP header that is too short", DropMalformed, func(mark []byte) []byte {
			packet := segment(from, to, source, destination, mark)
			packet[len(packet)-len(mark)-8] = 0x40
			return packet
		}},
		{"a transport that is cut off", DropMalformed, func([]byte) []byte { return ip(from, to, protoTCP, be16(source)) }},
		{"a packet that is longer than its datagram", DropMalformed, func(mark []byte) []byte {
			packet := segment(from, to, source, destination, mark)
			if v6 {
				packet[5] += 4
			} else {
				packet[3] += 4
			}
			return packet
		}},
		{"an error about nothing", DropMalformed, func([]byte) []byte {
			return ip(from, to, icmps, icmp(map[bool]byte{false: 3, true: 1}[v6], 0, 0, nil))
		}},
		{"an error about another's packet", DropICMPUnmatched, func(mark []byte) []byte {
			return ip(from, to, icmps, unreachablePort(v6, segment(beside, from, destination, source, mark)))
		}},
		{"an error about an error", DropICMPUnmatched, func(mark []byte) []byte {
			return ip(from, to, icmps, unreachablePort(v6, ip(to, from, icmps, unreachablePort(v6, segment(from, to, source, destination, mark)))))
		}},
		{"an error about GRE", DropICMPUnmatched, func(mark []byte) []byte {
			return ip(from, to, icmps, unreachablePort(v6, ip(to, from, 47, concat(make([]byte, 16), mark))))
		}},
		{"an error about a port that is not registered", DropNotRegistered, func(mark []byte) []byte {
			return ip(from, to, icmps, unreachablePort(v6, segment(to, from, destination^1, source^1, mark)))
		}},
		{"a fragment from another sender", wrongSender, func(mark []byte) []byte { return laterFragment(other, to, protoUDP, mark) }},
		{"a fragment of another protocol", DropProtocol, func(mark []byte) []byte { return laterFragment(from, to, 47, mark) }},
		{"a first fragment to a port that is not registered", DropNotRegistered, func(mark []byte) []byte {
			return firstFragment(from, to, udp(source^1, destination^1, mark))
		}},
		{"a first fragment without a transport", DropMalformed, func([]byte) []byte { return firstFragment(from, to, make([]byte, 4)) }},
	}
	if v6 {
		all = append(all, a.insideAttempts6(from, to, source, destination, message, toPod)...)
	} else {
		all = append(all, insideAttempts4(from, to, source, destination, message, toPod)...)
	}
	return all
}

func insideAttempts4(from, to string, source, destination uint16, message func(byte) func([]byte) []byte, toPod bool) []insideAttempt {
	echoes := map[bool]byte{false: 8, true: 0}[toPod]
	return []insideAttempt{
		{"a ping in the wrong direction", DropProtocol, message(echoes)},
		{"a redirect", DropProtocol, message(5)}, {"a source quench", DropProtocol, message(4)},
		{"a router's advertisement", DropProtocol, message(9)}, {"a router's solicitation", DropProtocol, message(10)},
		{"a timestamp", DropProtocol, message(13)}, {"a mask", DropProtocol, message(17)},
		{"a version of 5", DropMalformed, func(mark []byte) []byte { return changed(segment(from, to, source, destination, mark), 0, 0x55) }},
		{"a header of 16 bytes", DropMalformed, func(mark []byte) []byte { return changed(segment(from, to, source, destination, mark), 0, 0x44) }},
		{"a header that is longer than its packet", DropMalformed, func(mark []byte) []byte {
			return changed(ip(from, to, protoUDP, udp(source, destination, nil)), 0, 0x4f)
		}},
		{"a length of 19", DropMalformed, func(mark []byte) []byte {
			return ip4{flags: dontFragment, total: 19}.packet(from, to, protoTCP, tcp(source, destination, flagACK, nil, mark))
		}},
		{"no sender", DropNotRegistered, func(mark []byte) []byte {
			return segment("0.0.0.0", either(toPod, "10.244.99.1", to), source, destination, mark)
		}},
		{"loopback as the sender", either(toPod, DropWrongPeer, DropNotRegistered), func(mark []byte) []byte { return segment("127.0.0.1", to, source, destination, mark) }},
		{"a broadcast as the receiver", either(toPod, DropNotRegistered, DropWrongPeer), func(mark []byte) []byte { return segment(from, "255.255.255.255", source, destination, mark) }},
		{"a group as the receiver", either(toPod, DropNotRegistered, DropWrongPeer), func(mark []byte) []byte { return segment(from, "224.0.0.1", source, destination, mark) }},
		{"a source route to another", either(toPod, DropNotRegistered, DropWrongPeer), func(mark []byte) []byte {
			return ip4{options: []byte{131, 7, 4, 192, 0, 2, 1, 0}}.packet(from, "192.0.2.1", protoTCP, tcp(source, destination, flagACK, nil, mark))
		}},
	}
}

func (a *attacked) insideAttempts6(from, to string, source, destination uint16, message func(byte) func([]byte) []byte, toPod bool) []insideAttempt {
	echoes := map[bool]byte{false: 128, true: 129}[toPod]
	extended := func(first byte, chain []byte) func([]byte) []byte {
		return func(mark []byte) []byte {
			return ip6{first: first, fragment: true, extensions: chain}.packet(from, to, protoTCP, tcp(source, destination, flagACK, nil, mark))
		}
	}
	option := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	chain := func(n int) (all []byte) {
		for range n - 1 {
			all = append(all, option(60)...)
		}
		return append(all, option(protoTCP)...)
	}
	return []insideAttempt{
		{"a ping in the wrong direction", DropProtocol, message(echoes)},
		{"a redirect", DropProtocol, message(137)}, {"a neighbor's solicitation", DropProtocol, message(135)},
		{"a neighbor's advertisement", DropProtocol, message(136)}, {"a router's advertisement", DropProtocol, message(134)},
		{"a router's solicitation", DropProtocol, message(133)}, {"a multicast report", DropProtocol, message(143)},
		{"a node information query", DropProtocol, message(139)},
		{"a version of 5", DropMalformed, func(mark []byte) []byte { return changed(segment(from, to, source, destination, mark), 0, 0x50) }},
		{"no length", DropMalformed, func(mark []byte) []byte {
			return changed(changed(segment(from, to, source, destination, mark), 4, 0), 5, 0)
		}},
		{"eight extension headers", DropExtensionHeaders, extended(60, chain(8))},
		{"an extension header of 256 bytes", DropExtensionHeaders, extended(60, concat([]byte{protoTCP, 31}, make([]byte, 254)))},
		{"an authentication header", DropExtensionHeaders, extended(51, concat([]byte{protoTCP, 4}, make([]byte, 22)))},
		{"a mobility header", DropExtensionHeaders, extended(135, option(protoTCP))},
		{"an extension header that hides a protocol", DropProtocol, extended(0, option(47))},
		{"a routing header to a port that is not registered", DropNotRegistered, func(mark []byte) []byte {
			return ip6{first: 43, fragment: true, extensions: []byte{protoTCP, 0, 0, 0, 0, 0, 0, 0}}.packet(from, to, protoTCP, tcp(source^1, destination^1, flagACK, nil, mark))
		}},
		{"loopback as the sender", either(toPod, DropWrongPeer, DropNotRegistered), func(mark []byte) []byte { return segment("::1", to, source, destination, mark) }},
		{"a group as the receiver", either(toPod, DropNotRegistered, DropWrongPeer), func(mark []byte) []byte { return segment(from, "ff02::1", source, destination, mark) }},
		{"a link's address as the receiver", either(toPod, DropNotRegistered, DropWrongPeer), func(mark []byte) []byte { return segment(from, "fe80::1", source, destination, mark) }},
		{"an IPv4 address in IPv6", DropMalformed, func(mark []byte) []byte {
			mapped := "::ffff:" + either(toPod, proxyAddress[false], podBehind(false, false))
			return ip6{}.packet(mapped, to, protoTCP, tcp(source, destination, flagACK, nil, mark))
		}},
	}
}

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// changed sets a byte of a packet.
func changed(packet []byte, at int, to byte) []byte {
	packet = slices.Clone(packet)
	packet[at] = to
	return packet
}

func laterFragment(from, to string, protocol byte, mark []byte) []byte {
	if netip.MustParseAddr(from).Is4() {
		return ip4{id: 77, flags: 4}.packet(from, to, protocol, mark)
	}
	return ip6{first: 44, fragment: true, extensions: concat([]byte{protocol, 0}, be16(32), be32(77))}.packet(from, to, protocol, mark)
}

func firstFragment(from, to string, payload []byte) []byte {
	if netip.MustParseAddr(from).Is4() {
		return ip4{id: 78, flags: moreFragments}.packet(from, to, protoUDP, payload)
	}
	return ip6{first: 44, fragment: true, extensions: concat([]byte{protoUDP, 0}, be16(1), be32(78))}.packet(from, to, protoUDP, payload)
}

// spoofedOutside are outer packets with the node's address that are not the tunnel's.
func (a *attacked) spoofedOutside() (all []attempt) {
	for _, outer6 := range []bool{false, true} {
		gateway, node, node2 := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort), port(othersNode[outer6], DefaultPort)
		id := victim(outer6)
		reply := func(mark []byte) []byte {
			return segment(podBehind(outer6, false), proxyAddress[false], worldPort, 40000, mark)
		}
		over := "over " + family(outer6) + ": "
		send := func(name string, drop DropReason, packet func(mark []byte) []byte) {
			at := either(drop == "", "", "gateway")
			all = append(all, attempt{name: over + name, at: at, drop: drop, frame: func(mark []byte) []byte {
				return a.frame("router eth0", "gateway eth0", packet(mark))
			}})
		}
		as := func(from, to netip.AddrPort, id uint32) func([]byte) []byte {
			return func(mark []byte) []byte { return outer(from, to, id, reply(mark)) }
		}
		send("the second tenant's tunnel", DropWrongRemote, as(node, gateway, id+10))
		send("the second tenant's node", DropWrongRemote, as(node2, gateway, id))
		send("another port", DropWrongRemote, as(netip.AddrPortFrom(node.Addr(), 6081), gateway, id))
		send("port zero", DropWrongRemote, as(netip.AddrPortFrom(node.Addr(), 0), gateway, id))
		send("the gateway as the sender", DropWrongRemote, as(gateway, gateway, id))
		send("a tunnel without a verified remote", DropUnverified, as(node, gateway, unverified+id-victimTunnel))
		send("a tunnel that is gone", DropUnknownTunnel, as(node, gateway, missingTunnel))
		send("another address of the gateway", "", as(node, port(bridgeAddress[outer6], DefaultPort), id))
		send("a datagram that is longer than its packet", DropMalformed, func(mark []byte) []byte {
			packet := outer(node, gateway, id, reply(mark))
			return changed(packet, len(packet)-len(reply(mark))-11, 0xff)
		})
		send("a datagram that is shorter than its header", DropMalformed, func(mark []byte) []byte {
			packet := outer(node, gateway, id, reply(mark))
			return changed(packet, len(packet)-len(reply(mark))-11, 15)
		})
		send("the other family inside than the header says", DropMalformed, func(mark []byte) []byte {
			return outerAs(node, gateway, 0, gueOf(DefaultPort, DefaultPort, wordIPv6, id, reply(concat(mark, make([]byte, 40)))))
		})
		send("a tunnel in a tunnel", DropProtocol, func(mark []byte) []byte {
			inside := outer(port(podBehind(outer6, false), DefaultPort), port(proxyAddress[false], DefaultPort), id, reply(mark))
			inside[9] = 4
			return outer(node, gateway, id, inside)
		})
		send("congestion that the sender would not notice", DropECN, func(mark []byte) []byte {
			return outerAs(node, gateway, 3, gueOf(DefaultPort, DefaultPort, wordIPv4, id, reply(mark)))
		})
	}
	return all
}

// bySpooferToNode are attempts with the gateway's address towards a client node.
func (a *attacked) bySpooferToNode() []attempt {
	return eachFamily(func(outer6, v6 bool) (all []attempt) {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
		pod, proxy, id := podBehind(outer6, v6), proxyAddress[v6], victim(outer6)
		send := func(name string, drop DropReason, id uint32, inner func(mark []byte) []byte) {
			all = append(all, attempt{name: combination(v6, outer6) + name, at: "node", drop: drop, frame: func(mark []byte) []byte {
				return a.tunneled("router eth0", "node eth0", gateway, node, id, inner(mark))
			}})
		}
		for _, s := range a.insideAttempts(v6, proxy, pod, podBehind(!outer6, v6), nodeAddress[v6], true) {
			send(s.name, s.drop, id, s.inner)
		}
		request := func(mark []byte) []byte { return segment(proxy, pod, 40000, worldPort, mark) }
		send("another tenant's tunnel", DropUnknownTunnel, id+10, request)
		send("a tunnel over the other family", DropWrongLocal, victim(!outer6), request)
		send("another tenant's proxy", DropWrongPeer, id, func(mark []byte) []byte { return segment(othersProxy[v6], pod, 40000, worldPort, mark) })
		return all
	})
}

// bySpooferWithoutCookie are attempts with both ends' outer addresses in both directions, of one
// who does not see what the tunnel carries.
func (a *attacked) bySpooferWithoutCookie() []attempt {
	return eachFamily(func(outer6, v6 bool) (all []attempt) {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
		pod, proxy, id := podBehind(outer6, v6), proxyAddress[v6], victim(outer6)
		send := func(name, at string, drop DropReason, cookie []byte) {
			all = append(all, attempt{name: combination(v6, outer6) + name + ", to the " + at, at: at, drop: drop, reaches: either(drop == "", either(at == "gateway", "proxy net1", "pod eth0"), ""), frame: func(mark []byte) []byte {
				packet := outer(node, gateway, id, segment(pod, proxy, worldPort, 40000, mark))
				if at == "node" {
					packet = outer(gateway, node, id, segment(proxy, pod, 40000, worldPort, mark))
				}
				if cookie != nil {
					packet = withCookie(packet, [CookieSize]byte(cookie))
				}
				return a.frame("router eth0", at+" eth0", packet)
			}})
		}
		for at, c := range map[string]struct{ right, former, back [CookieSize]byte }{
			"gateway": {cookieUp, cookieUpOld, cookieDown}, "node": {cookieDown, cookieDownOld, cookieUp},
		} {
			almost := c.right
			almost[7] ^= 1
			send("no cookie", at, DropNoCookie, nil)
			send("a cookie of zeros", at, DropWrongCookie, make([]byte, CookieSize))
			send("the cookie of the other direction", at, DropWrongCookie, c.back[:])
			send("a cookie of which one bit is wrong", at, DropWrongCookie, almost[:])
			send("the cookie, which nothing tells from the far end's", at, "", c.right[:])
			send("the former key's cookie while it is valid", at, "", c.former[:])
		}
		return all
	})
}

// byNeighbor are attempts of a host on the gateway's own link, which can send any frame.
func (a *attacked) byNeighbor() (all []attempt) {
	broadcast, stray := net.HardwareAddr{255, 255, 255, 255, 255, 255}, net.HardwareAddr{2, 0, 0, 0, 0, 9}
	for _, outer6 := range []bool{false, true} {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
		id, pod := victim(outer6), podBehind(outer6, false)
		good := func(mark []byte) []byte {
			return outer(node, gateway, id, segment(pod, proxyAddress[false], worldPort, 40000, mark))
		}
		group := net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}
		if outer6 {
			group = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
		}
		over := "over " + family(outer6) + ": "
		send := func(name string, at string, drop DropReason, frame func(mark []byte) []byte) {
			all = append(all, attempt{name: over + name, at: at, drop: drop, frame: frame})
		}
		from := a.macs["neighbor eth0"]
		for name, to := range map[string]net.HardwareAddr{"a broadcast": broadcast, "a multicast": group, "a frame for nobody": stray} {
			send(name, "gateway", DropFrame, func(mark []byte) []byte { return ether(to, from, good(mark)) })
		}
		send("a frame for another VLAN", "", "", func(mark []byte) []byte { return tagged(ether(a.macs["gateway eth0"], from, good(mark)), 0x8100, 7) })
		send("a frame for a provider's VLAN", "", "", func(mark []byte) []byte { return tagged(ether(a.macs["gateway eth0"], from, good(mark)), 0x88a8, 7) })
		send("two tags", "", "", func(mark []byte) []byte {
			return tagged(tagged(ether(a.macs["gateway eth0"], from, good(mark)), 0x8100, 7), 0x8100, 8)
		})
		send("IP in a frame of another type", "", "", func(mark []byte) []byte {
			frame := ether(a.macs["gateway eth0"], from, good(mark))
			binary.BigEndian.PutUint16(frame[12:], 0x88b5)
			return frame
		})
		martians := []string{"127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.255", gatewayAddress[false], proxyAddress[false]}
		if outer6 {
			martians = []string{"::1", "::", "ff02::1", "fe80::1", "2001:db8:1::", gatewayAddress[true], proxyAddress[true]}
		}
		for _, martian := range martians {
			send(martian+" as the sender", "gateway", DropWrongRemote, func(mark []byte) []byte {
				return ether(a.macs["gateway eth0"], from, outer(port(martian, DefaultPort), gateway, id, segment(pod, proxyAddress[false], worldPort, 40000, mark)))
			})
			if martian == proxyAddress[outer6] {
				continue // an ordinary visitor
			}
			send(martian+" as the receiver", either(martian == gateway.Addr().String(), "gateway", ""), either(martian == gateway.Addr().String(), DropWrongRemote, ""), func(mark []byte) []byte {
				return ether(a.macs["gateway eth0"], from, outer(port(neighbor[outer6], DefaultPort), port(martian, DefaultPort), id, segment(pod, proxyAddress[false], worldPort, 40000, mark)))
			})
		}
		if outer6 {
			send("IPv4 addresses in IPv6", "", "", func(mark []byte) []byte {
				mapped := func(a map[bool]string) netip.AddrPort { return port("::ffff:"+a[false], DefaultPort) }
				return ether(a.macs["gateway eth0"], from, outer(mapped(nodeAddress), mapped(gatewayAddress), victim(false), segment(podBehind(false, false), proxyAddress[false], worldPort, 40000, mark)))
			})
		}
		send("its own address", "gateway", DropWrongRemote, func(mark []byte) []byte {
			return ether(a.macs["gateway eth0"], from, outer(port(neighbor[outer6], DefaultPort), gateway, id, segment(pod, proxyAddress[false], worldPort, 40000, mark)))
		})
		send("the gateway's address towards another tenant's node", "node2", DropUnknownTunnel, func(mark []byte) []byte {
			return ether(a.macs["node2 eth0"], from, outer(gateway, port(othersNode[outer6], DefaultPort), id, segment(proxyAddress[false], pod, 40000, worldPort, mark)))
		})
	}
	return all
}

// tagged puts a VLAN tag into a frame.
func tagged(frame []byte, kind, id uint16) []byte {
	return concat(frame[:12], be16(kind), be16(id), frame[12:])
}
