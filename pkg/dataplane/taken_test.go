// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/test/netlab"
)

// ageFlows makes a node believe that its flows have sent nothing for some seconds more.
func ageFlows(t *testing.T, flows *ebpf.Map, seconds int) {
	t.Helper()
	all, err := readMap[bpf.KernelFlow, bpf.KernelPath](flows)
	must(t, err)
	for flow, path := range all {
		path.Seen -= uint32(seconds)
		must(t, flows.Put(flow, path))
	}
}

// A flow is its tunnel's for as long as a proxy may keep it, and as the tunnel is there.
func TestFlowsAreGivenUp(t *testing.T) {
	b := newBench(t)
	for _, v6 := range []bool{false, true} {
		proxy, pod := proxyAddress[v6], endpointOf(severalTunnels, v6)
		by := func(outer6 bool, inner []byte) step {
			gateway, node := ends(outer6)
			return step{program: "decap", in: outer(gateway, node, uint32(tunnelOver(outer6)), inner), verdict: pass, out: inner}
		}
		segment := func(number uint16) []byte { return ip(proxy, pod, protoTCP, tcp(number, worldPort, flagSYN, nil, nil)) }
		datagram := func(number uint16) []byte { return ip(proxy, pod, protoUDP, udp(number, worldPort, nil)) }
		ping := func(number uint16) []byte { return ip(proxy, pod, icmpOf(v6), echo(v6, false, number)) }
		replies := func(number uint16) step {
			answer := ip(pod, proxy, protoTCP, tcp(worldPort, number, flagSYN|flagACK, nil, nil))
			gateway, node := ends(false)
			return step{program: "encap", in: answer, verdict: sent, out: outer(node, gateway, tunnel4, answer)}
		}
		number := uint16(47000)
		for _, c := range []struct {
			name     string
			packet   func(uint16) []byte
			answered bool
			idle     int
			kept     bool
		}{
			{"an open connection", segment, true, 3600, true},
			{"an open connection", segment, true, 4000, false},
			{"a connection that was not answered", segment, false, 50, true},
			{"a connection that was not answered", segment, false, 70, false},
			{"datagrams", datagram, false, 50, true},
			{"datagrams", datagram, false, 70, false},
			{"pings", ping, false, 50, true},
			{"pings", ping, false, 70, false},
		} {
			number++
			packet := c.packet(number)
			b.check(t, RoleClient, by(false, packet))
			if c.answered {
				b.check(t, RoleClient, replies(number))
			}
			ageFlows(t, b.nodeSide.objects.Flows, c.idle)
			other := by(true, packet)
			if c.kept {
				other.verdict, other.drop, other.out = shot, DropPortTaken, nil
				if packet[either(v6, 6, 9)] == protoTCP {
					other = b.turnedBack(true, packet)
				}
			}
			t.Logf("%s: %s, idle for %d s", family(v6), c.name, c.idle)
			b.check(t, RoleClient, other)
		}
	}
	// What the endpoint sends keeps a flow, too.
	gateway, node := ends(false)
	question, answer := ip(proxyAddress[false], endpointOf(severalTunnels, false), protoUDP, udp(47100, worldPort, nil)),
		ip(endpointOf(severalTunnels, false), proxyAddress[false], protoUDP, udp(worldPort, 47100, nil))
	gateway6, node6 := ends(true)
	b.check(t, RoleClient, step{program: "decap", in: outer(gateway, node, tunnel4, question), verdict: pass, out: question})
	ageFlows(t, b.nodeSide.objects.Flows, 70)
	b.check(t, RoleClient, step{program: "encap", in: answer, verdict: sent, out: outer(node, gateway, tunnel4, answer)})
	b.check(t, RoleClient, step{program: "decap", in: outer(gateway6, node6, tunnel6, question), verdict: shot, drop: DropPortTaken})
	// The endpoint gets a third tunnel, and loses the first.
	service := Service{Tunnel: tunnelNarrow, Endpoint: port(endpointOf(severalTunnels, false), worldPort), Protocol: protoUDP, Sources: []netip.Addr{netip.MustParseAddr(proxyAddress[false])}}
	must(t, b.nodeSide.Services().Put(service))
	b.check(t, RoleClient, step{program: "decap", in: outer(gateway6, node6, tunnel6, question), verdict: shot, drop: DropPortTaken})
	service.Tunnel = tunnel4
	must(t, b.nodeSide.Services().Delete(service))
	b.check(t, RoleClient, step{program: "decap", in: outer(gateway6, node6, tunnel6, question), verdict: pass, out: question})
	must(t, b.nodeSide.Tunnels().Delete(tunnel6))
	again := outer(port("192.0.2.66", DefaultPort), node, tunnelNarrow, question)
	b.check(t, RoleClient, step{program: "decap", in: again, verdict: pass, out: question})
}

