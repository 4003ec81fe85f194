// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/pkg/dataplane/internal/model"
)

// modelOf describes a node of a bench to the model.
func (b *bench) modelOf(role Role) *model.World {
	more := b.mtu - 1500
	w := &model.World{
		Gateway: role == RoleGateway, Port: DefaultPort,
		Tunnels: map[uint32]model.Tunnel{}, Services: map[model.Service]bool{},
		Proxy:    map[bool]netip.Addr{false: netip.MustParseAddr(proxyAddress[false]), true: netip.MustParseAddr(proxyAddress[true])},
		Openings: map[model.Port]bool{{Protocol: protoTCP, Port: publicPort}: true, {Protocol: protoUDP, Port: publicPort}: true},
		Directs:  map[model.Endpoint]bool{},
		Own:      func(a netip.Addr) bool { return !forwards(a) },
		Hop: func(a netip.Addr) int {
			switch a.String() {
			case "203.0.113.9":
				return 0
			case "192.0.2.66":
				return 1300 + more
			}
			return b.mtu
		},
	}
	for id, remote := range map[uint32]string{tunnel4: "", tunnel6: "", tunnelNew: "-", tunnelNowhere: "203.0.113.9", tunnelNarrow: "192.0.2.66"} {
		outer6 := id == tunnel6
		gateway, node := ends(outer6)
		t := model.Tunnel{Local: gateway, Remote: node, MTU: b.mtu - overhead(outer6)}
		if role == RoleClient {
			t.Local, t.Remote = node, gateway
		}
		switch remote {
		case "":
		case "-":
			t.Remote = netip.AddrPort{}
		default:
			t.Remote = port(remote, DefaultPort)
		}
		if b.cookies {
			c := cookiesOf(role)
			send := model.Cookie(c.Send)
			t.Send, t.Required = &send, c.Required
			for _, accepted := range c.Accept {
				t.Accept = append(t.Accept, model.Cookie(accepted))
			}
		}
		w.Tunnels[id] = t
	}
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []byte{protoTCP, protoUDP} {
			at := func(address string, number uint16) model.Endpoint {
				return model.Endpoint{Address: netip.MustParseAddr(address), Port: model.Port{Protocol: protocol, Port: number}}
			}
			for id := uint32(1); id < 7; id++ {
				w.Services[model.Service{Tunnel: id, Endpoint: at(endpointOf(int(id), v6), worldPort)}] = true
			}
			for _, id := range []uint32{tunnel4, tunnel6} {
				if role == RoleClient {
					w.Services[model.Service{Tunnel: id, Endpoint: at(endpointOf(severalTunnels, v6), worldPort)}] = true
				}
			}
			w.Directs[at(directAddress[v6], directPort)] = true
			w.Directs[at(endpointOf(tunnel4, v6), directPort)] = true
		}
	}
	return w
}

// forwards reports whether a bench's gateway forwards to an IPv6 address: to those of its links
// except its own and those of each router.
func forwards(a netip.Addr) bool {
	for _, link := range []string{"2001:db8:1::/64", "2001:db8:7::/64"} {
		prefix := netip.MustParsePrefix(link)
		if prefix.Contains(a) {
			return a != prefix.Addr() && a != prefix.Addr().Next()
		}
	}
	return false
}

// modeled runs programs next to the model.
type modeled struct {
	b       *bench
	role    Role
	world   *model.World
	entered uint64
	fates   map[model.Kind]uint64
	reasons map[DropReason]uint64
}

func (b *bench) modeled(role Role) *modeled {
	return &modeled{b: b, role: role, world: b.modelOf(role), fates: map[model.Kind]uint64{}, reasons: map[DropReason]uint64{}}
}

// input is one frame for one program.
type input struct {
	decap  bool
	to     int // index of its hardware address
	kind   uint16
	packet []byte
}

func (m *modeled) macs() []net.HardwareAddr {
	own := m.b.fixtureMAC[map[Role]string{RoleGateway: "gateway", RoleClient: "node"}[m.role]]
	return []net.HardwareAddr{own, {255, 255, 255, 255, 255, 255}, {1, 0, 0x5e, 0, 0, 1}, {2, 0, 0, 0, 0, 9}}
}

func (m *modeled) frame(in input) model.Frame {
	return model.Frame{Type: in.kind, Ours: in.to == 0, Broadcast: in.to == 1, Multicast: in.to == 2, Packet: in.packet}
}

// forget makes program and model forget what they learned.
func (m *modeled) forget() error {
	m.world.Forget()
	side, _ := m.b.side(m.role)
	return errors.Join(clearMap[bpf.KernelFragments](side.objects.Fragmented), clearMap[bpf.KernelFlow](side.objects.Flows),
		eachInner(side.objects.ProxyFragments, func(_ []byte, inner *ebpf.Map) error { return clearMap[bpf.KernelFragments](inner) }))
}

