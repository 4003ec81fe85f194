// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// partOf is one of the two fragments of a packet.
func partOf(from, to string, id uint32, first bool, source, destination uint16) []byte {
	payload := make([]byte, 16)
	if first {
		payload = udp(source, destination, make([]byte, 24))
	}
	if netip.MustParseAddr(from).Is4() {
		return ip4{id: uint16(id), flags: either[uint16](first, moreFragments, 4)}.packet(from, to, protoUDP, payload)
	}
	offset := either[uint16](first, 1, 32)
	return ip6{first: 44, fragment: true, extensions: concat([]byte{protoUDP, 0}, be16(offset), be32(id))}.packet(from, to, protoUDP, payload)
}

// visitor is whom proxies answer.
var visitor = map[bool]string{false: "203.0.113.99", true: "2001:db8:99::9"}

// ways are the ways of fragments of which a gateway notes the first one. Each sends one of the
// two fragments of a packet of a proxy, and returns whether it went where it should. Those
// from an endpoint are for the second pod.
func (s *sharing) ways() map[string]func(t *testing.T, proxy int, v6 bool, id uint32, first bool) bool {
	const endpointsPort = 1999 // of the second pod
	gateway, node := ends(false)
	return map[string]func(t *testing.T, proxy int, v6 bool, id uint32, first bool) bool{
		"into the tunnel": func(t *testing.T, proxy int, v6 bool, id uint32, first bool) bool {
			t.Helper()
			return s.send(t, s.pods[proxy][0], partOf(addressOf(proxy, v6), endpointOf(tunnel4, v6), id, first, 40000, worldPort)) == redirect
		},
		"to a visitor": func(t *testing.T, proxy int, v6 bool, id uint32, first bool) bool {
			t.Helper()
			return s.send(t, s.pods[proxy][0], partOf(addressOf(proxy, v6), visitor[v6], id, first, publicPort, 40000)) == pass
		},
		"from an endpoint": func(t *testing.T, proxy int, v6 bool, id uint32, first bool) bool {
			t.Helper()
			if first {
				request := ip(addressOf(proxy, v6), endpointOf(tunnel4, v6), protoUDP, udp(endpointsPort, worldPort, nil))
				if verdict := s.send(t, s.pods[proxy][1], request); verdict != redirect {
					t.Fatalf("a request of the second pod: verdict %d", verdict)
				}
			}
			answer := partOf(endpointOf(tunnel4, v6), addressOf(proxy, v6), id, first, worldPort, endpointsPort)
			verdict, frame, err := s.run(RoleGateway, step{program: "decap", in: outer(node, gateway, []uint32{tunnel4, crowdTunnel}[proxy], answer)})
			must(t, err)
			if verdict != redirect {
				t.Fatalf("an answer's fragment: verdict %d", verdict)
			}
			_ = frame
			return s.restGoes(t, proxy, v6, id) == s.pods[proxy][1]
		},
	}
}

// restGoes returns the interface that is noted of an endpoint's fragmented packet, zero for none.
func (s *sharing) restGoes(t *testing.T, proxy int, v6 bool, id uint32) int {
	t.Helper()
	for key, path := range s.fragmentsOf(t, addressOf(proxy, v6)) {
		if key.Id == fragmentID(v6, id) && key.Scope == []uint32{tunnel4, crowdTunnel}[proxy] {
			return int(path.Ifindex)
		}
	}
	return 0
}

// fragmentID is a fragmented packet's ID as the programs note it.
func fragmentID(v6 bool, id uint32) uint32 {
	b := be32(id)
	if !v6 {
		b = concat(be16(uint16(id)), []byte{0, 0})
	}
	return binary.NativeEndian.Uint32(b)
}

// fragmentsOf lists what is noted of an address.
func (s *sharing) fragmentsOf(t *testing.T, address string) map[bpf.KernelFragments]bpf.KernelFragmentPath {
	t.Helper()
	return notedOf[bpf.KernelFragments, bpf.KernelFragmentPath](t, s.gatewaySide.objects.ProxyFragments, address)
}