// Two pods of a proxy on one node that choose the same port: the second is refused by the
// node itself.
func TestPodsOfOneNodeShareNoPort(t *testing.T) {
	s := newSharing(t)
	number := uint16(2000)
	for _, v6 := range []bool{false, true} {
		proxy, pod := addressOf(0, v6), endpointOf(tunnel4, v6)
		segment := func(flags byte) []byte { return ip(proxy, pod, protoTCP, tcp(number, worldPort, flags, nil, nil)) }
		try := func(name string, of int, packet []byte, verdict uint32, drops uint64) {
			t.Helper()
			before := dropsOf(t, s.gatewaySide, DropPortTaken)
			if got := s.send(t, s.pods[0][of], packet); got != verdict {
				t.Errorf("%s, %s: verdict %d, want %d", family(v6), name, got, verdict)
			}
			if got := dropsOf(t, s.gatewaySide, DropPortTaken) - before; got != drops {
				t.Errorf("%s, %s: %d are counted as dropped, want %d", family(v6), name, got, drops)
			}
		}
		goes := func(name string, want int) {
			t.Helper()
			if got := s.answered(t, 0, v6, number); got != s.pods[0][want] {
				t.Errorf("%s, %s: the answer goes to interface %d, want %d", family(v6), name, got, s.pods[0][want])
			}
		}
		try("the first opens", 1, segment(flagSYN), redirect, 0)
		goes("opened", 1)
		try("the second opens", 0, segment(flagSYN), redirect, 1)
		try("the second opens, with a fragment", 0, firstFragment(proxy, pod, udp(number, worldPort, make([]byte, 8))), redirect, 0)
		goes("the second was refused", 1)
		try("the first closes", 1, segment(flagRST|flagACK), redirect, 0)
		try("the second opens then", 0, segment(flagSYN), redirect, 0)
		goes("the second has it", 0)

		number++
		datagram := ip(proxy, pod, protoUDP, udp(number, worldPort, nil))
		try("a datagram", 0, datagram, redirect, 0)
		try("another's datagram", 1, datagram, shot, 1)
		try("another's first fragment", 1, firstFragment(proxy, pod, udp(number, worldPort, make([]byte, 8))), shot, 1)
		before := dropsOf(t, s.gatewaySide, DropFragmentUnmatched)
		rest := ip4{id: 78, flags: 2}.packet
		if !v6 && s.send(t, s.pods[0][1], rest(proxy, pod, protoUDP, make([]byte, 8))) != shot || !v6 && dropsOf(t, s.gatewaySide, DropFragmentUnmatched) != before+1 {
			t.Errorf("%s: the rest of a dropped fragment is not dropped", family(v6))
		}
		address := as16(netip.MustParseAddr(proxy))
		flows, err := innerOf(s.gatewaySide.objects.ProxyFlows, address[:])
		must(t, err)
		ageFlows(t, flows, 70)
		must(t, flows.Close())
		try("another's datagram, much later", 1, datagram, redirect, 0)
		number++
	}
}

// earlierFlows makes a map of flows as the version had that did not know when they end.
func earlierFlows(t *testing.T, spec *ebpf.MapSpec, entries map[bpf.KernelFlow]bpf.KernelFragmentPath) *ebpf.Map {
	t.Helper()
	former := spec.Copy()
	unsigned := &btf.Int{Name: "unsigned int", Size: 4}
	former.ValueSize, former.Value = 8, &btf.Struct{Name: "path", Size: 8, Members: []btf.Member{
		{Name: "tunnel", Type: unsigned}, {Name: "ifindex", Type: unsigned, Offset: 32},
	}}
	m, err := ebpf.NewMap(former)
	must(t, err)
	for flow, path := range entries {
		must(t, m.Put(flow, path))
	}
	return m
}