// compare runs an input, in the node's namespace, and reports where the program differs from
// the model.
func (m *modeled) compare(in input) error {
	side, _ := m.b.side(m.role)
	var want model.Fate
	options := ebpf.RunOptions{DataOut: make([]byte, 1<<14), Context: skbContext(m.b.uplink[m.role], 0)}
	program := side.objects.EpicDecap
	if in.decap {
		want = m.world.Decap(m.frame(in))
	} else {
		want = m.world.Encap(m.frame(in))
		program = side.objects.EpicClientEncap
		if m.role == RoleGateway {
			program, options.Context = side.objects.EpicGatewayEncap, skbContext(m.b.proxy0, 0)
		}
	}
	m.entered++
	m.fates[want.Kind]++
	if want.Drop != "" {
		m.reasons[DropReason(want.Drop)]++
	}
	options.Data = concat(m.macs()[in.to], m.b.fixtureMAC["net1"], be16(in.kind), in.packet)
	before, err := side.Drops()
	if err != nil {
		return err
	}
	verdict, err := program.Run(&options)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	after, err := side.Drops()
	if err != nil {
		return err
	}
	for reason := range after {
		after[reason] -= before[reason]
	}
	counted := map[DropReason]uint64{}
	if want.Drop != "" {
		counted[DropReason(want.Drop)] = 1
	}
	if got := nonZero(after); !maps.Equal(got, counted) {
		return fmt.Errorf("it %s and counts %v in the model, the program counts %v with verdict %d", want.Kind, counted, got, int32(verdict))
	}
	wanted := want.Out
	if want.Kind == model.Passes {
		wanted = in.packet
	}
	if err := verdictOf(m.role, in.decap, want, verdict); err != nil || wanted == nil {
		return err
	}
	got := options.DataOut[14:]
	if want.Kind == model.Parted {
		wanted, got = withoutID(wanted), withoutID(got)
	}
	if !bytes.Equal(got, wanted) {
		return fmt.Errorf("it %s in the model as\n%sand leaves the program as\n%s", want.Kind, hex.Dump(wanted), hex.Dump(got))
	}
	if in.decap && len(in.packet) < 3000 {
		return m.compareXDP(in, options.Data)
	}
	return nil
}

// withoutID clears the random identification of a fragment that a program made.
func withoutID(b []byte) []byte {
	b = bytes.Clone(b)
	at := 36
	if b[0]>>4 == 6 {
		at = 56
	}
	if b[at-8] == wordCookie4>>24 {
		at += CookieSize
	}
	if len(b) >= at+48 && b[at]>>4 == 6 {
		copy(b[at+44:at+48], make([]byte, 4))
	}
	return b
}

func verdictOf(role Role, decap bool, want model.Fate, verdict uint32) error {
	allowed := map[model.Kind][]uint32{
		model.Passes: {pass}, model.Dropped: {shot}, model.Answered: {redirect},
		model.Sent: {redirect}, model.Delivered: {redirect}, model.Parted: {shot},
	}[want.Kind]
	if role == RoleClient {
		switch {
		case decap && want.Kind == model.Delivered:
			allowed = []uint32{pass}
		case want.Kind == model.Sent || want.Kind == model.Parted:
			allowed = []uint32{pass, redirect}
		}
	}
	for _, v := range allowed {
		if v == verdict {
			return nil
		}
	}
	return fmt.Errorf("it %s in the model, the program's verdict is %d", want.Kind, int32(verdict))
}

// compareXDP runs the XDP program. What it takes out is what the model delivers; it may
// leave everything to the program behind it.
func (m *modeled) compareXDP(in input, frame []byte) error {
	side, _ := m.b.side(m.role)
	options := ebpf.RunOptions{DataOut: make([]byte, 1<<12), Data: frame}
	verdict, err := side.objects.EpicXdp.Run(&options)
	if err != nil {
		return fmt.Errorf("run XDP: %w", err)
	}
	out := options.DataOut
	if verdict != xdpPass {
		return fmt.Errorf("verdict %d of XDP", verdict)
	}
	if bytes.Equal(out, frame) {
		return nil
	}
	ours := in
	ours.to = 0
	want := m.world.Decap(m.frame(ours))
	if m.role == RoleGateway {
		if len(out) < delivery || binary.NativeEndian.Uint32(out[4:]) != uint32(m.b.proxy0) {
			return fmt.Errorf("XDP leaves %x", out)
		}
		out = out[delivery:]
	}
	if want.Kind != model.Delivered || !bytes.Equal(out[14:], want.Out) {
		return fmt.Errorf("it %s in the model as\n%sand leaves XDP as\n%s", want.Kind, hex.Dump(want.Out), hex.Dump(out[14:]))
	}
	return nil
}

