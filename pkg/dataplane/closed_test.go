// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/test/netlab"
)

// impostor is a host next to a gateway that has the pod's addresses, as a pod of the
// gateway's own cluster may have them. Whatever leaves the gateway outside the tunnel
// reaches it.
func (w *world) impostor() {
	w.t.Helper()
	n, err := w.lab.Namespace("impostor")
	must(w.t, err)
	must(w.t, netlab.Veth(w.gateway, "impostor0", n, "eth0", w.mtu))
	for _, v6 := range []bool{false, true} {
		host, beside, here := "/32", "169.254.7.1/30", "169.254.7.2"
		all := "0.0.0.0/0"
		if v6 {
			host, beside, here, all = "/128", "fd00:7::1/126", "fd00:7::2", "::/0"
		}
		prefix := netip.MustParsePrefix(beside)
		must(w.t, errors.Join(
			w.gateway.Addr("impostor0", beside),
			n.Addr("eth0", fmt.Sprintf("%s/%d", here, prefix.Bits()), podAddress[v6]+host),
			n.Route(all, prefix.Addr().String(), "eth0"),
			w.gateway.Route(podAddress[v6]+host, here, "impostor0"),
		))
		listener, err := n.Listen(w.t.Context(), "tcp", port(podAddress[v6], worldPort).String())
		must(w.t, err)
		w.t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
	}
}

// leaks reports whether a connection of the proxy to the pod's address gets through.
func (w *world) leaks(v6 bool) bool {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 200*time.Millisecond)
	defer cancel()
	conn, err := w.proxy.Dial(ctx, "tcp", port(podAddress[v6], worldPort).String())
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// live opens a connection from the proxy to the pod.
func (w *world) live(v6 bool) (near, far net.Conn) {
	w.t.Helper()
	listener, err := w.pod.Listen(w.t.Context(), "tcp", port(podAddress[v6], worldPort).String())
	must(w.t, err)
	defer listener.Close()
	near, err = w.proxy.Dial(w.t.Context(), "tcp", listener.Addr().String())
	must(w.t, err)
	far, err = listener.Accept()
	must(w.t, err)
	w.t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func (w *world) worldServices() []Service {
	var all []Service
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []uint8{6, 17} {
			all = append(all, Service{Tunnel: worldTunnel, Endpoint: port(podAddress[v6], worldPort), Protocol: protocol, Interface: index(w.t, w.gateway, "proxy0")})
		}
	}
	return all
}