// An upgrade keeps the flows of both roles, described or not, and so does one that goes back.
func TestFlowsOfEarlierVersions(t *testing.T) {
	address := as16(netip.MustParseAddr("192.0.2.10"))
	flow := bpf.KernelFlow{SourcePort: 9}
	flow.Destination.Bytes = address
	entries := map[bpf.KernelFlow]bpf.KernelFragmentPath{flow: {Tunnel: 5, Ifindex: 7}}
	want := bpf.KernelPath{Tunnel: 5, Ifindex: 7}
	for role, name := range map[Role]string{RoleGateway: "gateway", RoleClient: "client"} {
		t.Run(name, func(t *testing.T) {
			spec, err := bpf.LoadKernel()
			must(t, err)
			options := Options{Role: role, PinPath: filepath.Join(netlab.BPFFS(t), "epic"), MaxFlows: 16, MaxProxyFlows: 16}
			must(t, os.MkdirAll(options.PinPath, 0o700))
			var pinned *ebpf.Map
			pin := bpf.KernelMapFlows
			if role == RoleClient {
				pinned = earlierFlows(t, spec.Maps[pin], entries)
			} else {
				// Two pods have the address, so it keeps its map.
				d, err := Open(options)
				must(t, err)
				for ifindex := range uint32(2) {
					must(t, d.objects.Proxies.Put(7+ifindex, bpf.KernelProxy{Address4: uint32(address[12]) | uint32(address[13])<<8 | uint32(address[14])<<16 | uint32(address[15])<<24}))
				}
				must(t, d.Close())
				pin = bpf.KernelMapProxyFlows
				former := spec.Maps[pin].Copy()
				inner := earlierFlows(t, former.InnerMap, entries)
				former.InnerMap = former.InnerMap.Copy()
				former.InnerMap.ValueSize, former.InnerMap.Value = 8, nil
				pinned, err = ebpf.NewMap(former)
				must(t, err)
				must(t, errors.Join(pinned.Put(address, inner), inner.Close()))
				must(t, os.Remove(filepath.Join(options.PinPath, pin)))
			}
			must(t, errors.Join(pinned.Pin(filepath.Join(options.PinPath, pin)), pinned.Close()))
			for range 2 {
				d, err := Open(options)
				must(t, err)
				m := d.objects.Flows
				if role == RoleGateway {
					m, err = innerOf(d.objects.ProxyFlows, address[:])
					must(t, err)
				}
				got, err := readMap[bpf.KernelFlow, bpf.KernelPath](m)
				must(t, err)
				if len(got) != 1 || got[flow] != want {
					t.Errorf("there are the flows %v, want %v", got, want)
				}
				if role == RoleGateway {
					must(t, m.Close())
				}
				must(t, d.Close())
			}
		})
	}
}

const secondTunnel = worldTunnel + 1

// second adds a proxy with the same addresses as the first. Another tunnel leads from it to
// the pod, as if it ran on another gateway node.
func (w *world) second(outer6 bool) *netlab.Namespace {
	t := w.t
	t.Helper()
	proxy, err := w.lab.Namespace("second")
	must(t, err)
	must(t, netlab.Veth(w.gateway, "proxy1", proxy, "net1", w.mtu))
	bridge, err := w.gateway.LinkByName("br0")
	must(t, err)
	link, err := w.gateway.LinkByName("proxy1")
	must(t, errors.Join(err, w.gateway.LinkSetMaster(link, bridge)))
	sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])}
	proxy1 := index(t, w.gateway, "proxy1")
	here, there := port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
	mtu := uint16(w.mtu - overhead(outer6))
	must(t, w.gateway.Do(func() error {
		return errors.Join(
			w.gatewaySide.Proxies().Put(Proxy{Interface: proxy1, PeerMAC: mac(t, proxy, "net1"), Addresses: sources}),
			w.gatewaySide.Tunnels().Put(Tunnel{ID: secondTunnel, Local: here, Remote: there, MTU: mtu}),
		)
	}))
	must(t, w.nodeSide.Tunnels().Put(Tunnel{ID: secondTunnel, Local: there, Remote: here, MTU: mtu}))
	for _, v6 := range []bool{false, true} {
		wide, all := "/24", "0.0.0.0/0"
		if v6 {
			wide, all = "/64", "::/0"
		}
		first := netip.MustParsePrefix(proxyAddress[v6] + wide).Masked().Addr().Next().String()
		must(t, errors.Join(proxy.Addr("net1", proxyAddress[v6]+wide), proxy.Route(all, first, "net1")))
		endpoint := port(podAddress[v6], worldPort)
		for _, protocol := range []uint8{protoTCP, protoUDP} {
			must(t, w.gatewaySide.Services().Put(Service{Tunnel: secondTunnel, Endpoint: endpoint, Protocol: protocol, Interface: proxy1}))
			must(t, w.nodeSide.Services().Put(Service{Tunnel: secondTunnel, Endpoint: endpoint, Protocol: protocol, Sources: sources}))
		}
	}
	return proxy
}

