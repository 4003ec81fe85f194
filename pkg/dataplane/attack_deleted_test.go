// SPDX-License-Identifier: Apache-2.0

package dataplane

import "testing"

// deleted has attackers try what worked until an endpoint, a tunnel or a proxy was deleted.
func (a *attacked) deleted(t *testing.T) {
	gatewaySide, nodeSide := a.sides["gateway"], a.sides["node"]
	proxy0 := index(t, a.hosts["gateway"], "proxy0")
	for _, outer6 := range []bool{false, true} {
		must(t, gatewaySide.Tunnels().SetCookies(victim(outer6), Cookies{}))
		must(t, nodeSide.Tunnels().SetCookies(victim(outer6), Cookies{}))
	}
	after := func(name string, attempts func(outer6, v6 bool) []attempt) {
		by := map[string][]attempt{}
		for _, try := range eachFamily(attempts) {
			by[try.reaches] = append(by[try.reaches], attempt{name: "after " + name + ", " + try.name, at: try.at, drop: try.drop, frame: try.frame})
		}
		for from, tries := range by {
			a.attack(t, from, tries)
		}
	}
	spoofed := func(outer6, v6 bool, up, down DropReason) []attempt {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
		pod, proxy, id := podBehind(outer6, v6), proxyAddress[v6], victim(outer6)
		return []attempt{
			{combination(v6, outer6) + "a reply out of the tunnel", "gateway", up, func(mark []byte) []byte {
				return a.tunneled("router eth0", "gateway eth0", node, gateway, id, segment(pod, proxy, worldPort, 40000, mark))
			}, "router eth0"},
			// Where a node's last tunnel ended, its port is an ordinary one.
			{combination(v6, outer6) + "a request out of the tunnel", either(down == "", "", "node"), down, func(mark []byte) []byte {
				return a.tunneled("router eth0", "node eth0", gateway, node, id, segment(proxy, pod, 40000, worldPort, mark))
			}, "router eth0"},
		}
	}
	inside := func(outer6, v6 bool, request, answer DropReason) []attempt {
		pod, proxy := podBehind(outer6, v6), proxyAddress[v6]
		return []attempt{
			{combination(v6, outer6) + "a request of the proxy", "gateway", request, func(mark []byte) []byte {
				return a.frame("proxy net1", "gateway proxy0", segment(proxy, pod, 40000, worldPort, mark))
			}, "proxy net1"},
			{combination(v6, outer6) + "an answer of the pod", "node", answer, func(mark []byte) []byte {
				return a.frame("pod eth0", "node pod0", segment(pod, proxy, worldPort, 40000, mark))
			}, "pod eth0"},
		}
	}
	services := func(outer6 bool, ifindex int) (all []Service) {
		for _, v6 := range []bool{false, true} {
			for _, protocol := range []uint8{protoTCP, protoUDP} {
				all = append(all, Service{Tunnel: victim(outer6), Endpoint: port(podBehind(outer6, v6), worldPort), Protocol: protocol, Interface: ifindex})
			}
		}
		return all
	}
	// The endpoints of the tunnel over IPv4, and the tunnel over IPv6 with its endpoints left.
	must(t, gatewaySide.Services().Delete(services(false, proxy0)...))
	must(t, nodeSide.Services().Delete(services(false, 0)...))
	must(t, gatewaySide.Tunnels().Delete(victim(true)))
	must(t, nodeSide.Tunnels().Delete(victim(true)))
	after("its endpoint or tunnel", func(outer6, v6 bool) []attempt {
		if outer6 {
			return append(spoofed(true, v6, DropUnknownTunnel, ""), inside(true, v6, DropNoTunnel, DropNoTunnel)...)
		}
		return append(spoofed(false, v6, DropNotRegistered, DropNotRegistered), inside(false, v6, DropNotAnAnswer, DropNotRegistered)...)
	})
	// Then the tunnel over IPv4 as well, and the endpoints of the other.
	must(t, gatewaySide.Tunnels().Delete(victim(false)))
	must(t, nodeSide.Tunnels().Delete(victim(false)))
	must(t, gatewaySide.Services().Delete(services(true, proxy0)...))
	must(t, nodeSide.Services().Delete(services(true, 0)...))
	after("both", func(outer6, v6 bool) []attempt {
		return append(spoofed(outer6, v6, DropUnknownTunnel, ""), inside(outer6, v6, DropNotAnAnswer, DropNotRegistered)...)
	})
	// A proxy takes its endpoints with it. The second tenant's continue.
	must(t, a.hosts["gateway"].Do(func() error { return gatewaySide.Proxies().Delete(index(t, a.hosts["gateway"], "proxy1")) }))
	after("its proxy", func(outer6, v6 bool) []attempt {
		gateway, node := port(gatewayAddress[outer6], DefaultPort), port(othersNode[outer6], DefaultPort)
		return []attempt{{combination(v6, outer6) + "a reply out of the tunnel", "gateway", DropNotRegistered, func(mark []byte) []byte {
			return a.tunneled("router eth0", "gateway eth0", node, gateway, victim(outer6)+10, segment(podBehind(outer6, v6), othersProxy[v6], worldPort, 40000, mark))
		}, "router eth0"}}
	})
}