// dropped waits until a side has counted more drops for a reason than before.
func (w *world) dropped(side *DataPlane, reason DropReason, before uint64) {
	w.t.Helper()
	var now uint64
	for range 100 {
		drops, err := side.Drops()
		must(w.t, err)
		if now = drops[reason]; now > before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Errorf("%d drops are counted as %s, as before; all:%s", now, reason, w.drops())
}

func dropsOf(t *testing.T, side *DataPlane, reason DropReason) uint64 {
	t.Helper()
	drops, err := side.Drops()
	must(t, err)
	return drops[reason]
}

// Nothing that a proxy sends to an endpoint leaves a gateway outside a tunnel: not before
// the endpoint is programmed, not after it was removed under an open connection, not while
// no node program runs, and not after one has started again.
func TestGatewayFailsClosed(t *testing.T) {
	for _, hook := range []Hook{HookTCX, HookClsact} {
		t.Run(string(hook), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.gatewayOptions.Hook = hook
			w.impostor()
			w.open()
			for _, v6 := range []bool{false, true} {
				if !w.leaks(v6) {
					t.Fatal("the impostor can't be reached without programs: the test shows nothing")
				}
			}
			closed := func(when string, reason DropReason) {
				t.Helper()
				for _, v6 := range []bool{false, true} {
					before := dropsOf(t, w.gatewaySide, reason)
					if w.leaks(v6) {
						t.Errorf("%s, %s: a proxy reaches the pod's address outside a tunnel", when, family(v6))
					}
					w.dropped(w.gatewaySide, reason, before)
				}
			}
			proxy0 := Proxy{
				Interface: index(t, w.gateway, "proxy0"), PeerMAC: mac(t, w.proxy, "net1"),
				Addresses: []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])},
			}
			must(t, w.gateway.Do(func() error { return w.gatewaySide.Proxies().Put(proxy0) }))
			closed("before anything is programmed", DropNotAnAnswer)
			w.connect(false)
			near, _ := w.live(false)
			near6, _ := w.live(true)

			must(t, w.gatewaySide.Services().Delete(w.worldServices()...))
			before := dropsOf(t, w.gatewaySide, DropNotAnAnswer)
			for _, conn := range []net.Conn{near, near6} {
				_, err := conn.Write([]byte("for the tenant alone"))
				must(t, err)
			}
			w.dropped(w.gatewaySide, DropNotAnAnswer, before)
			closed("after the endpoint was removed", DropNotAnAnswer)

			must(t, w.gatewaySide.Services().Put(w.worldServices()...))
			must(t, w.gatewaySide.Tunnels().Delete(worldTunnel))
			closed("after the tunnel was removed", DropNoTunnel)
			must(t, w.gatewaySide.Services().Delete(w.worldServices()...))
			must(t, w.gatewaySide.Close())
			for _, v6 := range []bool{false, true} {
				if w.leaks(v6) {
					t.Errorf("%s: without a node program, a proxy reaches the pod's address outside a tunnel", family(v6))
				}
			}
			must(t, w.gateway.Do(func() (err error) { w.gatewaySide, err = Open(w.gatewayOptions); return err }))
			closed("after a restart", DropNotAnAnswer)
			must(t, w.gateway.Do(func() error { _, err := w.gatewaySide.Repair(); return err }))
		})
	}
}

// What an earlier version let pass, passes until everything is programmed, and then no
// longer, also after another restart.
func TestUpgradeToOpenings(t *testing.T) {
	w := newWorld(t, 1500)
	w.impostor()
	w.open()
	w.connect(false)
	// An earlier version had proxies and no openings.
	must(t, clearMap[bpf.KernelEndpoint](w.gatewaySide.objects.PublishedPorts))
	must(t, w.gatewaySide.Services().Delete(w.worldServices()...))
	must(t, w.gatewaySide.Close())
	reopen := func() {
		t.Helper()
		must(t, w.gateway.Do(func() (err error) { w.gatewaySide, err = Open(w.gatewayOptions); return err }))
	}
	reopen()
	if !w.leaks(false) {
		t.Error("an upgrade drops what passed before it, so it would drop answers")
	}
	w.connect(false)
	must(t, w.gatewaySide.Services().Delete(w.worldServices()...))
	must(t, w.gateway.Do(func() error { _, err := w.gatewaySide.Repair(); return err }))
	if w.leaks(false) {
		t.Error("once everything is programmed, a proxy still reaches what is no endpoint")
	}
	must(t, w.gatewaySide.Close())
	reopen()
	if w.leaks(false) {
		t.Error("after another restart, a proxy reaches what is no endpoint")
	}
}