func (s *sharing) fragmentCounts(t *testing.T) map[string]AddressCounts {
	t.Helper()
	return countsOf(t, s.gatewaySide.FragmentCounts)
}

func newFragmenting(t *testing.T) *sharing {
	t.Helper()
	s := newSharing(t)
	for _, pods := range s.pods {
		for _, pod := range pods {
			must(t, s.gatewaySide.Openings().Put(Opening{Interface: pod, Protocol: protoUDP, Port: publicPort}))
		}
	}
	return s
}

// However many fragments one proxy and its endpoints send, the rest of another's fragmented
// packets arrives, on every way; and what is kept of the one is bounded.
func TestFragmentsOfOneProxyDisplaceNoOthers(t *testing.T) {
	s := newFragmenting(t)
	const many = 10000
	next := uint32(10)
	for flooded, flood := range s.ways() {
		for name, way := range s.ways() {
			for _, v6 := range []bool{false, true} {
				next++
				id := next
				if !way(t, 0, v6, id, true) {
					t.Fatalf("%s, %s: the first fragment does not arrive", name, family(v6))
				}
				for i := range uint32(many) {
					packet := partOf(addressOf(1, v6), endpointOf(tunnel4, v6), 1000+i, true, 40000, worldPort)
					switch flooded {
					case "into the tunnel":
						s.send(t, s.pods[1][i%2], packet)
					default:
						flood(t, 1, v6, 1000+i, true)
					}
					if flooded == "from an endpoint" && i == many/20 {
						break // it is slower; half of this fills the map
					}
				}
				if !way(t, 0, v6, id, false) {
					t.Errorf("%s, %s: the rest does not arrive after many packets %s of another proxy", name, family(v6), flooded)
				}
				if n := len(s.fragmentsOf(t, addressOf(1, v6))); n > 1024 {
					t.Errorf("%s: %d packets of the proxy that has many are noted", family(v6), n)
				}
			}
		}
	}
	for _, v6 := range []bool{false, true} {
		if got := s.fragmentCounts(t)[addressOf(1, v6)]; got.Noted < 2*many || got.Unknown != 0 {
			t.Errorf("counted are %+v", got)
		}
		// The flood's own packets that are forgotten end here.
		before, err := s.gatewaySide.Drops()
		must(t, err)
		if s.ways()["into the tunnel"](t, 1, v6, 1000, false) {
			t.Errorf("%s: the rest of a packet that is forgotten passes", family(v6))
		}
		after, err := s.gatewaySide.Drops()
		must(t, err)
		if got := s.fragmentCounts(t)[addressOf(1, v6)].Unknown; got != 1 || after[DropFragmentUnmatched] != before[DropFragmentUnmatched]+1 {
			t.Errorf("%s: %d are counted as unknown, and %d as dropped", family(v6), got, after[DropFragmentUnmatched]-before[DropFragmentUnmatched])
		}
	}
}

