// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"net"
)

// byClientNode are attempts of a tenant who owns the node at the far end of a tunnel, and
// sends into it what it likes.
func (a *attacked) byClientNode() []attempt {
	return eachFamily(func(outer6, v6 bool) (all []attempt) {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
		pod, proxy, id := podBehind(outer6, v6), proxyAddress[v6], victim(outer6)
		send := func(name string, drop DropReason, id uint32, inner func(mark []byte) []byte) {
			all = append(all, attempt{name: combination(v6, outer6) + name, at: "gateway", drop: drop, frame: func(mark []byte) []byte {
				return a.tunneled("node eth0", "gateway eth0", node, gateway, id, inner(mark))
			}})
		}
		plain := func(from, to string) func([]byte) []byte {
			return func(mark []byte) []byte { return segment(from, to, worldPort, 40000, mark) }
		}
		all = append(all, attempt{name: combination(v6, outer6) + "what it may send", reaches: "proxy net1", frame: func(mark []byte) []byte {
			return a.tunneled("node eth0", "gateway eth0", node, gateway, id, plain(pod, proxy)(mark))
		}})
		send("the second tenant's tunnel", DropWrongRemote, id+10, plain(pod, othersProxy[v6]))
		send("the second tenant's proxy", DropWrongPeer, id, plain(pod, othersProxy[v6]))
		send("a tunnel that it does not have", DropUnknownTunnel, 5151, plain(pod, proxy))
		send("the gateway's own address", DropWrongPeer, id, plain(pod, gatewayAddress[v6]))
		send("the gateway's address beside the proxies", DropWrongPeer, id, plain(pod, bridgeAddress[v6]))
		send("a service of the gateway", DropWrongPeer, id, func(mark []byte) []byte { return segment(pod, gatewayAddress[v6], worldPort, 6443, mark) })
		send("a visitor's address as the receiver", DropWrongPeer, id, plain(pod, stranger[v6]))
		send("back to its own pod", DropWrongPeer, id, plain(pod, pod))
		send("the proxy as the sender", DropNotRegistered, id, plain(proxy, proxy))
		send("a pod of its other tunnel", DropNotRegistered, id, plain(podBehind(!outer6, v6), proxy))
		send("an endpoint of its proxy that has no tunnel yet", DropNotRegistered, id, plain(endpointOf(unverified, v6), proxy))
		send("a visitor as the sender", DropNotRegistered, id, plain(stranger[v6], proxy))
		send("the published port as the sender's", DropNotRegistered, id, func(mark []byte) []byte { return segment(pod, proxy, publicPort, publicPort, mark) })
		send("a new connection from a port that is not registered", DropNotRegistered, id, func(mark []byte) []byte {
			return ip(pod, proxy, protoTCP, tcp(50000, publicPort, flagSYN, nil, mark))
		})
		return all
	})
}