// A proxy answers its visitors, whose number does not matter, and of a full map of
// openings its owner hears.
func TestOpenings(t *testing.T) {
	b := newBench(t)
	o := b.gatewaySide.Openings()
	want := []Opening{{b.proxy0, protoTCP, publicPort}, {b.proxy0, protoUDP, publicPort}}
	list, err := o.List()
	must(t, err)
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v", list, want)
	}
	for _, bad := range []Opening{{0, protoTCP, 1}, {b.proxy0, protoTCP, 0}, {b.proxy0, protoICMP, 1}} {
		if o.Put(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if b.nodeSide.Openings().Put(want[0]) == nil {
		t.Error("a client node takes an opening")
	}
	answer := step{program: "encap", in: ip(proxyAddress[false], "203.0.113.99", protoTCP, tcp(publicPort, 50000, flagACK, nil, nil)), verdict: pass}
	refused := answer
	refused.verdict, refused.drop = shot, DropNotAnAnswer
	b.check(t, RoleGateway, answer)
	must(t, o.Delete(want[0]))
	b.check(t, RoleGateway, refused)
	must(t, o.Put(want[0]))
	b.check(t, RoleGateway, answer)
	must(t, b.gateway.Do(func() error { return b.gatewaySide.Proxies().Delete(b.proxy0) }))
	b.check(t, RoleGateway, refused)
	if list, err = o.List(); err != nil || len(list) != 0 {
		t.Errorf("openings outlive their proxy: %v, %v", list, err)
	}
	many := make([]Opening, 0, 1<<16-1)
	for p := 1; p < 1<<16; p++ {
		many = append(many, Opening{b.proxy1, protoTCP, uint16(p)}, Opening{b.proxy1, protoUDP, uint16(p)})
	}
	if err := o.Put(many...); !errors.Is(err, ErrMapFull) {
		t.Errorf("more openings than there is room for: %v", err)
	}
	must(t, o.Delete(many...))
	must(t, o.Put(Opening{b.proxy1, protoTCP, 1}))
}

// receives reports whether a datagram reaches a socket within a moment.
func receives(t *testing.T, from, to net.Conn) bool {
	t.Helper()
	_, err := from.Write([]byte("for the proxy alone"))
	must(t, err)
	must(t, to.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	_, err = to.Read(make([]byte, 100))
	return err == nil
}

// What an endpoint sends to its proxy leaves a client node by the tunnel or not at all:
// also when its flow was forgotten, and when the endpoint was removed under it.
func TestClientFailsClosed(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			t.Run(family(v6)+" in "+family(outer6), func(t *testing.T) {
				w := newWorld(t, 1500)
				w.open()
				w.connect(outer6)
				proxy, pod := w.datagrams(v6, 0)
				if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
					t.Fatalf("nothing arrives; dropped:%s", w.drops())
				}
				carried := func() uint64 {
					counters, err := w.nodeSide.Tunnels().Counters(worldTunnel)
					must(t, err)
					return counters[worldTunnel].SentPackets
				}
				before := carried()
				must(t, clearMap[bpf.KernelFlow](w.nodeSide.objects.Flows))
				if !receives(t, pod, proxy) || carried() == before {
					t.Errorf("an answer of a forgotten flow does not come by the tunnel; dropped:%s", w.drops())
				}
				services := w.worldServices()
				for i := range services {
					services[i].Interface = 0
				}
				closed := func(when string) {
					t.Helper()
					before := dropsOf(t, w.nodeSide, DropNotRegistered)
					// Outside the tunnel it would reach the proxy by the gateway.
					if receives(t, pod, proxy) {
						t.Errorf("%s: what the endpoint sends arrives outside the tunnel", when)
					}
					w.dropped(w.nodeSide, DropNotRegistered, before)
				}
				must(t, w.nodeSide.Services().Delete(services...))
				closed("after the endpoint was removed")
				must(t, w.nodeSide.Close())
				must(t, w.node.Do(func() (err error) { w.nodeSide, err = Open(w.nodeOptions); return err }))
				closed("after a restart")
				must(t, w.node.Do(func() error { return w.nodeSide.Underlay().Attach(index(t, w.node, "eth0")) }))
				must(t, w.node.Do(func() error { _, err := w.nodeSide.Repair(); return err }))
				closed("after a repair")
				w.nodeSide.services.replies.now = func() time.Time { return time.Now().Add(closedFor) }
				must(t, w.node.Do(func() error { _, err := w.nodeSide.Repair(); return err }))
				if len(w.nodeSide.services.replies.table.want) != 0 {
					t.Errorf("after %v there still are %d entries", closedFor, len(w.nodeSide.services.replies.table.want))
				}
				w.connect(outer6)
				if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
					t.Errorf("put again, the endpoint does not answer; dropped:%s", w.drops())
				}
			})
		}
	}
}