// from connects from a port of the proxy's address.
func from(ctx context.Context, n *netlab.Namespace, v6 bool, network string, number uint16) (conn net.Conn, err error) {
	local := port(proxyAddress[v6], number)
	err = n.Do(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(local)}
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(local)
		}
		conn, err = d.DialContext(ctx, network, port(podAddress[v6], worldPort).String())
		return err
	})
	return conn, err
}

// Two proxies of one address, which know nothing of each other, choose the same port toward
// the same endpoint. The first does not notice. The second is refused at once, and can use the
// port when the first has ended its connection.
func TestProxiesThatChooseTheSamePort(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		for _, xdp := range []XDP{XDPOff, XDPNative} {
			t.Run(family(outer6)+" outside, XDP "+string(xdp), func(t *testing.T) {
				w := newWorld(t, 1500)
				w.gatewayOptions.XDP, w.nodeOptions.XDP = xdp, xdp
				w.open()
				w.connect(outer6)
				other := w.second(outer6)
				for _, v6 := range []bool{false, true} {
					w.segmentsOfOnePort(t, other, v6)
					w.datagramsOfOnePort(t, other, v6)
				}
			})
		}
	}
}

func (w *world) segmentsOfOnePort(t *testing.T, other *netlab.Namespace, v6 bool) {
	t.Helper()
	const number = 41000
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener, err := w.pod.Listen(ctx, "tcp", port(podAddress[v6], worldPort).String())
	must(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	first, err := from(ctx, w.proxy, v6, "tcp", number)
	must(t, err)
	exchange := func(conn net.Conn) {
		t.Helper()
		block := make([]byte, 100)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := conn.Write(block)
		if err == nil {
			_, err = io.ReadFull(conn, block)
		}
		if err != nil {
			t.Fatalf("%s: %v; dropped:%s", family(v6), err, w.drops())
		}
	}
	exchange(first)
	before := dropsOf(t, w.nodeSide, DropPortTaken)
	for i := range uint64(3) {
		conn, err := from(ctx, other, v6, "tcp", number)
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("%s: the second connects: %v, %v; dropped:%s", family(v6), conn, err, w.drops())
		}
		if got := dropsOf(t, w.nodeSide, DropPortTaken) - before; got != i+1 {
			t.Errorf("%s: %d are counted as dropped, want %d", family(v6), got, i+1)
		}
		exchange(first)
	}
	// From another port it is let in.
	second, err := from(ctx, other, v6, "tcp", number+1)
	must(t, err)
	exchange(second)
	exchange(first)
	must(t, errors.Join(second.Close(), first.(*net.TCPConn).CloseWrite()))
	if rest, err := io.ReadAll(first); len(rest) != 0 || err != nil {
		t.Errorf("%s: the first reads %q, %v", family(v6), rest, err)
	}
	must(t, first.Close())
	until(t, func() error {
		second, err = from(ctx, other, v6, "tcp", number)
		return err
	})
	exchange(second)
	must(t, second.Close())
}

func (w *world) datagramsOfOnePort(t *testing.T, other *netlab.Namespace, v6 bool) {
	t.Helper()
	const number = 41000
	pod, err := w.pod.ListenPacket(t.Context(), "udp", port(podAddress[v6], worldPort).String())
	must(t, err)
	defer pod.Close()
	go func() {
		b := make([]byte, 100)
		for {
			n, address, err := pod.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pod.WriteTo(b[:n], address)
		}
	}()
	conns := map[string]net.Conn{}
	for name, n := range map[string]*netlab.Namespace{"first": w.proxy, "second": other} {
		conn, err := from(t.Context(), n, v6, "udp", number)
		must(t, err)
		defer conn.Close()
		conns[name] = conn
	}
	asks := func() {
		t.Helper()
		b := make([]byte, 100)
		until(t, func() error {
			if _, err := conns["first"].Write([]byte("first")); err != nil {
				return err
			}
			_ = conns["first"].SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := conns["first"].Read(b)
			if err == nil && !bytes.Equal(b[:n], []byte("first")) {
				t.Fatalf("%s: the first gets the answer to the %s", family(v6), b[:n])
			}
			return err
		})
	}
	asks()
	before := dropsOf(t, w.nodeSide, DropPortTaken)
	for range 5 {
		_, err := conns["second"].Write([]byte("second"))
		must(t, err)
		asks()
	}
	until(t, func() error {
		if got := dropsOf(t, w.nodeSide, DropPortTaken) - before; got != 5 {
			return errors.New("not all datagrams of the second are counted as dropped")
		}
		return nil
	})
	_ = conns["second"].SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := conns["second"].Read(make([]byte, 100)); err == nil {
		t.Errorf("%s: the second gets %d bytes", family(v6), n)
	}
}
