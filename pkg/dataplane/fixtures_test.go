// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/test/netlab"
)

// Verdicts of programs.
const (
	pass     = ^uint32(0) // TC_ACT_UNSPEC
	shot     = 2
	redirect = 7
	xdpPass  = 2
	// sent is pass or redirect: a node's packet continues by itself, or now and then by
	// its neighbor.
	sent = 1000
)

// Tunnels and endpoints of the fixtures. Each tunnel has an endpoint of each family.
const (
	tunnel4       = 1 // over IPv4
	tunnel6       = 2 // over IPv6
	tunnelNew     = 3 // not verified
	tunnelMissing = 4
	tunnelNowhere = 5 // no route
	tunnelNarrow  = 6 // over a route with a small MTU
)

// severalTunnels is the number of the endpoints of the client node to which both tunnel4 and
// tunnel6 lead.
const severalTunnels = 8

// delivery is the number of bytes that XDP puts before a packet.
const delivery = 16

// publicPort is where the proxy of a bench is reached by visitors.
const publicPort = 443

func endpointOf(tunnel int, v6 bool) string {
	if v6 {
		return fmt.Sprintf("fd00:244:%d::5", tunnel)
	}
	return fmt.Sprintf("10.244.%d.5", tunnel)
}

// bench is a world whose programs are run packet by packet.
type bench struct {
	*world
	proxy0, proxy1 int
	uplink         map[Role]int
	fixtureMAC     map[string]net.HardwareAddr
	// cookies indicates that tunnels use cookies.
	cookies bool
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newBenchOf(t, false)
}

// newBenchOf makes the underlay larger by a cookie if tunnels use cookies, so inner
// packets are the same.
func newBenchOf(t testing.TB, cookies bool) *bench {
	t.Helper()
	more := 0
	if cookies {
		more = CookieSize
	}
	w := newWorld(t, 1500+more)
	b := &bench{world: w, cookies: cookies, uplink: map[Role]int{}, fixtureMAC: map[string]net.HardwareAddr{}}
	w.open()
	must(t, netlab.Veth(w.gateway, "proxy1", w.proxy, "net2", 1500))
	b.proxy0, b.proxy1 = index(t, w.gateway, "proxy0"), index(t, w.gateway, "proxy1")
	b.uplink[RoleGateway], b.uplink[RoleClient] = index(t, w.gateway, "eth0"), index(t, w.node, "eth0")
	b.fixtureMAC["gateway"], b.fixtureMAC["node"] = mac(t, w.gateway, "eth0"), mac(t, w.node, "eth0")
	b.fixtureMAC["net1"], b.fixtureMAC["net2"] = mac(t, w.proxy, "net1"), mac(t, w.proxy, "net2")
	neighbor := func(n *netlab.Namespace, address, other string) {
		must(t, n.NeighSet(&netlink.Neigh{
			LinkIndex: index(t, n, "eth0"), IP: net.ParseIP(address), HardwareAddr: b.fixtureMAC[other], State: netlink.NUD_PERMANENT,
		}))
	}
	for _, v6 := range []bool{false, true} {
		neighbor(w.gateway, nodeAddress[v6], "node")
		neighbor(w.node, gatewayAddress[v6], "gateway")
	}
	neighbor(w.gateway, "192.0.2.66", "node")
	neighbor(w.node, "192.0.2.66", "gateway")
	for _, n := range []*netlab.Namespace{w.gateway, w.node} {
		_, narrow, err := net.ParseCIDR("192.0.2.66/32")
		must(t, err)
		must(t, n.RouteReplace(&netlink.Route{Dst: narrow, LinkIndex: index(t, n, "eth0"), Scope: netlink.SCOPE_LINK, MTU: 1300 + more, MTULock: true}))
	}
	// The node has a default route; nowhere is nowhere.
	must(t, errors.Join(unreachable(w.node, "203.0.113.0/24"), unreachable(w.gateway, "203.0.113.0/24")))

	sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false]), netip.MustParseAddr(proxyAddress[true])}
	must(t, w.gateway.Do(func() error {
		return w.gatewaySide.Proxies().Put(
			Proxy{Interface: b.proxy0, PeerMAC: b.fixtureMAC["net1"], Addresses: sources},
			Proxy{Interface: b.proxy1, PeerMAC: b.fixtureMAC["net2"], Addresses: sources},
		)
	}))
	for _, protocol := range []uint8{protoTCP, protoUDP} {
		must(t, w.gatewaySide.Openings().Put(Opening{Interface: b.proxy0, Protocol: protocol, Port: publicPort}))
	}
	b.putDirects(t)
	ends := map[int][2]string{ // gateway, node
		tunnel4: {gatewayAddress[false], nodeAddress[false]}, tunnel6: {gatewayAddress[true], nodeAddress[true]},
		tunnelNew: {gatewayAddress[false], nodeAddress[false]},
	}
	for id, end := range ends {
		here, there := port(end[0], DefaultPort), port(end[1], DefaultPort)
		gatewayRemote, nodeRemote := there, here
		if id == tunnelNew {
			gatewayRemote, nodeRemote = netip.AddrPort{}, netip.AddrPort{}
		}
		mtu := uint16(1500 + more - overhead(here.Addr().Is6()))
		must(t, w.gatewaySide.Tunnels().Put(Tunnel{ID: uint32(id), Local: here, Remote: gatewayRemote, MTU: mtu}))
		must(t, w.nodeSide.Tunnels().Put(Tunnel{ID: uint32(id), Local: there, Remote: nodeRemote, MTU: mtu}))
	}
	for id, remote := range map[int]string{tunnelNowhere: "203.0.113.9", tunnelNarrow: "192.0.2.66"} {
		must(t, w.gatewaySide.Tunnels().Put(Tunnel{ID: uint32(id), Local: port(gatewayAddress[false], DefaultPort), Remote: port(remote, DefaultPort), MTU: uint16(1464 + more)}))
		must(t, w.nodeSide.Tunnels().Put(Tunnel{ID: uint32(id), Local: port(nodeAddress[false], DefaultPort), Remote: port(remote, DefaultPort), MTU: uint16(1464 + more)}))
	}
	if cookies {
		b.setCookies(t)
	}
	for id := range 7 {
		if id == 0 {
			continue
		}
		for _, v6 := range []bool{false, true} {
			for _, protocol := range []uint8{protoTCP, protoUDP} {
				endpoint := port(endpointOf(id, v6), worldPort)
				must(t, w.gatewaySide.Services().Put(Service{Tunnel: uint32(id), Endpoint: endpoint, Protocol: protocol, Interface: b.proxy0}))
				must(t, w.nodeSide.Services().Put(Service{Tunnel: uint32(id), Endpoint: endpoint, Protocol: protocol, Sources: sources}))
			}
		}
	}
	for _, id := range []uint32{tunnel4, tunnel6} {
		for _, v6 := range []bool{false, true} {
			for _, protocol := range []uint8{protoTCP, protoUDP} {
				must(t, w.nodeSide.Services().Put(Service{Tunnel: id, Endpoint: port(endpointOf(severalTunnels, v6), worldPort), Protocol: protocol, Sources: sources}))
			}
		}
	}
	return b
}