// byPod are attempts of a pod that is a registered endpoint.
func (a *attacked) byPod() (all []attempt) {
	for _, v6 := range []bool{false, true} {
		pod, proxy, icmps := podBehind(false, v6), proxyAddress[v6], icmpOf(v6)
		other := map[bool]string{false: "10.244.99.1", true: "fd00:99::1"}[v6]
		inside := family(v6) + ": "
		send := func(name, at string, drop DropReason, packet func(mark []byte) []byte) {
			all = append(all, attempt{name: inside + name, at: at, drop: drop, frame: func(mark []byte) []byte {
				return a.frame("pod eth0", "node pod0", packet(mark))
			}})
		}
		for _, protocol := range []byte{4, 41, 47, 50, 132, 253} {
			send("protocol "+string('0'+protocol/100)+string('0'+protocol/10%10)+string('0'+protocol%10), "node", DropProtocol, func(mark []byte) []byte {
				return ip(pod, proxy, protocol, concat(make([]byte, 24), mark))
			})
		}
		kinds := map[string]byte{"a redirect": 5, "a timestamp": 13, "a router's advertisement": 9}
		if v6 {
			kinds = map[string]byte{"a redirect": 137, "a neighbor's advertisement": 136, "a router's advertisement": 134}
		}
		for name, kind := range kinds {
			if v6 {
				// A router does not forward these, whoever they are for.
				send(name, "", "", func(mark []byte) []byte {
					return ip6{hop: 1}.packet(pod, proxy, icmps, icmp(kind, 0, 0, concat(make([]byte, 16), mark)))
				})
				continue
			}
			send(name, "node", DropProtocol, func(mark []byte) []byte {
				return ip(pod, proxy, icmps, icmp(kind, 0, 0, concat(make([]byte, 16), mark)))
			})
		}
		send("an error about another's packet", "node", DropICMPUnmatched, func(mark []byte) []byte {
			return ip(pod, proxy, icmps, unreachablePort(v6, segment(other, pod, 1, 2, mark)))
		})
		send("a fragment without a first one", "node", DropFragmentUnmatched, func(mark []byte) []byte { return laterFragment(pod, proxy, protoUDP, mark) })
		send("a datagram that is longer than its packet", "node", DropMalformed, func(mark []byte) []byte {
			packet := datagramOf(pod, proxy, worldPort, 40000, mark)
			return changed(packet, len(packet)-len(mark)-4, 0xff)
		})
		send("a transport that is cut off", "node", DropMalformed, func([]byte) []byte { return ip(pod, proxy, protoTCP, be16(worldPort)) })
		send("the last hop", "", "", func(mark []byte) []byte {
			if v6 {
				return ip6{hop: 1}.packet(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, mark))
			}
			return ip4{ttl: 1, flags: dontFragment}.packet(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, mark))
		})
		send("a group as the sender", "", "", func(mark []byte) []byte {
			return segment(map[bool]string{false: "224.0.0.1", true: "ff02::1"}[v6], proxy, worldPort, 40000, mark)
		})
		if !v6 {
			// A strict reverse path filter; IPv6 has none.
			send("another pod's address", "", "", func(mark []byte) []byte { return segment(other, proxy, worldPort, 40000, mark) })
			send("the node's address", "", "", func(mark []byte) []byte { return segment(nodeAddress[v6], proxy, worldPort, 40000, mark) })
			send("a tunnel of its own with the node's address", "", "", func(mark []byte) []byte {
				return outer(port(nodeAddress[v6], DefaultPort), port(gatewayAddress[v6], DefaultPort), victimTunnel, segment(pod, proxy, worldPort, 40000, mark))
			})
		} else {
			send("an authentication header", "node", DropExtensionHeaders, func(mark []byte) []byte {
				return ip6{first: 51, extensions: concat([]byte{protoTCP, 4}, make([]byte, 22))}.packet(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, mark))
			})
		}
		all = append(all, attempt{name: inside + "an answer, which it may send", reaches: "proxy net1", frame: func(mark []byte) []byte {
			return a.frame("pod eth0", "node pod0", segment(pod, proxy, worldPort, 40000, mark))
		}})
	}
	return all
}