// How many random packets each program gets, and of which sequence.
var modelRounds, modelSeed = 5000, uint64(7)

// The programs do with random packets what the model says: good ones, bad ones, and good ones
// with a few bits changed, in both directions and families, at both ends. Each packet that
// enters a program is delivered, answered or counted, and the counters add up.
func TestProgramsFollowTheModel(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		t.Run(either(cookies, "with cookies", "without cookies"), func(t *testing.T) { programsFollowTheModel(t, newBenchOf(t, cookies)) })
	}
}

func programsFollowTheModel(t *testing.T, b *bench) {
	rounds := modelRounds
	if testing.Short() {
		rounds = 1000
	}
	for _, role := range []Role{RoleGateway, RoleClient} {
		for _, decap := range []bool{false, true} {
			name := map[Role]string{RoleGateway: "gateway", RoleClient: "client"}[role] + map[bool]string{false: ", into tunnels", true: ", out of tunnels"}[decap]
			t.Run(name, func(t *testing.T) {
				m, side := b.modeled(role), b.gatewaySide
				if role == RoleClient {
					side = b.nodeSide
				}
				g := &generator{random: rand.New(rand.NewPCG(modelSeed, uint64(role))), gateway: role == RoleGateway, cookies: b.cookies}
				before := totalDrops(t, side)
				_, n := b.side(role)
				must(t, n.Do(func() error {
					for i := range rounds {
						if i%500 == 0 {
							if err := m.forget(); err != nil {
								return err
							}
						}
						// What a client node answers depends on what came before.
						in := g.input(decap != (role == RoleClient && g.chance(10)))
						if err := m.compare(in); err != nil {
							return fmt.Errorf("packet %d, type %#x, to %v: %w\n%s", i, in.kind, m.macs()[in.to], err, hex.Dump(in.packet))
						}
					}
					return nil
				}))
				var sum uint64
				for _, n := range m.fates {
					sum += n
				}
				if sum != m.entered || totalDrops(t, side)-before != m.fates[model.Dropped]+m.fates[model.Answered] {
					t.Errorf("%d packets entered, %d drops are counted, and these are the fates: %v", m.entered, totalDrops(t, side)-before, m.fates)
				}
				t.Logf("%d packets; %v; reasons: %v", m.entered, m.fates, m.reasons)
				for _, kind := range kindsOf(role, decap) {
					if m.fates[kind] < uint64(rounds)/500 {
						t.Errorf("only %d of %d packets: %s", m.fates[kind], rounds, kind)
					}
				}
			})
		}
	}
}

// kindsOf are the fates that packets of a program may have.
func kindsOf(role Role, decap bool) []model.Kind {
	switch {
	case decap && role == RoleClient:
		return []model.Kind{model.Passes, model.Dropped, model.Delivered, model.Answered}
	case decap:
		return []model.Kind{model.Passes, model.Dropped, model.Delivered}
	}
	return []model.Kind{model.Passes, model.Dropped, model.Sent, model.Answered, model.Parted}
}

// FuzzPrograms has the fuzzer look for packets of which the programs make something else than
// the model.
func FuzzPrograms(f *testing.F) {
	type node struct{ gateway, cookies bool }
	sides := map[node]*modeled{}
	for _, cookies := range []bool{false, true} {
		b := newBenchOf(f, cookies)
		sides[node{false, cookies}], sides[node{true, cookies}] = b.modeled(RoleClient), b.modeled(RoleGateway)
		for _, gateway := range []bool{false, true} {
			g := &generator{random: rand.New(rand.NewPCG(8, 9)), gateway: gateway, cookies: cookies}
			for i := range 100 {
				in := g.input(i%2 == 0)
				f.Add(gateway, cookies, in.decap, uint8(in.to), in.kind, in.packet)
			}
		}
	}
	f.Fuzz(func(t *testing.T, gateway, cookies, decap bool, to uint8, kind uint16, packet []byte) {
		if len(packet) < 40 || len(packet) > testRunMost {
			return // the kernel runs no program on less than an IP header
		}
		if !gateway && !decap && len(packet) > underlayMTU {
			return
		}
		m := sides[node{gateway, cookies}]
		_, n := m.b.side(m.role)
		must(t, n.Do(func() error {
			if err := m.forget(); err != nil {
				return err
			}
			return m.compare(input{decap, int(to) % 4, kind, packet})
		}))
	})
}
