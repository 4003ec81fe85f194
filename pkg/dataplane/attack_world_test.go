// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// Tunnels of the attacked world. Each tenant has one over each family.
const (
	victimTunnel  = 11 // of the first tenant, over IPv4; over IPv6 one more
	othersTunnel  = 21 // the same of the second tenant
	unverified    = 31 // of the first tenant, whose far end has not shown itself
	missingTunnel = 41 // is on no node
)

var (
	othersProxy    = map[bool]string{false: "198.51.100.8", true: "2001:db8:7::8"}
	bridgeAddress  = map[bool]string{false: "198.51.100.1", true: "2001:db8:7::1"}
	othersNode     = map[bool]string{false: "192.0.2.3", true: "2001:db8:1::3"}
	neighbor       = map[bool]string{false: "192.0.2.9", true: "2001:db8:1::9"}
	routerAddress  = map[bool]string{false: "192.0.2.254", true: "2001:db8:1::254"}
	stranger       = map[bool]string{false: "203.0.113.9", true: "2001:db8:9::9"}
	strangerRouter = map[bool]string{false: "203.0.113.1", true: "2001:db8:9::1"}
)

// podBehind is the address of the pods of both tenants that are reached by the tunnel over
// one family.
func podBehind(outer6, v6 bool) string {
	host := map[bool]string{false: "5", true: "6"}[outer6]
	return map[bool]string{false: "10.244.1.", true: "fd00:244:1::"}[v6] + host
}

func victim(outer6 bool) uint32 {
	if outer6 {
		return victimTunnel + 1
	}
	return victimTunnel
}

// attacked is a gateway with the proxies of two tenants, their nodes on the same link, a pod on
// each at the same addresses, a neighbor on that link, and a stranger behind a router:
//
//	proxy, proxy2 ── gateway ── link ── node ── pod
//	                             ├───── node2 ── pod2
//	                             ├───── neighbor
//	                             └───── router ── stranger
type attacked struct {
	*testing.T
	hosts map[string]*netlab.Namespace
	sides map[string]*DataPlane
	macs  map[string]net.HardwareAddr // by host and interface
	wires map[string]*netlab.Wire
	// attempts counts what was tried.
	attempts int
}

func newAttacked(t *testing.T) *attacked {
	t.Helper()
	a := &attacked{T: t, hosts: map[string]*netlab.Namespace{}, sides: map[string]*DataPlane{}, macs: map[string]net.HardwareAddr{}, wires: map[string]*netlab.Wire{}}
	lab := labOf(t)
	for _, name := range []string{"gateway", "proxy", "proxy2", "proxyB", "proxy2B", "node", "node2", "pod", "pod2", "link", "neighbor", "router", "stranger"} {
		host, err := lab.Namespace(name)
		must(t, err)
		a.hosts[name] = host
	}
	h := a.hosts
	for _, name := range []string{"gateway", "node", "node2", "neighbor", "router"} {
		must(t, netlab.Veth(h[name], "eth0", h["link"], name, 1500))
	}
	must(t, errors.Join(
		netlab.Veth(h["gateway"], "proxy0", h["proxy"], "net1", 1500), netlab.Veth(h["gateway"], "proxy1", h["proxy2"], "net1", 1500),
		netlab.Veth(h["node"], "pod0", h["pod"], "eth0", 1500), netlab.Veth(h["node2"], "pod0", h["pod2"], "eth0", 1500),
		netlab.Veth(h["router"], "out", h["stranger"], "eth0", 1500),
		h["link"].Bridge("br0", 1500, "gateway", "node", "node2", "neighbor", "router"),
		h["gateway"].Bridge("br0", 1500, "proxy0", "proxy1"),
	))
	for _, proxy := range []string{"proxy0", "proxy1"} {
		// As the node program has it.
		link, err := h["gateway"].LinkByName(proxy)
		must(t, err)
		must(t, h["gateway"].LinkSetIsolated(link, true))
	}
	for _, router := range []string{"gateway", "node", "node2", "router"} {
		must(t, errors.Join(h[router].Forward(), h[router].Sysctl("ipv4.conf.all.rp_filter", "1")))
	}
	a.address()
	for name, interfaces := range map[string][]string{
		"gateway": {"eth0", "proxy0", "proxy1"}, "proxy": {"net1"}, "proxy2": {"net1"}, "node": {"eth0", "pod0"}, "node2": {"eth0"},
		"pod": {"eth0"}, "pod2": {"eth0"}, "neighbor": {"eth0"}, "router": {"eth0", "out"}, "stranger": {"eth0"},
	} {
		for _, i := range interfaces {
			a.macs[name+" "+i] = mac(t, h[name], i)
			wire, err := h[name].Wire(i)
			must(t, err)
			t.Cleanup(func() { wire.Close() })
			a.wires[name+" "+i] = wire
		}
	}
	a.program()
	return a
}