// byProxy are attempts of a tenant who has taken over its proxy.
func (a *attacked) byProxy() (all []attempt) {
	broadcast, group := net.HardwareAddr{255, 255, 255, 255, 255, 255}, net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}
	for _, v6 := range []bool{false, true} {
		proxy, pod, icmps := proxyAddress[v6], podBehind(false, v6), icmpOf(v6)
		inside := family(v6) + ": "
		raw := func(name string, drop DropReason, frame func(mark []byte) []byte) {
			all = append(all, attempt{name: inside + name, at: "gateway", drop: drop, frame: frame})
		}
		send := func(name string, drop DropReason, packet func(mark []byte) []byte) {
			raw(name, drop, func(mark []byte) []byte { return a.frame("proxy net1", "gateway proxy0", packet(mark)) })
		}
		to := func(from, to string, number uint16) func([]byte) []byte {
			return func(mark []byte) []byte { return ip(from, to, protoTCP, tcp(40000, number, flagSYN, nil, mark)) }
		}
		all = append(all, attempt{name: inside + "a request, which it may send", reaches: "pod eth0", frame: func(mark []byte) []byte {
			return a.frame("proxy net1", "gateway proxy0", segment(proxy, pod, 40000, worldPort, mark))
		}})
		for name, address := range map[string]string{
			"a host of the Internet": stranger[v6], "a neighbor": neighbor[v6], "the gateway": gatewayAddress[v6], "the gateway beside it": bridgeAddress[v6],
			"another proxy": othersProxy[v6], "a client node": nodeAddress[v6], "another tenant's node": othersNode[v6],
			"a pod that is no endpoint": map[bool]string{false: "10.244.1.99", true: "fd00:244:1::99"}[v6],
			"the cloud's metadata":      map[bool]string{false: "169.254.169.254", true: "fd00:ec2::254"}[v6],
			"loopback":                  map[bool]string{false: "127.0.0.1", true: "::1"}[v6],
			"a group":                   map[bool]string{false: "224.0.0.251", true: "ff05::2"}[v6],
		} {
			send("a connection to "+name, DropNotAnAnswer, to(proxy, address, 443))
			send("a datagram to "+name, DropNotAnAnswer, func(mark []byte) []byte { return datagramOf(proxy, address, 40000, 53, mark) })
		}
		for name, number := range map[string]uint16{"the API server": 6443, "the kubelet": 10250, "SSH": 22, "tunnels": DefaultPort} {
			send("the gateway's port of "+name, DropNotAnAnswer, to(proxy, gatewayAddress[v6], number))
		}
		send("a port of its pod that is not registered", DropNotAnAnswer, to(proxy, pod, 22))
		send("a reset from a port that is not published", DropNotAnAnswer, func(mark []byte) []byte { return segment(proxy, stranger[v6], 9999, 50000, mark) })
		send("a tunnel of its own", DropNotAnAnswer, func(mark []byte) []byte {
			return ip(proxy, gatewayAddress[v6], protoUDP, gueOf(DefaultPort, DefaultPort, wordIPv4, victimTunnel, segment("10.244.1.5", othersProxy[false], worldPort, 1, mark)))
		})
		send("another proxy's address as the sender, to its pod", DropWrongPeer, to(othersProxy[v6], pod, worldPort))
		send("another proxy's address as the sender, to a visitor", DropNotAnAnswer, func(mark []byte) []byte { return segment(othersProxy[v6], stranger[v6], publicPort, 50000, mark) })
		send("its pod's address as the sender", DropWrongPeer, to(pod, pod, worldPort))
		send("the gateway's address as the sender", DropNotAnAnswer, func(mark []byte) []byte { return segment(gatewayAddress[v6], stranger[v6], publicPort, 50000, mark) })
		send("an endpoint without a tunnel on this node", DropNoTunnel, to(proxy, endpointOf(missingTunnel, v6), worldPort))
		send("an endpoint whose node has not shown itself", DropNoRemote, to(proxy, endpointOf(unverified, v6), worldPort))
		for _, protocol := range []byte{4, 47, 50, 132} {
			name := map[byte]string{4: "IP in IP", 47: "GRE", 50: "ESP", 132: "SCTP"}[protocol]
			send(name+" to its pod", DropProtocol, func(mark []byte) []byte { return ip(proxy, pod, protocol, concat(make([]byte, 24), mark)) })
			send(name+" to a visitor", DropNotAnAnswer, func(mark []byte) []byte { return ip(proxy, stranger[v6], protocol, concat(make([]byte, 24), mark)) })
		}
		send("a ping of a visitor", DropNotAnAnswer, func(mark []byte) []byte { return ip(proxy, stranger[v6], icmps, append(echo(v6, false, 9), mark...)) })
		send("a ping's answer to its pod", DropProtocol, func(mark []byte) []byte { return ip(proxy, pod, icmps, append(echo(v6, true, 9), mark...)) })
		send("a redirect", DropNotAnAnswer, func(mark []byte) []byte {
			return ip(proxy, gatewayAddress[v6], icmps, icmp(map[bool]byte{false: 5, true: 137}[v6], 1, 0, segment(gatewayAddress[v6], stranger[v6], 1, 2, mark)))
		})
		send("a router's advertisement to a visitor", DropNotAnAnswer, func(mark []byte) []byte {
			return ip(proxy, map[bool]string{false: stranger[false], true: nodeAddress[true]}[v6], icmps, icmp(map[bool]byte{false: 9, true: 134}[v6], 0, 0, concat(make([]byte, 8), mark)))
		})
		send("an error about another's packet", DropICMPUnmatched, func(mark []byte) []byte {
			return ip(proxy, stranger[v6], icmps, unreachablePort(v6, segment(stranger[v6], othersProxy[v6], 50000, publicPort, mark)))
		})
		send("a fragment without a first one", DropFragmentUnmatched, func(mark []byte) []byte { return laterFragment(proxy, pod, protoUDP, mark) })
		send("a fragment to a visitor without a first one", DropFragmentUnmatched, func(mark []byte) []byte { return laterFragment(proxy, stranger[v6], protoUDP, mark) })
		send("a first fragment to a port that is not registered", DropNotAnAnswer, func(mark []byte) []byte { return firstFragment(proxy, pod, udp(40000, 22, mark)) })
		send("a datagram that is longer than its packet", DropMalformed, func(mark []byte) []byte {
			packet := datagramOf(proxy, pod, 40000, worldPort, mark)
			return changed(packet, len(packet)-len(mark)-4, 0xff)
		})
		send("a version of 5", DropMalformed, func(mark []byte) []byte { return forcedFamily(segment(proxy, pod, 40000, worldPort, mark), v6, 5) })
		// Frames.
		raw("a broadcast", DropFrame, func(mark []byte) []byte {
			return ether(broadcast, a.macs["proxy net1"], segment(proxy, pod, 40000, worldPort, mark))
		})
		raw("a multicast", DropFrame, func(mark []byte) []byte {
			return ether(group, a.macs["proxy net1"], segment(proxy, pod, 40000, worldPort, mark))
		})
		raw("a VLAN tag", DropFrame, func(mark []byte) []byte {
			return tagged(a.frame("proxy net1", "gateway proxy0", segment(proxy, pod, 40000, worldPort, mark)), 0x8100, 7)
		})
		raw("a frame of another type", DropFrame, func(mark []byte) []byte {
			frame := a.frame("proxy net1", "gateway proxy0", segment(proxy, pod, 40000, worldPort, mark))
			binary.BigEndian.PutUint16(frame[12:], 0x88cc)
			return frame
		})
		raw("a pause frame", DropFrame, func(mark []byte) []byte {
			frame := ether(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 1}, a.macs["proxy net1"], concat(make([]byte, 46), mark))
			binary.BigEndian.PutUint16(frame[12:], 0x8808)
			return frame
		})
		all = append(all, a.besideAttempts(v6)...)
		raw("another proxy's hardware address", DropNotAnAnswer, func(mark []byte) []byte {
			return a.frame("proxy net1", "proxy2 net1", ip(proxy, othersProxy[v6], protoTCP, tcp(40000, publicPort, flagSYN, nil, mark)))
		})
	}
	return all
}