func unreachable(n *netlab.Namespace, prefix string) error {
	_, network, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	return n.RouteReplace(&netlink.Route{Dst: network, Type: 7 /* unreachable */})
}

// step is one packet that goes through one program.
type step struct {
	program string // encap, decap, xdp or guard
	in      []byte // from the IP header on
	// kind is the frame's type if it is not that of the packet.
	kind uint16
	// to is the frame's hardware address if it is not that of the program's interface.
	to      net.HardwareAddr
	gso     uint32
	verdict uint32
	// out is the packet afterwards, from the IP header on; nil means unchanged, for
	// what is not dropped.
	out []byte
	// drop is why it is dropped, or answered instead.
	drop DropReason
	// bare indicates that it gets no cookie.
	bare bool
}

// fixture is what happens to a packet.
type fixture struct {
	name  string
	role  Role
	steps []step
}

func (b *bench) side(role Role) (*DataPlane, *netlab.Namespace) {
	if role == RoleGateway {
		return b.gatewaySide, b.gateway
	}
	return b.nodeSide, b.node
}

// skbContext is a struct __sk_buff of which a test may set a few fields.
func skbContext(ifindex int, gso uint32) []byte {
	context := make([]byte, 192)
	binary.NativeEndian.PutUint32(context[40:], uint32(ifindex))
	binary.NativeEndian.PutUint32(context[176:], gso)
	if gso > 0 {
		binary.NativeEndian.PutUint32(context[164:], 2)
	}
	return context
}