func (a *attacked) address() {
	h := a.hosts
	for _, v6 := range []bool{false, true} {
		wide, host, all := "/24", "/32", "0.0.0.0/0"
		if v6 {
			wide, host, all = "/64", "/128", "::/0"
		}
		must(a, errors.Join(
			h["gateway"].Addr("eth0", gatewayAddress[v6]+wide), h["node"].Addr("eth0", nodeAddress[v6]+wide),
			h["node2"].Addr("eth0", othersNode[v6]+wide), h["neighbor"].Addr("eth0", neighbor[v6]+wide),
			h["router"].Addr("eth0", routerAddress[v6]+wide), h["router"].Addr("out", strangerRouter[v6]+wide),
			h["stranger"].Addr("eth0", stranger[v6]+wide), h["stranger"].Route(all, strangerRouter[v6], ""),
			h["gateway"].Addr("br0", bridgeAddress[v6]+wide), h["gateway"].Route(all, routerAddress[v6], ""),
			h["router"].Route(netip.MustParsePrefix(proxyAddress[v6]+wide).Masked().String(), gatewayAddress[v6], ""),
		))
		for proxy, address := range map[string]string{"proxy": proxyAddress[v6], "proxy2": othersProxy[v6]} {
			must(a, errors.Join(h[proxy].Addr("net1", address+wide), h[proxy].Route(all, bridgeAddress[v6], "")))
		}
		for node, pod := range map[string]string{"node": "pod", "node2": "pod2"} {
			first := netip.MustParsePrefix(podAddress[v6] + wide).Masked().Addr().Next().String()
			must(a, errors.Join(h[node].Addr("pod0", first+host), h[node].Route(all, gatewayAddress[v6], "")))
			for _, outer6 := range []bool{false, true} {
				address := podBehind(outer6, v6)
				must(a, errors.Join(h[node].Route(address+host, "", "pod0"), h[pod].Addr("eth0", address+wide)))
			}
			must(a, h[pod].Route(all, first, "eth0"))
		}
	}
}

// program opens a data plane on the gateway and on both nodes.
func (a *attacked) program() {
	bpffs := netlab.BPFFS(a)
	for _, name := range []string{"gateway", "node", "node2"} {
		role := RoleClient
		if name == "gateway" {
			role = RoleGateway
		}
		must(a, a.hosts[name].Do(func() error {
			side, err := Open(Options{Role: role, PinPath: filepath.Join(bpffs, name), MaxFlows: 1024, MaxProxyFlows: 1024})
			if err != nil {
				return err
			}
			a.sides[name] = side
			return side.Underlay().Attach(index(a, a.hosts[name], "eth0"))
		}))
		a.Cleanup(func() { _ = a.sides[name].Close() })
	}
	for i, tenant := range []struct {
		node, proxy, inside string
		address, public     map[bool]string
		tunnel              uint32
	}{{"node", "proxy", "proxy0", nodeAddress, proxyAddress, victimTunnel}, {"node2", "proxy2", "proxy1", othersNode, othersProxy, othersTunnel}} {
		inside := index(a, a.hosts["gateway"], tenant.inside)
		sources := []netip.Addr{netip.MustParseAddr(tenant.public[false]), netip.MustParseAddr(tenant.public[true])}
		must(a, a.hosts["gateway"].Do(func() error {
			return a.sides["gateway"].Proxies().Put(Proxy{Interface: inside, PeerMAC: a.macs[tenant.proxy+" net1"], Addresses: sources})
		}))
		must(a, a.sides["gateway"].Openings().Put(Opening{inside, protoTCP, publicPort}, Opening{inside, protoUDP, publicPort}))
		for _, outer6 := range []bool{false, true} {
			id := tenant.tunnel
			if outer6 {
				id++
			}
			here, there, mtu := port(gatewayAddress[outer6], DefaultPort), port(tenant.address[outer6], DefaultPort), uint16(1500-overhead(outer6))
			must(a, a.sides["gateway"].Tunnels().Put(Tunnel{ID: id, Local: here, Remote: there, MTU: mtu}))
			must(a, a.sides[tenant.node].Tunnels().Put(Tunnel{ID: id, Local: there, Remote: here, MTU: mtu}))
			for _, v6 := range []bool{false, true} {
				for _, protocol := range []uint8{protoTCP, protoUDP} {
					endpoint := port(podBehind(outer6, v6), worldPort)
					must(a, a.sides["gateway"].Services().Put(Service{Tunnel: id, Endpoint: endpoint, Protocol: protocol, Interface: inside}))
					must(a, a.sides[tenant.node].Services().Put(Service{Tunnel: id, Endpoint: endpoint, Protocol: protocol, Sources: sources}))
				}
			}
		}
		if i == 0 {
			a.unfinished(inside)
		}
	}
}

