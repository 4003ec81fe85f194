// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/acnodal/epic/test/netlab"
)

// Addresses of a world. Everything has one of each family.
var (
	gatewayAddress = map[bool]string{false: "192.0.2.1", true: "2001:db8:1::1"}
	nodeAddress    = map[bool]string{false: "192.0.2.2", true: "2001:db8:1::2"}
	proxyAddress   = map[bool]string{false: "198.51.100.7", true: "2001:db8:7::7"}
	podAddress     = map[bool]string{false: "10.244.1.5", true: "fd00:244:1::5"}
)

const (
	worldTunnel = 4711
	worldPort   = 8080
	worldPublic = 443
)

// world is one gateway with a proxy and one client node with a pod:
//
//	proxy net1 ── proxy0 (bridge br0) gateway eth0 ── eth0 node pod0 ── eth0 pod
type world struct {
	t                         testing.TB
	lab                       *netlab.Lab
	proxy, gateway, node, pod *netlab.Namespace
	gatewaySide, nodeSide     *DataPlane
	gatewayPins, nodePins     string
	mtu                       int
	gatewayOptions            Options
	nodeOptions               Options
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld wires the world up. Tunnels are put by connect.
func newWorld(t testing.TB, mtu int) *world {
	t.Helper()
	w := &world{t: t, lab: labOf(t), mtu: mtu}
	host := func(name string) *netlab.Namespace {
		n, err := w.lab.Namespace(name)
		must(t, err)
		return n
	}
	w.proxy, w.gateway, w.node, w.pod = host("proxy"), host("gateway"), host("node"), host("pod")
	must(t, netlab.Veth(w.gateway, "eth0", w.node, "eth0", mtu))
	must(t, netlab.Veth(w.gateway, "proxy0", w.proxy, "net1", mtu))
	must(t, netlab.Veth(w.node, "pod0", w.pod, "eth0", mtu))
	must(t, w.gateway.Bridge("br0", mtu, "proxy0"))
	for _, router := range []*netlab.Namespace{w.gateway, w.node} {
		must(t, router.Forward())
		must(t, errors.Join(router.Sysctl("ipv4.conf.all.rp_filter", "1"), router.Sysctl("ipv4.conf.eth0.rp_filter", "1")))
	}
	for _, v6 := range []bool{false, true} {
		wide, host, all := "/24", "/32", "0.0.0.0/0"
		if v6 {
			wide, host, all = "/64", "/128", "::/0"
		}
		first := netip.MustParsePrefix(proxyAddress[v6] + wide).Masked().Addr().Next().String()
		podGateway := netip.MustParsePrefix(podAddress[v6] + wide).Masked().Addr().Next().String()
		must(t, errors.Join(
			w.gateway.Addr("eth0", gatewayAddress[v6]+wide),
			w.node.Addr("eth0", nodeAddress[v6]+wide),
			w.gateway.Addr("br0", first+wide),
			w.proxy.Addr("net1", proxyAddress[v6]+wide),
			w.proxy.Route(all, first, "net1"),
			w.node.Addr("pod0", podGateway+host),
			w.node.Route(podAddress[v6]+host, "", "pod0"),
			w.pod.Addr("eth0", podAddress[v6]+wide),
			w.pod.Route(all, podGateway, "eth0"),
			w.node.Route(all, gatewayAddress[v6], "eth0"),
		))
	}
	bpffs := netlab.BPFFS(t)
	w.gatewayPins, w.nodePins = filepath.Join(bpffs, "gateway"), filepath.Join(bpffs, "node")
	w.gatewayOptions = Options{Role: RoleGateway, PinPath: w.gatewayPins, MaxProxyFlows: 1024}
	w.nodeOptions = Options{Role: RoleClient, PinPath: w.nodePins, MaxFlows: 1024}
	return w
}

// labOf is netlab.Test.
func labOf(t testing.TB) *netlab.Lab {
	t.Helper()
	return netlab.Test(t)
}

func index(t testing.TB, n *netlab.Namespace, name string) int {
	t.Helper()
	i, err := n.Index(name)
	must(t, err)
	return i
}

func mac(t testing.TB, n *netlab.Namespace, name string) net.HardwareAddr {
	t.Helper()
	l, err := n.LinkByName(name)
	must(t, err)
	return l.Attrs().HardwareAddr
}

// open opens both data planes.
func (w *world) open() {
	w.t.Helper()
	must(w.t, w.gateway.Do(func() (err error) {
		w.gatewaySide, err = Open(w.gatewayOptions)
		return err
	}))
	w.t.Cleanup(func() { _ = w.gatewaySide.Close() })
	must(w.t, w.node.Do(func() (err error) {
		w.nodeSide, err = Open(w.nodeOptions)
		return err
	}))
	w.t.Cleanup(func() { _ = w.nodeSide.Close() })
}

func port(address string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address), port)
}

func overhead(v6 bool) int {
	if v6 {
		return 56
	}
	return 36
}

// connect joins proxy and pod by a tunnel over one family.
func (w *world) connect(outer6 bool) {
	w.t.Helper()
	mtu := uint16(w.mtu - overhead(outer6))
	sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])}
	proxy0 := index(w.t, w.gateway, "proxy0")
	here, there := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
	must(w.t, w.gateway.Do(func() error {
		return errors.Join(
			w.gatewaySide.Underlay().Attach(index(w.t, w.gateway, "eth0")),
			w.gatewaySide.Proxies().Put(Proxy{Interface: proxy0, PeerMAC: mac(w.t, w.proxy, "net1"), Addresses: sources}),
			w.gatewaySide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: here, Remote: there, MTU: mtu}),
		)
	}))
	must(w.t, w.gatewaySide.Openings().Put(Opening{Interface: proxy0, Protocol: 6, Port: worldPublic}, Opening{Interface: proxy0, Protocol: 17, Port: worldPublic}))
	must(w.t, w.node.Do(func() error {
		return errors.Join(
			w.nodeSide.Underlay().Attach(index(w.t, w.node, "eth0")),
			w.nodeSide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: there, Remote: here, MTU: mtu}),
		)
	}))
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []uint8{6, 17} {
			endpoint := port(podAddress[v6], worldPort)
			must(w.t, w.gatewaySide.Services().Put(Service{Tunnel: worldTunnel, Endpoint: endpoint, Protocol: protocol, Interface: proxy0}))
			must(w.t, w.nodeSide.Services().Put(Service{Tunnel: worldTunnel, Endpoint: endpoint, Protocol: protocol, Sources: sources}))
		}
	}
}

// drops gives the drops of both sides that are not zero.
func (w *world) drops() string {
	text := ""
	for name, side := range map[string]*DataPlane{"gateway": w.gatewaySide, "node": w.nodeSide} {
		drops, err := side.Drops()
		must(w.t, err)
		for reason, count := range drops {
			if count > 0 {
				text += fmt.Sprintf(" %s %s %d", name, reason, count)
			}
		}
	}
	return text
}