// run runs a step's program on a frame.
func (b *bench) run(role Role, s step) (verdict uint32, frame []byte, err error) {
	if b.cookies {
		s = s.withCookies(role)
	}
	side, n := b.side(role)
	options := ebpf.RunOptions{DataOut: make([]byte, 4096)}
	var program *ebpf.Program
	switch {
	case s.program == "xdp":
		program = side.objects.EpicXdp
	case s.program == "decap":
		program, options.Context = side.objects.EpicDecap, skbContext(b.uplink[role], s.gso)
	case s.program == "guard":
		program, options.Context = side.objects.EpicClientGuard, skbContext(b.uplink[role], s.gso)
	case role == RoleGateway:
		program, options.Context = side.objects.EpicGatewayEncap, skbContext(b.proxy0, s.gso)
	default:
		program, options.Context = side.objects.EpicClientEncap, skbContext(b.uplink[role], s.gso)
	}
	to := b.fixtureMAC[map[Role]string{RoleGateway: "gateway", RoleClient: "node"}[role]]
	if s.to != nil {
		to = s.to
	}
	options.Data = ether(to, b.fixtureMAC["net1"], s.in)
	if s.kind != 0 {
		binary.BigEndian.PutUint16(options.Data[12:], s.kind)
	}
	err = n.Do(func() (err error) {
		verdict, err = program.Run(&options)
		return err
	})
	frame = options.DataOut
	if s.program == "xdp" && role == RoleGateway && s.out != nil && err == nil {
		// What XDP tells the program behind it comes first.
		if got, want := binary.NativeEndian.Uint32(frame[4:]), uint32(b.proxy0); got != want {
			err = fmt.Errorf("XDP wants the packet delivered to interface %d, not %d", got, want)
		}
		if got := net.HardwareAddr(frame[8:14]); got.String() != b.fixtureMAC["net1"].String() {
			err = fmt.Errorf("XDP wants the packet delivered to %s", got)
		}
		frame = frame[delivery:]
	}
	return verdict, frame, err
}

func nonZero(drops map[DropReason]uint64) map[DropReason]uint64 {
	maps.DeleteFunc(drops, func(_ DropReason, n uint64) bool { return n == 0 })
	return drops
}

func (b *bench) check(t *testing.T, role Role, s step) {
	t.Helper()
	side, _ := b.side(role)
	before, err := side.Drops()
	must(t, err)
	verdict, frame, err := b.run(role, s)
	must(t, err)
	after, err := side.Drops()
	must(t, err)
	for reason := range after {
		after[reason] -= before[reason]
	}
	want := map[DropReason]uint64{}
	if s.drop != "" {
		want[s.drop] = 1
	}
	if got := nonZero(after); !maps.Equal(got, want) {
		t.Errorf("%s: dropped %v, want %v", s.program, got, want)
	}
	if s.verdict == sent && (verdict == pass || verdict == redirect) {
		verdict = sent
	}
	if verdict != s.verdict {
		t.Errorf("%s: verdict %d, want %d", s.program, int32(verdict), int32(s.verdict))
	}
	if s.verdict == shot && s.program != "xdp" {
		return
	}
	if b.cookies {
		s = s.withCookies(role)
	}
	wanted := s.out
	if wanted == nil {
		wanted = s.in
	}
	if got := frame[14:]; !bytes.Equal(got, wanted) {
		t.Errorf("%s: the packet is\n%s\nwant\n%s", s.program, hex.Dump(got), hex.Dump(wanted))
	}
	kind := uint16(0x0800)
	switch {
	case s.kind != 0:
		kind = s.kind
	case wanted[0]>>4 == 6:
		kind = 0x86dd
	}
	if got := binary.BigEndian.Uint16(frame[12:]); got != kind {
		t.Errorf("%s: Ethernet type %#x, want %#x", s.program, got, kind)
	}
}

func TestFixtures(t *testing.T) {
	shown := map[DropReason]bool{}
	for name, cookies := range map[string]bool{"without cookies": false, "with cookies": true} {
		t.Run(name, func(t *testing.T) {
			b := newBenchOf(t, cookies)
			all := fixtures(b)
			if cookies {
				all = append(all, b.cookieFixtures()...)
			}
			for _, fixture := range all {
				t.Run(fixture.name, func(t *testing.T) {
					for _, step := range fixture.steps {
						b.check(t, fixture.role, step)
						shown[step.drop] = true
					}
				})
			}
		})
	}
	// Every reason is met.
	for _, drop := range dropReasons {
		if !shown[drop.reason] {
			t.Errorf("no fixture shows the reason %s", drop.reason)
		}
	}
}

