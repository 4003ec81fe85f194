// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// onOneCPU keeps this test's programs on one CPU, whose memory they share.
func onOneCPU(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &all))
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	must(t, unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		must(t, unix.SchedSetaffinity(0, &all))
		runtime.UnlockOSThread()
	})
}

// memorized is one way through a program, which a CPU remembers.
type memorized struct {
	name string
	role Role
	step step
}

// memorizedSteps are the ways of tunnels over both families.
func memorizedSteps(outer6 bool) []memorized {
	var list []memorized
	gateway, node := ends(outer6)
	id := tunnelOver(outer6)
	for _, v6 := range []bool{false, true} {
		proxy, pod := proxyAddress[v6], endpointOf(id, v6)
		request := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, []byte("request")))
		reply := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
		down, up := outer(gateway, node, uint32(id), request), outer(node, gateway, uint32(id), reply)
		in := family(v6) + " in " + family(outer6) + ", "
		list = append(list,
			memorized{in + "proxy to tunnel", RoleGateway, step{program: "encap", in: request, verdict: redirect, out: down}},
			memorized{in + "tunnel to proxy", RoleGateway, step{program: "decap", in: up, verdict: redirect, out: reply}},
			memorized{in + "tunnel to pod", RoleClient, step{program: "decap", in: down, verdict: pass, out: request}},
			memorized{in + "pod to tunnel", RoleClient, step{program: "encap", in: reply, verdict: sent, out: up}},
			memorized{in + "tunnel to proxy, XDP", RoleGateway, step{program: "xdp", in: up, verdict: xdpPass, out: reply}},
			memorized{in + "tunnel to pod, XDP", RoleClient, step{program: "xdp", in: down, verdict: xdpPass, out: request}},
		)
	}
	return list
}

// A packet that comes after a change was made is treated as the change says, however warm
// a CPU's memory is: nothing that was removed is used again.
func TestMemoryEndsWithAChange(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		id := uint32(tunnelOver(outer6))
		gateway, node := ends(outer6)
		local := map[Role]netip.AddrPort{RoleGateway: gateway, RoleClient: node}
		far := map[Role]netip.AddrPort{RoleGateway: node, RoleClient: gateway}
		elsewhere := netip.AddrPortFrom(netip.MustParseAddr(map[bool]string{false: "192.0.2.77", true: "2001:db8:1::77"}[outer6]), DefaultPort)
		services := func(d *DataPlane) []Service {
			all, err := d.Services().List()
			must(t, err)
			var mine []Service
			for _, s := range all {
				if s.Tunnel == id {
					mine = append(mine, s)
				}
			}
			return mine
		}
		// What each change does to packets into a tunnel and out of one.
		for name, c := range map[string]struct {
			change    func(b *bench, role Role, d *DataPlane) error
			into, out DropReason
		}{
			"the tunnel is deleted":     {func(_ *bench, _ Role, d *DataPlane) error { return d.Tunnels().Delete(id) }, DropNoTunnel, DropUnknownTunnel},
			"the endpoints are deleted": {func(_ *bench, _ Role, d *DataPlane) error { return d.Services().Delete(services(d)...) }, DropNotRegistered, DropNotRegistered},
			"the far end moves":         {func(_ *bench, _ Role, d *DataPlane) error { return d.Tunnels().SetRemote(id, elsewhere) }, "", DropWrongRemote},
			"the far end is lost":       {func(_ *bench, _ Role, d *DataPlane) error { return d.Tunnels().SetRemote(id, netip.AddrPort{}) }, DropNoRemote, DropUnverified},
			"cookies are required": {func(_ *bench, role Role, d *DataPlane) error {
				c := cookiesOf(role)
				c.Sent = false
				return d.Tunnels().SetCookies(id, c)
			}, "", DropNoCookie},
			"the proxy has other addresses": {func(b *bench, role Role, d *DataPlane) error {
				others := []netip.Addr{netip.MustParseAddr("198.51.100.99"), netip.MustParseAddr("2001:db8:7::99")}
				if role == RoleGateway {
					return b.gateway.Do(func() error {
						return d.Proxies().Put(Proxy{Interface: b.proxy0, PeerMAC: b.fixtureMAC["net1"], Addresses: others})
					})
				}
				all := services(d)
				for i := range all {
					all[i].Sources = others
				}
				return d.Services().Put(all...)
			}, DropWrongPeer, DropWrongPeer},
		} {
			t.Run(fmt.Sprintf("over %s, %s", family(outer6), name), func(t *testing.T) {
				b := newBench(t)
				onOneCPU(t)
				for role, address := range local {
					// Another tunnel ends there as well.
					side, _ := b.side(role)
					must(t, side.Tunnels().Put(Tunnel{ID: 70, Local: address, MTU: 1400}))
				}
				for _, m := range memorizedSteps(outer6) {
					side, _ := b.side(m.role)
					for range 3 {
						b.check(t, m.role, m.step)
					}
					before := services(side)
					must(t, c.change(b, m.role, side))
					after := m.step
					switch {
					case m.step.program == "xdp":
						after.out = nil
					case m.step.program == "decap":
						after.verdict, after.drop = shot, c.out
					case c.into == "":
						after = step{}
					case name == "the proxy has other addresses" && m.role == RoleClient:
						after.verdict, after.drop = shot, DropNotRegistered
					case name == "the endpoints are deleted" && m.role == RoleGateway:
						after.verdict, after.drop = shot, DropNotAnAnswer
					default:
						after.verdict, after.drop = shot, c.into
					}
					if after.program != "" {
						t.Run(m.name, func(t *testing.T) { b.check(t, m.role, after) })
					}
					// And as it was.
					sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])}
					must(t, side.Tunnels().Delete(id))
					must(t, side.Tunnels().Put(Tunnel{ID: id, Local: local[m.role], Remote: far[m.role], MTU: uint16(1500 - overhead(outer6))}))
					if m.role == RoleGateway {
						must(t, b.gateway.Do(func() error {
							return side.Proxies().Put(Proxy{Interface: b.proxy0, PeerMAC: b.fixtureMAC["net1"], Addresses: sources})
						}))
					} else {
						for i := range before {
							before[i].Sources = sources
						}
					}
					must(t, side.Services().Put(before...))
				}
			})
		}
	}
}