// forcedFamily sets the version of a packet, whose frame keeps saying what it was.
func forcedFamily(packet []byte, v6 bool, version byte) []byte {
	if v6 {
		// A frame is made by the version, and only 6 is IPv6.
		return changed(changed(packet, 4, 0xff), 5, 0xff)
	}
	return changed(packet, 0, version<<4|packet[0]&15)
}

// besideAttempts are what a proxy needs to speak with its host, sent to the proxy next to it.
// The programs let it pass; the bridge keeps it from there.
func (a *attacked) besideAttempts(v6 bool) []attempt {
	proxy, other := proxyAddress[v6], othersProxy[v6]
	send := func(name string, frame func(mark []byte) []byte) attempt {
		return attempt{name: family(v6) + ": " + name, frame: frame}
	}
	if !v6 {
		arp := func(to net.HardwareAddr) func([]byte) []byte {
			return func(mark []byte) []byte {
				from := a.macs["proxy net1"]
				frame := ether(to, from, concat(be16(1), be16(0x0800), []byte{6, 4}, be16(2), from, ipOf(bridgeAddress[false]), a.macs["proxy2 net1"], ipOf(other), mark))
				binary.BigEndian.PutUint16(frame[12:], 0x0806)
				return frame
			}
		}
		return []attempt{
			send("an ARP answer in the gateway's name to the proxy beside it", arp(a.macs["proxy2 net1"])),
			send("the same to all", arp(net.HardwareAddr{255, 255, 255, 255, 255, 255})),
		}
	}
	message := func(kind byte, to string, mac net.HardwareAddr) func([]byte) []byte {
		return func(mark []byte) []byte {
			return ether(mac, a.macs["proxy net1"], ip6{hop: 255}.packet(proxy, to, protoICMPv6, icmp(kind, 0, 0, concat(make([]byte, 16), mark))))
		}
	}
	group := net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	return []attempt{
		send("a router's advertisement to all", message(134, "ff02::1", group)),
		send("a router's advertisement to the proxy beside it", message(134, "ff02::1", a.macs["proxy2 net1"])),
		send("a neighbor's advertisement to the proxy beside it", message(136, "fe80::9", a.macs["proxy2 net1"])),
	}
}

func ipOf(address string) []byte { return net.ParseIP(address).To4() }