// ends are the two ends of a tunnel.
func ends(outer6 bool) (gateway, node netip.AddrPort) {
	return port(gatewayAddress[outer6], DefaultPort), port(nodeAddress[outer6], DefaultPort)
}

func tunnelOver(outer6 bool) int {
	if outer6 {
		return tunnel6
	}
	return tunnel4
}

func icmpOf(v6 bool) byte {
	if v6 {
		return protoICMPv6
	}
	return protoICMP
}

// echo is a ping's request or answer.
func echo(v6, reply bool, id uint16) []byte {
	kind := byte(8)
	switch {
	case v6 && reply:
		kind = 129
	case v6:
		kind = 128
	case reply:
		kind = 0
	}
	return icmp(kind, 0, uint32(id)<<16|1, []byte("ping"))
}

// unreachablePort is an ICMP error about a packet.
func unreachablePort(v6 bool, about []byte) []byte {
	if v6 {
		return icmp(1, 4, 0, about)
	}
	return icmp(3, 3, 0, about)
}

// tooBig is the answer to a packet of which it quotes as much as programs do.
func tooBig(about []byte, mtu int) []byte {
	if about[0]>>4 == 6 {
		source, destination := netip.AddrFrom16([16]byte(about[8:24])), netip.AddrFrom16([16]byte(about[24:40]))
		return ip6{}.packet(destination.String(), source.String(), protoICMPv6, icmp(2, 0, uint32(mtu), about[:512]))
	}
	source, destination := netip.AddrFrom4([4]byte(about[12:16])), netip.AddrFrom4([4]byte(about[16:20]))
	return ip4{tos: 0xc0}.packet(destination.String(), source.String(), protoICMP, icmp(3, 4, uint32(mtu), about[:512]))
}

func fixtures(b *bench) []fixture {
	return slices.Concat(b.bothFamilies(), b.outerFixtures(), b.innerFixtures(), b.sendFixtures(), b.answerFixtures(), b.directFixtures(), b.clientFixtures(), b.protocolFixtures(), b.frameFixtures(), b.shortFixtures(), b.guardFixtures(), b.refusedFixtures(), b.takenFixtures())
}