// Programs soon notice a change of a map of which they are not told: one that somebody else
// made, or one of a process that was killed before it told them.
func TestMemoryEndsByItself(t *testing.T) {
	b := newBench(t)
	onOneCPU(t)
	for _, m := range memorizedSteps(false) {
		if m.step.program == "xdp" {
			continue
		}
		side, _ := b.side(m.role)
		b.check(t, m.role, m.step)
		key := uint32(tunnel4)
		var value bpf.KernelTunnel
		must(t, side.objects.Tunnels.Lookup(key, &value))
		must(t, side.objects.Tunnels.Delete(key))
		// 10 ms, and what the clock is coarse.
		time.Sleep(50 * time.Millisecond)
		gone := m.step
		gone.verdict, gone.drop = shot, DropUnknownTunnel
		if gone.program == "encap" {
			gone.drop = DropNoTunnel
		}
		t.Run(m.name, func(t *testing.T) { b.check(t, m.role, gone) })
		must(t, side.objects.Tunnels.Put(key, value))
		b.check(t, m.role, m.step)
	}
}

// Whatever is remembered of some flows, others are treated as if nothing was: flows that
// share a place, come by turns, or differ in one field.
func TestMemoryOfOthers(t *testing.T) {
	b := newBench(t)
	onOneCPU(t)
	const many = 300
	gateway, node := ends(false)
	var tunnels, far []Tunnel
	var services, clients []Service
	sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])}
	for i := range many {
		id := uint32(1000 + i)
		tunnels = append(tunnels, Tunnel{ID: id, Local: gateway, Remote: node, MTU: 1464})
		far = append(far, Tunnel{ID: id, Local: node, Remote: gateway, MTU: 1464})
		endpoint := netip.AddrPortFrom(manyAddress(i/2), uint16(worldPort+i%2))
		services = append(services, Service{Tunnel: id, Endpoint: endpoint, Protocol: protoTCP, Interface: b.proxy0})
		clients = append(clients, Service{Tunnel: id, Endpoint: endpoint, Protocol: protoTCP, Sources: sources[:1]})
	}
	must(t, errors.Join(b.gatewaySide.Tunnels().Put(tunnels...), b.gatewaySide.Services().Put(services...),
		b.nodeSide.Tunnels().Put(far...), b.nodeSide.Services().Put(clients...)))
	random := rand.New(rand.NewPCG(5, 6))
	for range 4000 {
		i, wrong := random.IntN(many), random.IntN(6)
		id, pod := uint32(1000+i), services[i].Endpoint
		address, number, proxy, protocol := pod.Addr().String(), pod.Port(), proxyAddress[false], byte(protoTCP)
		switch wrong {
		case 1:
			number += 2
		case 2:
			protocol = protoUDP
		case 3:
			proxy = "198.51.100.8"
		case 4:
			address = manyAddress(many + i).String()
		}
		transport := func(from, to uint16) []byte {
			if protocol == protoUDP {
				return udp(from, to, []byte("data"))
			}
			return tcp(from, to, flagACK, nil, []byte("data"))
		}
		request := ip(proxy, address, protocol, transport(40000, number))
		reply := ip(address, proxy, protocol, transport(number, 40000))
		ok := wrong == 0 || wrong == 5
		steps := []struct {
			role Role
			step step
		}{
			{RoleGateway, step{program: "encap", in: request, verdict: redirect, out: outer(gateway, node, id, request)}},
			{RoleGateway, step{program: "decap", in: outer(node, gateway, id, reply), verdict: redirect, out: reply}},
			{RoleClient, step{program: "decap", in: outer(gateway, node, id, request), verdict: pass, out: request}},
			{RoleClient, step{program: "encap", in: reply, verdict: sent, out: outer(node, gateway, id, reply)}},
		}
		s := steps[random.IntN(len(steps))]
		if !ok {
			s.step.out, s.step.drop = nil, DropNotRegistered
			switch {
			case s.role == RoleClient && s.step.program == "encap":
				s.step.verdict, s.step.drop = pass, ""
			case s.step.program == "encap" && wrong != 3:
				s.step.verdict, s.step.drop = shot, DropNotAnAnswer
			default:
				s.step.verdict = shot
			}
			if wrong == 3 && s.step.drop != "" {
				s.step.drop = DropWrongPeer
			}
		}
		b.check(t, s.role, s.step)
		if t.Failed() {
			t.Fatalf("packet of endpoint %s, fault %d, program %s of role %d", pod, wrong, s.step.program, s.role)
		}
	}
}
