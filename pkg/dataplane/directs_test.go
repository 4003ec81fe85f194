// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/acnodal/epic/bpf"
)

// A direct endpoint is reached by the node's routes, at its protocol and port alone. It is
// closed at once when it is removed, also under an open connection, and stays as it is while
// the program is replaced.
func TestDirect(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(family(v6), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.impostor() // The host next to the gateway is the endpoint here.
			w.open()
			proxy0 := index(t, w.gateway, "proxy0")
			must(t, w.gateway.Do(func() error {
				return w.gatewaySide.Proxies().Put(Proxy{Interface: proxy0, PeerMAC: mac(t, w.proxy, "net1"), Addresses: []netip.Addr{
					netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true]),
				}})
			}))
			if w.leaks(v6) {
				t.Fatal("it is reached before it is programmed")
			}
			open := Direct{proxy0, port(podAddress[v6], worldPort), protoTCP}
			must(t, w.gatewaySide.Directs().Put(open))
			if !w.leaks(v6) {
				t.Fatalf("it is not reached; dropped:%s", w.drops())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for _, network := range []string{"tcp", "udp"} {
				before := dropsOf(t, w.gatewaySide, DropNotAnAnswer)
				to := port(podAddress[v6], worldPort+1)
				if network == "udp" {
					to = port(podAddress[v6], worldPort)
				}
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				if conn, err := w.proxy.Dial(short, network, to.String()); err == nil {
					_, _ = conn.Write([]byte("question"))
					conn.Close()
				}
				cancel()
				w.dropped(w.gatewaySide, DropNotAnAnswer, before)
			}
			live, err := w.proxy.Dial(ctx, "tcp", open.Endpoint.String())
			must(t, err)
			defer live.Close()

			must(t, w.gatewaySide.Close())
			if !w.leaks(v6) {
				t.Error("it is not reached without a node program")
			}
			must(t, w.gateway.Do(func() (err error) { w.gatewaySide, err = Open(w.gatewayOptions); return err }))
			if !w.leaks(v6) {
				t.Error("it is not reached after a restart")
			}
			before := dropsOf(t, w.gatewaySide, DropNotAnAnswer)
			must(t, w.gatewaySide.Directs().Delete(open))
			_, _ = live.Write([]byte("for the endpoint alone"))
			w.dropped(w.gatewaySide, DropNotAnAnswer, before)
			if w.leaks(v6) {
				t.Error("it is reached after it was removed")
			}
			must(t, w.gatewaySide.Directs().Put(open))
			w.connect(false)
			before = dropsOf(t, w.gatewaySide, DropNotRegistered)
			must(t, w.gatewaySide.Services().Delete(Service{Tunnel: worldTunnel, Endpoint: open.Endpoint, Protocol: protoTCP, Interface: proxy0}))
			if w.leaks(v6) {
				t.Error("it is reached outside the tunnel that its address has")
			}
			w.dropped(w.gatewaySide, DropNotRegistered, before)
		})
	}
}

// A version that knew no direct endpoints, and let all pass, is replaced without a gap:
// theirs pass until they are programmed, and from then on because they are.
func TestUpgradeToDirects(t *testing.T) {
	w := newWorld(t, 1500)
	w.impostor()
	w.open()
	w.connect(false)
	must(t, clearMap[bpf.KernelEndpoint](w.gatewaySide.objects.PublishedPorts))
	must(t, w.gatewaySide.Services().Delete(w.worldServices()...))
	must(t, w.gatewaySide.Close())
	must(t, w.gateway.Do(func() (err error) { w.gatewaySide, err = Open(w.gatewayOptions); return err }))
	reached := func(when string) {
		t.Helper()
		if !w.leaks(false) {
			t.Errorf("%s the endpoint is not reached; dropped:%s", when, w.drops())
		}
	}
	reached("before anything is programmed")
	proxy0 := index(t, w.gateway, "proxy0")
	must(t, w.gateway.Do(func() error {
		return w.gatewaySide.Proxies().Put(Proxy{Interface: proxy0, PeerMAC: mac(t, w.proxy, "net1"), Addresses: []netip.Addr{
			netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true]),
		}})
	}))
	must(t, w.gatewaySide.Directs().Put(Direct{proxy0, port(podAddress[false], worldPort), protoTCP}))
	reached("while programming goes on")
	must(t, w.gateway.Do(func() error { _, err := w.gatewaySide.Repair(); return err }))
	reached("once everything is programmed")
	if w.leaks(true) {
		t.Error("another address is reached")
	}
}

// Direct endpoints are checked, listed, and go with their proxy and with a repair after a
// start that did not put them.
func TestDirectsTable(t *testing.T) {
	b := newBench(t)
	d := b.gatewaySide.Directs()
	list, err := d.List()
	must(t, err)
	if len(list) != 12 {
		t.Errorf("there are %v", list)
	}
	fine := port("203.0.113.77", 80)
	for _, bad := range []Direct{
		{0, fine, protoTCP}, {b.proxy0, port("203.0.113.77", 0), protoTCP}, {b.proxy0, fine, protoICMP}, {b.proxy0, netip.AddrPort{}, protoTCP},
		{b.proxy0, port("127.0.0.1", 80), protoTCP}, {b.proxy0, port("::1", 80), protoTCP}, {b.proxy0, port("169.254.169.254", 80), protoTCP},
		{b.proxy0, port("fe80::1", 80), protoTCP}, {b.proxy0, port("224.0.0.1", 80), protoUDP}, {b.proxy0, port("ff02::1", 80), protoUDP}, {b.proxy0, port("0.0.0.0", 80), protoTCP},
	} {
		if d.Put(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if b.nodeSide.Directs().Put(Direct{b.proxy0, fine, protoTCP}) == nil {
		t.Error("a client node takes a direct endpoint")
	}
	must(t, b.gateway.Do(func() error { return b.gatewaySide.Proxies().Delete(b.proxy0) }))
	list, err = d.List()
	must(t, err)
	if want := 4; len(list) != want || list[0].Interface != b.proxy1 {
		t.Errorf("without its proxy there are %v", list)
	}
	must(t, b.gatewaySide.Close())
	must(t, b.gateway.Do(func() (err error) { b.gatewaySide, err = Open(b.gatewayOptions); return err }))
	kept := list[0]
	must(t, b.gateway.Do(func() error {
		return b.gatewaySide.Proxies().Put(Proxy{Interface: b.proxy1, PeerMAC: b.fixtureMAC["net2"], Addresses: []netip.Addr{netip.MustParseAddr(proxyAddress[false])}})
	}))
	must(t, b.gatewaySide.Directs().Put(kept))
	must(t, b.gateway.Do(func() error { _, err := b.gatewaySide.Repair(); return err }))
	list, err = b.gatewaySide.Directs().List()
	must(t, err)
	if fmt.Sprint(list) != fmt.Sprint([]Direct{kept}) {
		t.Errorf("a repair leaves %v", list)
	}
}