// bothFamilies are what has to cross in all four combinations of families.
func (b *bench) bothFamilies() []fixture {
	var list []fixture
	for _, outer6 := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			id := tunnelOver(outer6)
			gateway, node := ends(outer6)
			proxy, pod := proxyAddress[v6], endpointOf(id, v6)
			in := fmt.Sprintf("%s in %s: ", family(v6), family(outer6))
			toPod := func(packet []byte) []byte { return outer(gateway, node, uint32(id), packet) }
			toProxy := func(packet []byte) []byte { return outer(node, gateway, uint32(id), packet) }
			data := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, []byte("request")))
			reply := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
			datagram := ip(proxy, pod, protoUDP, udp(40001, worldPort, []byte("question")))
			answer := ip(pod, proxy, protoUDP, udp(worldPort, 40001, []byte("answer")))
			ping := ip(proxy, pod, icmpOf(v6), echo(v6, false, 77))
			pong := ip(pod, proxy, icmpOf(v6), echo(v6, true, 77))
			refused := ip(pod, proxy, icmpOf(v6), unreachablePort(v6, datagram))
			gone := ip(proxy, pod, icmpOf(v6), unreachablePort(v6, answer))
			router := map[bool]string{false: "10.9.9.9", true: "fd00:9::9"}[v6]
			fromRouter := ip(router, proxy, icmpOf(v6), unreachablePort(v6, data))
			room := 1500 - overhead(outer6)
			headers := map[bool]int{false: 40, true: 60}[v6]
			syn := func(from, to string, flags byte, option []byte) []byte {
				source, destination := uint16(40000), uint16(worldPort)
				if from == pod {
					source, destination = destination, source
				}
				return ip(from, to, protoTCP, tcp(source, destination, flags, option, nil))
			}
			clamped := mss(uint16(room - headers))
			odd := func(option []byte) []byte { return concat([]byte{1}, option, []byte{1, 1}) }
			full := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, room-headers)))
			large := ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, room-headers+1)))
			largeReply := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, make([]byte, room-headers+1)))
			list = append(list,
				fixture{in + "the proxy's packets go into the tunnel", RoleGateway, []step{
					{program: "encap", in: data, verdict: redirect, out: toPod(data)},
					{program: "encap", in: datagram, verdict: redirect, out: toPod(datagram)},
					{program: "encap", in: ping, verdict: redirect, out: toPod(ping)},
					{program: "encap", in: gone, verdict: redirect, out: toPod(gone)},
					{program: "encap", in: full, verdict: redirect, out: toPod(full)},
				}},
				fixture{in + "replies come out for the proxy", RoleGateway, []step{
					{program: "decap", in: toProxy(reply), verdict: redirect, out: reply},
					{program: "decap", in: toProxy(answer), verdict: redirect, out: answer},
					{program: "decap", in: toProxy(pong), verdict: redirect, out: pong},
					{program: "decap", in: toProxy(refused), verdict: redirect, out: refused},
					{program: "decap", in: toProxy(fromRouter), verdict: redirect, out: fromRouter},
					{program: "xdp", in: toProxy(reply), verdict: xdpPass, out: reply},
					{program: "xdp", in: toProxy(answer), verdict: xdpPass, out: answer},
					{program: "xdp", in: toProxy(pong), verdict: xdpPass},
				}},
				fixture{in + "requests come out at the node, replies go back by their tunnel", RoleClient, []step{
					{program: "encap", in: ip(pod, proxy, protoTCP, tcp(worldPort, 40009, flagACK, nil, nil)), verdict: sent,
						out: toProxy(ip(pod, proxy, protoTCP, tcp(worldPort, 40009, flagACK, nil, nil)))},
					{program: "decap", in: toPod(data), verdict: pass, out: data},
					{program: "encap", in: reply, verdict: sent, out: toProxy(reply)},
					{program: "encap", in: reply, verdict: sent, out: toProxy(reply)},
					{program: "decap", in: toPod(datagram), verdict: pass, out: datagram},
					{program: "encap", in: answer, verdict: sent, out: toProxy(answer)},
					{program: "encap", in: refused, verdict: sent, out: toProxy(refused)},
					{program: "encap", in: fromRouter, verdict: sent, out: toProxy(fromRouter)},
					{program: "decap", in: toPod(gone), verdict: pass, out: gone},
					{program: "decap", in: toPod(ping), verdict: pass, out: ping},
					{program: "encap", in: pong, verdict: sent, out: toProxy(pong)},
				}},
				fixture{in + "XDP remembers flows as well", RoleClient, []step{
					{program: "xdp", in: toPod(ip(proxy, pod, protoTCP, tcp(40044, worldPort, flagACK, nil, nil))), verdict: xdpPass,
						out: ip(proxy, pod, protoTCP, tcp(40044, worldPort, flagACK, nil, nil))},
					{program: "encap", in: ip(pod, proxy, protoTCP, tcp(worldPort, 40044, flagACK, nil, nil)), verdict: sent,
						out: toProxy(ip(pod, proxy, protoTCP, tcp(worldPort, 40044, flagACK, nil, nil)))},
				}},
				fixture{in + "the MSS is clamped on the way in and out", RoleGateway, []step{
					{program: "encap", in: syn(proxy, pod, flagSYN, mss(1460)), verdict: redirect, out: toPod(syn(proxy, pod, flagSYN, clamped))},
					{program: "encap", in: syn(proxy, pod, flagSYN, odd(mss(1460))), verdict: redirect, out: toPod(syn(proxy, pod, flagSYN, odd(clamped)))},
					{program: "encap", in: syn(proxy, pod, flagSYN, mss(536)), verdict: redirect, out: toPod(syn(proxy, pod, flagSYN, mss(536)))},
					{program: "encap", in: syn(proxy, pod, flagSYN, nil), verdict: redirect, out: toPod(syn(proxy, pod, flagSYN, nil))},
					{program: "decap", in: toProxy(syn(pod, proxy, flagSYN|flagACK, mss(1460))), verdict: redirect, out: syn(pod, proxy, flagSYN|flagACK, clamped)},
					{program: "xdp", in: toProxy(syn(pod, proxy, flagSYN|flagACK, mss(1460))), verdict: xdpPass},
				}},
				fixture{in + "a packet that is too big is answered", RoleGateway, []step{
					{program: "encap", in: large, verdict: redirect, out: tooBig(large, room), drop: DropTooBig},
				}},
				fixture{in + "a reply that is too big is answered", RoleClient, []step{
					{program: "decap", in: toPod(data), verdict: pass, out: data},
					{program: "encap", in: largeReply, verdict: redirect, out: tooBig(largeReply, room), drop: DropTooBig},
				}},
			)
		}
	}
	return list
}