// Nothing is noted or counted of a proxy by what others send in its name, and without a map
// the rest of a packet ends at the gateway.
func TestFragmentsThatNobodyNotes(t *testing.T) {
	s := newFragmenting(t)
	d := s.gatewaySide
	counts := s.fragmentCounts(t)
	for _, v6 := range []bool{false, true} {
		victim, pod := addressOf(0, v6), endpointOf(tunnel4, v6)
		for name, packet := range map[string][]byte{
			"a first fragment into the tunnel": partOf(victim, pod, 7, true, 40000, worldPort),
			"the rest of it":                   partOf(victim, pod, 7, false, 0, 0),
			"a first fragment to a visitor":    partOf(victim, visitor[v6], 8, true, publicPort, 40000),
			"the rest of that":                 partOf(victim, visitor[v6], 8, false, 0, 0),
		} {
			before := totalDrops(t, d)
			if verdict := s.send(t, s.pods[1][0], packet); verdict != shot || totalDrops(t, d) != before+1 {
				t.Errorf("%s, %s: verdict %d, %d counted", family(v6), name, verdict, totalDrops(t, d)-before)
			}
		}
		if got := s.fragmentsOf(t, victim); len(got) != 0 {
			t.Errorf("%s: noted are %v", family(v6), got)
		}
		if got := s.fragmentCounts(t)[victim]; got != counts[victim] {
			t.Errorf("%s: counted are %+v, and were %+v", family(v6), got, counts[victim])
		}
	}
	must(t, clearMap[[16]byte](d.objects.ProxyFragments))
	check := func(when string, arrives bool) {
		t.Helper()
		for _, v6 := range []bool{false, true} {
			for name, way := range s.ways() {
				if name == "from an endpoint" {
					continue // goes to the first pod then
				}
				if !way(t, 0, v6, 9, true) || way(t, 0, v6, 9, false) != arrives {
					t.Errorf("%s, %s, %s: the rest of a packet arrives: %v", when, name, family(v6), !arrives)
				}
			}
		}
	}
	check("without maps", false)
	must(t, s.gateway.Do(func() error {
		n, err := d.Repair()
		if n == 0 {
			t.Error("nothing was mended")
		}
		return err
	}))
	check("repaired", true)
	must(t, s.gateway.Do(func() error { return d.Proxies().Delete(s.pods[1][0], s.pods[1][1]) }))
	for _, v6 := range []bool{false, true} {
		if s.fragmentsOf(t, addressOf(1, v6)) != nil {
			t.Errorf("%s: a proxy that is gone has a map", family(v6))
		}
	}
	check("with the other proxy gone", true)
}

// A restart keeps what is noted, also one after a version that had one map for all proxies.
func TestFragmentsOutliveRestarts(t *testing.T) {
	s := newFragmenting(t)
	restart := func(between func()) {
		t.Helper()
		must(t, s.gatewaySide.Close())
		between()
		must(t, s.gateway.Do(func() (err error) {
			s.gatewaySide, err = Open(s.gatewayOptions)
			return err
		}))
	}
	ids := map[string]uint32{}
	each := func(first bool, when string) {
		t.Helper()
		for name, way := range s.ways() {
			for _, v6 := range []bool{false, true} {
				for proxy := range s.pods {
					if first {
						ids[name] = uint32(20 + len(name))
					}
					if !way(t, proxy, v6, ids[name], first) {
						t.Errorf("%s, %s, %s, proxy %d: a fragment does not arrive", when, name, family(v6), proxy)
					}
				}
			}
		}
	}
	each(true, "at first")
	noted := map[bpf.KernelFragments]bpf.KernelFragmentPath{}
	for _, v6 := range []bool{false, true} {
		for proxy := range s.pods {
			for key, path := range s.fragmentsOf(t, addressOf(proxy, v6)) {
				noted[key] = path
			}
		}
	}
	restart(func() {})
	each(false, "after a restart")
	restart(func() {
		spec, err := bpf.LoadKernel()
		must(t, err)
		old, err := ebpf.NewMap(spec.Maps[bpf.KernelMapFragmented])
		must(t, err)
		for key, path := range noted {
			if key.Scope == uint32(s.pods[0][0]) || key.Scope == uint32(s.pods[1][0]) {
				path.Ifindex = 0 // that version noted none
			}
			must(t, old.Put(key, path))
		}
		must(t, old.Put(bpf.KernelFragments{Id: 9}, bpf.KernelFragmentPath{Tunnel: 9}))
		for _, name := range []string{bpf.KernelMapFragmented, bpf.KernelMapProxyFragments, bpf.KernelMapFragmentCounts} {
			must(t, os.Remove(filepath.Join(s.gatewayPins, name)))
		}
		must(t, errors.Join(old.Pin(filepath.Join(s.gatewayPins, bpf.KernelMapFragmented)), old.Close()))
	})
	each(false, "after a version with one map for all")
	restart(func() {})
	each(false, "after another restart")
	if left, err := filepath.Glob(filepath.Join(s.gatewayPins, "*_next")); len(left) > 0 || err != nil {
		t.Errorf("left behind are %v: %v", left, err)
	}
}
