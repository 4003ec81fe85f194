// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// bare counts the packets that leave an interface outside tunnels with a text in them.
func (w *world) bare(host, device string, text []byte) (count func() int) {
	w.t.Helper()
	n := w.gateway
	if host == "node" {
		n = w.node
	}
	wire, err := n.Wire(device)
	must(w.t, err)
	w.t.Cleanup(func() { wire.Close() })
	total := 0
	return func() int {
		frames, err := wire.Frames()
		must(w.t, err)
		for _, f := range frames {
			if f.Out && bytes.Contains(f.Bytes, text) && !isTunneled(f.Bytes) {
				total++
			}
		}
		return total
	}
}

// isTunneled reports whether a frame is a tunnel's.
func isTunneled(frame []byte) bool {
	at := map[byte]int{4: 14 + 20, 6: 14 + 40}[frame[14]>>4]
	protocol := map[int]int{34: 23, 54: 20}[at]
	return at != 0 && len(frame) > at+8 && frame[protocol] == protoUDP && frame[at+2] == DefaultPort>>8 && frame[at+3] == DefaultPort&0xff
}

// repeat sends a text by a connection until it is stopped, and reports how often.
func repeat(t *testing.T, send func() error) (stop func() uint64) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var sent atomic.Uint64
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if send() == nil {
				sent.Add(1)
			}
			time.Sleep(200 * time.Microsecond)
		}
	}()
	return func() uint64 { cancel(); <-done; return sent.Load() }
}

// Every start and upgrade of the node program replaces the programs. During that, no packet
// of a proxy to a removed endpoint leaves the node, and no packet that such an endpoint still
// sends.
func TestRestartsLeakNothing(t *testing.T) {
	const restarts = 8
	for _, hook := range []Hook{HookTCX, HookClsact} {
		for _, v6 := range []bool{false, true} {
			t.Run(string(hook)+", "+family(v6), func(t *testing.T) {
				w := newWorld(t, 1500)
				w.gatewayOptions.Hook, w.nodeOptions.Hook = hook, hook
				w.impostor()
				w.open()
				w.connect(false)
				proxy, pod := w.datagrams(v6, 0)
				if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
					t.Fatalf("nothing arrives; dropped:%s", w.drops())
				}
				services := w.worldServices()
				must(t, w.gatewaySide.Services().Delete(services...))
				for i := range services {
					services[i].Interface = 0
				}
				must(t, w.nodeSide.Services().Delete(services...))
				text := []byte("<for the tenant alone>")
				fromGateway, fromNode := w.bare("gateway", "impostor0", text), w.bare("node", "eth0", text)
				stopProxy := repeat(t, func() error { _, err := proxy.Write(text); return err })
				stopPod := repeat(t, func() error { _, err := pod.Write(text); return err })
				for range restarts {
					must(t, errors.Join(w.gatewaySide.Close(), w.nodeSide.Close()))
					must(t, w.gateway.Do(func() (err error) { w.gatewaySide, err = Open(w.gatewayOptions); return err }))
					must(t, w.node.Do(func() (err error) { w.nodeSide, err = Open(w.nodeOptions); return err }))
					must(t, w.gateway.Do(func() error {
						return w.gatewaySide.Proxies().Put(Proxy{
							Interface: index(t, w.gateway, "proxy0"), PeerMAC: mac(t, w.proxy, "net1"),
							Addresses: []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])},
						})
					}))
					must(t, w.node.Do(func() error { return w.nodeSide.Underlay().Attach(index(t, w.node, "eth0")) }))
					must(t, w.gateway.Do(func() error { _, err := w.gatewaySide.Repair(); return err }))
					must(t, w.node.Do(func() error { _, err := w.nodeSide.Repair(); return err }))
				}
				sentByProxy, sentByPod := stopProxy(), stopPod()
				if n := fromGateway(); n > 0 || sentByProxy == 0 {
					t.Errorf("%d of %d packets of the proxy left the gateway outside a tunnel", n, sentByProxy)
				}
				if n := fromNode(); n > 0 || sentByPod == 0 {
					t.Errorf("%d of %d packets of the pod left the node outside a tunnel", n, sentByPod)
				}
				// All of them were counted.
				counted := dropsOf(t, w.gatewaySide, DropNotAnAnswer)
				if counted < sentByProxy {
					t.Errorf("the proxy sent %d packets, %d are counted", sentByProxy, counted)
				}
				if counted := dropsOf(t, w.nodeSide, DropNotRegistered); counted < sentByPod {
					t.Errorf("the pod sent %d packets, %d are counted", sentByPod, counted)
				}
				t.Logf("the proxy sent %d packets and the pod %d during %d restarts", sentByProxy, sentByPod, restarts)
			})
		}
	}
}