// A version that had no map of replies is replaced without a gap.
func TestUpgradeToReplies(t *testing.T) {
	w := newWorld(t, 1500)
	w.open()
	w.connect(false)
	proxy, pod := w.datagrams(false, 0)
	must(t, clearMap[bpf.KernelFlow](w.nodeSide.objects.Replies))
	must(t, w.nodeSide.Close())
	must(t, w.node.Do(func() (err error) { w.nodeSide, err = Open(w.nodeOptions); return err }))
	before, err := w.nodeSide.Tunnels().Counters(worldTunnel)
	must(t, err)
	if !receives(t, pod, proxy) {
		t.Errorf("an answer does not arrive; dropped:%s", w.drops())
	}
	after, err := w.nodeSide.Tunnels().Counters(worldTunnel)
	must(t, err)
	if after[worldTunnel].SentPackets == before[worldTunnel].SentPackets {
		t.Error("an answer does not come by the tunnel")
	}
}

// Where several tunnels lead to an endpoint, an answer takes the one by which its flow
// came. What nobody remembers takes the one that was there first.
func TestSeveralTunnels(t *testing.T) {
	b := newBench(t)
	pod, proxy := endpointOf(tunnel4, false), proxyAddress[false]
	gateway, node := ends(false)
	gateway6, node6 := ends(true)
	second := Service{Tunnel: tunnel6, Endpoint: port(pod, worldPort), Protocol: protoUDP, Sources: []netip.Addr{netip.MustParseAddr(proxy)}}
	question := func(from uint16) []byte { return ip(proxy, pod, protoUDP, udp(from, worldPort, []byte("?"))) }
	answer := func(to uint16) []byte { return ip(pod, proxy, protoUDP, udp(worldPort, to, []byte("!"))) }
	by4 := func(to uint16) step {
		return step{program: "encap", in: answer(to), verdict: sent, out: outer(node, gateway, tunnel4, answer(to))}
	}
	by6 := func(to uint16) step {
		return step{program: "encap", in: answer(to), verdict: sent, out: outer(node6, gateway6, tunnel6, answer(to))}
	}
	come6 := func(program string, from uint16) step {
		verdict := pass
		if program == "xdp" {
			verdict = xdpPass
		}
		return step{program: program, in: outer(gateway6, node6, tunnel6, question(from)), verdict: verdict, out: question(from)}
	}
	come4 := func(from uint16) step {
		return step{program: "decap", in: outer(gateway, node, tunnel4, question(from)), verdict: pass, out: question(from)}
	}
	check := func(steps ...step) {
		t.Helper()
		for _, s := range steps {
			b.check(t, RoleClient, s)
		}
	}
	check(come4(1), by4(1))
	must(t, b.nodeSide.Services().Put(second))
	check(by4(1), come4(2), come6("decap", 3), come6("xdp", 4), by4(2), by6(3), by6(4), by4(5))
	must(t, clearMap[bpf.KernelFlow](b.nodeSide.objects.Flows))
	check(by4(3), come6("decap", 3), by6(3))
	first := second
	first.Tunnel = tunnel4
	must(t, b.nodeSide.Services().Delete(first))
	check(by6(1), by6(3))
	must(t, b.nodeSide.Services().Put(first))
	check(by6(1), come4(1), by4(1))
	must(t, b.nodeSide.Services().Delete(first, second))
	refused := by4(1)
	refused.verdict, refused.drop, refused.out = shot, DropNotRegistered, nil
	check(refused)
	n, err := b.nodeSide.Repair()
	must(t, err)
	if n != 0 {
		t.Errorf("%d things were mended", n)
	}
}