// unfinished adds tunnels that carry nothing: one without a verified remote, and one that is
// on no node, each with an endpoint.
func (a *attacked) unfinished(inside int) {
	must(a, a.sides["gateway"].Tunnels().Put(
		Tunnel{ID: unverified, Local: port(gatewayAddress[false], DefaultPort), MTU: 1464},
		Tunnel{ID: unverified + 1, Local: port(gatewayAddress[true], DefaultPort), MTU: 1444}))
	for _, v6 := range []bool{false, true} {
		for _, id := range []uint32{unverified, missingTunnel} {
			must(a, a.sides["gateway"].Services().Put(Service{Tunnel: id, Endpoint: port(endpointOf(int(id), v6), worldPort), Protocol: protoTCP, Interface: inside}))
		}
	}
}

// attempt is one packet of an attacker's, and what happens to it.
type attempt struct {
	name string
	// at is the node whose program drops it for a reason. If there is no reason, no program
	// counts it, because the kernel drops it or no node is responsible for it.
	at   string
	drop DropReason
	// frame is sent; mark is in the payload, where there is one.
	frame func(mark []byte) []byte
	// reaches is the interface at which it arrives. It is empty for all but those attempts
	// that show that the others are sent as they should be.
	reaches string
}

// attack sends an attacker's attempts by an interface. Each is counted for its reason, at its
// node and nowhere else. None reaches a proxy or a pod, and of those that are dropped nothing
// leaves a node.
func (a *attacked) attack(t *testing.T, by string, attempts []attempt) {
	t.Helper()
	tried := map[string]bool{}
	for _, try := range attempts {
		a.attempts++
		if tried[try.name] {
			t.Errorf("two attempts have the name %q", try.name)
		}
		tried[try.name] = true
		mark := fmt.Appendf(nil, "<attempt %05d>", a.attempts)
		before := a.drops(t)
		a.seen(t, nil, by, false)
		must(t, a.wires[by].Send(try.frame(mark)))
		want := map[string]uint64{}
		if try.drop != "" {
			want[try.at+" "+string(try.drop)] = 1
		}
		got := map[string]uint64{}
		for range 200 {
			got = since(before, a.drops(t))
			if len(want) > 0 && maps.Equal(got, want) {
				break
			}
			if len(want) == 0 && try.reaches == "" {
				time.Sleep(2 * time.Millisecond)
				got = since(before, a.drops(t))
				break
			}
			if try.reaches != "" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if try.reaches != "" {
			a.arrives(t, try, mark, by)
			continue
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: counted %v, want %v", try.name, got, want)
		}
		if at := a.seen(t, mark, by, try.drop != ""); len(at) > 0 {
			t.Errorf("%s: it is seen at %v", try.name, at)
		}
	}
}

// arrives waits until an attempt that is to arrive has arrived there and nowhere else.
func (a *attacked) arrives(t *testing.T, try attempt, mark []byte, by string) {
	t.Helper()
	var at []string
	for range 500 {
		if at = append(at, a.seen(t, mark, by, false)...); strings.Contains(strings.Join(at, ","), try.reaches) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if len(at) != 1 || at[0] != try.reaches {
		t.Errorf("%s: it is seen at %v, want %s; drops: %v", try.name, at, try.reaches, a.drops(t))
	}
	// What the host there answers is not what this is about.
	time.Sleep(20 * time.Millisecond)
}

func (a *attacked) drops(t *testing.T) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	for name, side := range a.sides {
		drops, err := side.Drops()
		must(t, err)
		for reason, n := range drops {
			all[name+" "+string(reason)] = n
		}
	}
	return all
}

func since(before, now map[string]uint64) map[string]uint64 {
	for reason := range now {
		now[reason] -= before[reason]
	}
	maps.DeleteFunc(now, func(_ string, n uint64) bool { return n == 0 })
	return now
}

// seen returns where frames with a mark reached a proxy or a pod or, if left is set, left a node,
// except by the interface through which the attacker sends. Without a mark, it discards the
// frames recorded so far.
func (a *attacked) seen(t *testing.T, mark []byte, by string, left bool) (at []string) {
	t.Helper()
	for name, wire := range a.wires {
		frames, err := wire.Frames()
		must(t, err)
		host, device, _ := strings.Cut(name, " ")
		inside := strings.HasPrefix(host, "pod") || strings.HasPrefix(host, "proxy")
		leaving := left && device == "eth0" && (host == "gateway" || strings.HasPrefix(host, "node"))
		if mark == nil || name == by || !inside && !leaving {
			continue
		}
		for _, f := range frames {
			if f.Out == leaving && bytes.Contains(f.Bytes, mark) {
				at = append(at, name)
				break
			}
		}
	}
	return at
}