// fill puts entries into a map until there is no room, and returns what takes them out.
func fill(t *testing.T, m *ebpf.Map, keys func(i int) []byte) (empty func()) {
	t.Helper()
	value := make([]byte, m.ValueSize())
	var full [][]byte
	// The kernel counts the entries of a large map only roughly.
	for i, refused := 0, 0; refused < 200; i++ {
		key := keys(i)
		if err := m.Put(key, value); err != nil {
			refused++
			continue
		}
		full, refused = append(full, key), 0
		if i > int(m.MaxEntries())+10_000 {
			t.Fatalf("%v does not become full: %d of %d", m, len(full), m.MaxEntries())
		}
	}
	return func() {
		for _, key := range full {
			must(t, m.Delete(key))
		}
	}
}

// Where a map is full, its owner hears of it, and what does not fit is closed: nothing of it
// leaves outside a tunnel, and what was there continues.
func TestFullMapsLeakNothing(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(family(v6), func(t *testing.T) {
			w := newWorld(t, 1500)
			// Small maps are full soon.
			w.gatewayOptions.MaxTunnels, w.nodeOptions.MaxTunnels = 64, 64
			w.gatewayOptions.MaxServices, w.nodeOptions.MaxServices = 64, 64
			w.impostor()
			w.open()
			w.connect(false)
			proxy, pod := w.datagrams(v6, 0)
			proxy0, number := index(t, w.gateway, "proxy0"), uint16(worldPort)
			var other netip.AddrPort
			var request, answer Service
			// An endpoint that is removed leaves its entries for a while.
			next := func() {
				number++
				other = port(podAddress[v6], number)
				request = Service{Tunnel: worldTunnel, Endpoint: other, Protocol: protoUDP, Interface: proxy0}
				answer = Service{Tunnel: worldTunnel, Endpoint: other, Protocol: protoUDP, Sources: []netip.Addr{netip.MustParseAddr(proxyAddress[v6])}}
			}
			text := []byte("<for the tenant alone>")
			fromGateway, fromNode := w.bare("gateway", "impostor0", text), w.bare("node", "eth0", text)
			// A key that no service has: of an interface or a tunnel that is not there.
			strange := func(size uint32) func(int) []byte {
				return func(i int) []byte {
					key := make([]byte, size)
					copy(key, be32(uint32(1<<31+i)))
					return key
				}
			}
			for name, c := range map[string]struct {
				m   *ebpf.Map
				put func() error
			}{
				"services":        {w.gatewaySide.objects.Services, func() error { return w.gatewaySide.Services().Put(request) }},
				"policies":        {w.gatewaySide.objects.Policies, func() error { return w.gatewaySide.Services().Put(request) }},
				"client policies": {w.nodeSide.objects.Policies, func() error { return w.nodeSide.Services().Put(answer) }},
				"client replies":  {w.nodeSide.objects.Replies, func() error { return w.nodeSide.Services().Put(answer) }},
				"gateway tunnels": {w.gatewaySide.objects.Tunnels, func() error {
					return w.gatewaySide.Tunnels().Put(Tunnel{ID: 99, Local: port(gatewayAddress[false], DefaultPort), MTU: 1464})
				}},
				"gateway openings": {w.gatewaySide.objects.PublishedPorts, func() error { return w.gatewaySide.Openings().Put(Opening{proxy0, protoTCP, 7777}) }},
			} {
				next()
				empty := fill(t, c.m, strange(c.m.KeySize()))
				if err := c.put(); !errors.Is(err, ErrMapFull) {
					t.Errorf("%s: full, and its owner hears %v", name, err)
				}
				if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
					t.Errorf("%s: what was there does not go on; dropped:%s", name, w.drops())
				}
				conn, err := w.proxy.Dial(t.Context(), "udp", other.String())
				must(t, err)
				_, err = conn.Write(text)
				must(t, errors.Join(err, conn.Close()))
				empty()
				must(t, w.gatewaySide.Services().Delete(request))
				must(t, w.nodeSide.Services().Delete(answer))
				must(t, w.gatewaySide.Tunnels().Delete(99))
			}
			if n := fromGateway() + fromNode(); n > 0 {
				t.Errorf("%d packets left outside a tunnel", n)
			}
			// Repairs take out what is not of this world, and the rest still continues.
			must(t, w.gateway.Do(func() error { _, err := w.gatewaySide.Repair(); return err }))
			next()
			must(t, w.gatewaySide.Services().Put(request))
			must(t, w.nodeSide.Services().Put(answer))
			if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
				t.Errorf("nothing arrives; dropped:%s", w.drops())
			}
		})
	}
}
