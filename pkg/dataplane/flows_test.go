// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/test/netlab"
)

// sharing is a bench on whose gateway two proxies run, of different tenants, with two pods
// each.
type sharing struct {
	*bench
	// pods are the interfaces of each proxy.
	pods [2][2]int
}

const crowdTunnel = 7 // of the second proxy, with the endpoints of tunnel4

// crowdProxy are the second proxy's addresses.
var crowdProxy = map[bool]string{false: "198.51.100.77", true: "2001:db8:7::77"}

func newSharing(t *testing.T) *sharing {
	t.Helper()
	s := &sharing{bench: newBench(t)}
	s.pods[0] = [2]int{s.proxy0, s.proxy1}
	sources := []netip.Addr{netip.MustParseAddr(crowdProxy[false]), netip.MustParseAddr(crowdProxy[true])}
	must(t, s.gatewaySide.Tunnels().Put(Tunnel{ID: crowdTunnel, Local: port(gatewayAddress[false], DefaultPort), Remote: port(nodeAddress[false], DefaultPort), MTU: 1464}))
	for i := range s.pods[1] {
		name, inside := fmt.Sprintf("crowd%d", i), fmt.Sprintf("net1%d", i)
		must(t, netlab.Veth(s.gateway, name, s.proxy, inside, 1500))
		s.pods[1][i] = index(t, s.gateway, name)
		must(t, s.gateway.Do(func() error {
			return s.gatewaySide.Proxies().Put(Proxy{Interface: s.pods[1][i], PeerMAC: mac(t, s.proxy, inside), Addresses: sources})
		}))
	}
	for proxy, tunnel := range []uint32{tunnel4, crowdTunnel} {
		for _, pod := range s.pods[proxy] {
			for _, v6 := range []bool{false, true} {
				for _, protocol := range []uint8{protoTCP, protoUDP} {
					must(t, s.gatewaySide.Services().Put(Service{Tunnel: tunnel, Endpoint: port(endpointOf(tunnel4, v6), worldPort), Protocol: protocol, Interface: pod}))
				}
			}
		}
	}
	return s
}

func addressOf(proxy int, v6 bool) string {
	return []map[bool]string{proxyAddress, crowdProxy}[proxy][v6]
}

// send has a pod send a packet, and returns the verdict.
func (s *sharing) send(t *testing.T, ifindex int, packet []byte) (verdict uint32) {
	t.Helper()
	must(t, s.gateway.Do(func() (err error) {
		verdict, err = s.gatewaySide.objects.EpicGatewayEncap.Run(&ebpf.RunOptions{
			Data: ether(s.fixtureMAC["gateway"], s.fixtureMAC["net1"], packet), Context: skbContext(ifindex, 0),
		})
		return err
	}))
	return verdict
}

// request has a pod of a proxy send a segment from a port.
func (s *sharing) request(t *testing.T, proxy, pod int, v6 bool, from uint16) {
	t.Helper()
	packet := ip(addressOf(proxy, v6), endpointOf(tunnel4, v6), protoTCP, tcp(from, worldPort, flagACK, nil, nil))
	if verdict := s.send(t, s.pods[proxy][pod], packet); verdict != redirect {
		t.Fatalf("a request of proxy %d by pod %d: verdict %d", proxy, pod, verdict)
	}
}

// answered returns the interface to which the answer goes.
func (s *sharing) answered(t *testing.T, proxy int, v6 bool, to uint16) int {
	t.Helper()
	gateway, node := ends(false)
	answer := ip(endpointOf(tunnel4, v6), addressOf(proxy, v6), protoTCP, tcp(worldPort, to, flagACK, nil, nil))
	verdict, frame, err := s.run(RoleGateway, step{program: "xdp", in: outer(node, gateway, []uint32{tunnel4, crowdTunnel}[proxy], answer)})
	must(t, err)
	if verdict != xdpPass {
		t.Fatalf("an answer to proxy %d: verdict %d", proxy, verdict)
	}
	return int(binary.NativeEndian.Uint32(frame[4:]))
}

// notedOf lists what is noted of an address, in one of the maps of addresses.
func notedOf[K comparable, V any](t *testing.T, all *ebpf.Map, address string) map[K]V {
	t.Helper()
	key := as16(netip.MustParseAddr(address))
	m, err := innerOf(all, key[:])
	must(t, err)
	if m == nil {
		return nil
	}
	defer m.Close()
	noted, err := readMap[K, V](m)
	must(t, err)
	return noted
}

// countsOf reads counts by address.
func countsOf(t *testing.T, read func() ([]AddressCounts, error)) map[string]AddressCounts {
	t.Helper()
	list, err := read()
	must(t, err)
	counts := map[string]AddressCounts{}
	for _, c := range list {
		counts[c.Address.String()] = c
	}
	return counts
}

// flowsOf lists the flows of an address, and where they go.
func (s *sharing) flowsOf(t *testing.T, address string) map[bpf.KernelFlow]bpf.KernelPath {
	t.Helper()
	flows := notedOf[bpf.KernelFlow, bpf.KernelPath](t, s.gatewaySide.objects.ProxyFlows, address)
	for flow, path := range flows {
		flows[flow] = bpf.KernelPath{Tunnel: path.Tunnel, Ifindex: path.Ifindex}
	}
	return flows
}

func (s *sharing) counts(t *testing.T) map[string]AddressCounts {
	t.Helper()
	return countsOf(t, s.gatewaySide.FlowCounts)
}

// However many flows one proxy has, the node forgets none of another's; and what it keeps of
// the one is bounded.
func TestFlowsOfOneProxyDisplaceNoOthers(t *testing.T) {
	s := newSharing(t)
	const own, many = 1001, 20000
	for _, v6 := range []bool{false, true} {
		s.request(t, 0, 0, v6, own-1)
		s.request(t, 0, 1, v6, own)
	}
	for _, v6 := range []bool{false, true} {
		for from := range uint16(many) {
			s.request(t, 1, int(from%2), v6, 10000+from)
		}
	}
	for _, v6 := range []bool{false, true} {
		for to, want := range map[uint16]int{own - 1: s.pods[0][0], own: s.pods[0][1]} {
			if got := s.answered(t, 0, v6, to); got != want {
				t.Errorf("%s: the answer to port %d goes to interface %d, want %d", family(v6), to, got, want)
			}
		}
		if got := s.answered(t, 1, v6, 10000+many-1); got != s.pods[1][1] {
			t.Errorf("%s: the answer of the last of many flows goes to interface %d, want %d", family(v6), got, s.pods[1][1])
		}
		if got := s.answered(t, 1, v6, 10001); got != s.pods[1][0] {
			t.Errorf("%s: the answer of a forgotten flow goes to interface %d, want %d", family(v6), got, s.pods[1][0])
		}
		if n := len(s.flowsOf(t, crowdProxy[v6])); n > int(s.gatewayOptions.MaxProxyFlows) || n < int(s.gatewayOptions.MaxProxyFlows)/4 {
			t.Errorf("%s: %d flows of the proxy that has many are known, and the limit is %d", family(v6), n, s.gatewayOptions.MaxProxyFlows)
		}
	}
	counts := s.counts(t)
	for _, v6 := range []bool{false, true} {
		for proxy, want := range []AddressCounts{{Noted: 2}, {Noted: many, Unknown: 1}} {
			got := counts[addressOf(proxy, v6)]
			if want.Address = netip.MustParseAddr(addressOf(proxy, v6)); got != want {
				t.Errorf("counted are %+v, want %+v", got, want)
			}
		}
	}
}

// What a proxy sends in another's name, or out of order, is noted of nobody; and what comes
// by a tunnel is noted of nobody, whoever sends it.
func TestFlowsThatNobodyNotes(t *testing.T) {
	s := newSharing(t)
	s.request(t, 0, 1, false, 1001)
	s.request(t, 0, 1, true, 1001)
	was := map[string]map[bpf.KernelFlow]bpf.KernelPath{}
	for _, v6 := range []bool{false, true} {
		for proxy := range s.pods {
			was[addressOf(proxy, v6)] = s.flowsOf(t, addressOf(proxy, v6))
		}
	}
	counts := s.counts(t)
	gateway, node := ends(false)
	for _, v6 := range []bool{false, true} {
		pod, victim, own, icmps := endpointOf(tunnel4, v6), proxyAddress[v6], crowdProxy[v6], icmpOf(v6)
		stolen := ip(victim, pod, protoTCP, tcp(1001, worldPort, flagACK, nil, nil))
		for name, packet := range map[string][]byte{
			"the victim's flow":                stolen,
			"a new flow of the victim":         ip(victim, pod, protoUDP, udp(1002, worldPort, nil)),
			"a ping of the victim":             ip(victim, pod, icmps, icmp(either(v6, byte(128), byte(8)), 0, 1, nil)),
			"the victim's first fragment":      firstFragment(victim, pod, udp(1001, worldPort, make([]byte, 8))),
			"an error about the victim's flow": ip(own, pod, icmps, unreachablePort(v6, ip(pod, victim, protoTCP, tcp(worldPort, 1001, flagACK, nil, nil)))),
			"a port that is not registered":    ip(own, pod, protoTCP, tcp(1001, worldPort+1, flagACK, nil, nil)),
			"another protocol":                 ip(own, pod, 47, make([]byte, 40)),
			"a segment that is cut off":        ip(own, pod, protoTCP, be16(1001)),
			"a fragment without a first one":   laterFragment(own, pod, protoUDP, make([]byte, 8)),
			"a flow to a direct endpoint":      ip(own, directAddress[v6], protoTCP, tcp(1001, directPort, flagACK, nil, nil)),
		} {
			before := totalDrops(t, s.gatewaySide)
			if verdict := s.send(t, s.pods[1][0], packet); verdict != shot || totalDrops(t, s.gatewaySide) != before+1 {
				t.Errorf("%s, %s: verdict %d, %d counted", family(v6), name, verdict, totalDrops(t, s.gatewaySide)-before)
			}
		}
		answer := ip(pod, victim, protoTCP, tcp(worldPort, 1001, flagACK, nil, nil))
		for name, try := range map[string]step{
			"the victim's flow by another's tunnel": {program: "decap", in: outer(node, gateway, crowdTunnel, answer), verdict: shot, drop: DropWrongPeer},
			"the victim's flow without its tunnel":  {program: "decap", in: outer(node, gateway, 1<<20, answer), verdict: shot, drop: DropUnknownTunnel},
		} {
			t.Log(family(v6), name)
			s.check(t, RoleGateway, try)
		}
		if got := s.answered(t, 0, v6, 1001); got != s.pods[0][1] {
			t.Errorf("%s: the victim's answer goes to interface %d, want %d", family(v6), got, s.pods[0][1])
		}
	}
	if got := s.counts(t); !reflect.DeepEqual(got, counts) {
		t.Errorf("counted are %+v, and were %+v", got, counts)
	}
	// Answers of flows that nobody knows are counted, and leave nothing behind.
	for from := range uint16(3000) {
		if got := s.answered(t, 1, false, 20000+from); got != s.pods[1][0] {
			t.Fatalf("an answer of a flow that nobody knows goes to interface %d", got)
		}
	}
	if got := s.counts(t)[crowdProxy[false]].Unknown; got != 3000 {
		t.Errorf("%d answers are counted as unknown, want 3000", got)
	}
	for address, flows := range was {
		if got := s.flowsOf(t, address); !reflect.DeepEqual(got, flows) {
			t.Errorf("the flows of %s are %v, and were %v", address, got, flows)
		}
	}
}

// A proxy has a map of flows for each address as long as several pods of it run on the node.
// Somebody's changes are repaired.
func TestFlowMapsFollowProxies(t *testing.T) {
	s := newSharing(t)
	d := s.gatewaySide
	check := func(when string, want ...string) {
		t.Helper()
		made, err := entryKeys[[16]byte, uint32](d.objects.ProxyFlows)
		must(t, err)
		counted, err := entryKeys[[16]byte, bpf.KernelFlowCount](d.objects.FlowCounts)
		must(t, err)
		wanted := map[[16]byte]struct{}{}
		for _, address := range want {
			wanted[as16(netip.MustParseAddr(address))] = struct{}{}
		}
		if !reflect.DeepEqual(made, wanted) || !reflect.DeepEqual(counted, wanted) {
			t.Errorf("%s: %d maps and %d counts, want %v", when, len(made), len(counted), want)
		}
		must(t, s.gateway.Do(func() error {
			n, err := d.Repair()
			if n != 0 {
				t.Errorf("%s: %d things had to be mended", when, n)
			}
			return err
		}))
	}
	all := []string{proxyAddress[false], proxyAddress[true], crowdProxy[false], crowdProxy[true]}
	check("at first", all...)
	foreign := as16(netip.MustParseAddr("203.0.113.99"))
	for name, damage := range map[string]func() error{
		"a map is deleted":        func() error { return d.objects.ProxyFlows.Delete(as16(netip.MustParseAddr(all[0]))) },
		"all are deleted":         func() error { return clearMap[[16]byte](d.objects.ProxyFlows) },
		"the counts are deleted":  func() error { return clearMap[[16]byte](d.objects.FlowCounts) },
		"a foreign count is made": func() error { return d.objects.FlowCounts.Put(foreign, bpf.KernelFlowCount{Noted: 1}) },
		"a foreign map is made": func() error {
			m, err := ebpf.NewMap(d.flows.spec)
			must(t, err)
			return errors.Join(d.objects.ProxyFlows.Put(foreign, m), m.Close())
		},
	} {
		must(t, damage())
		must(t, s.gateway.Do(func() error {
			n, err := d.Repair()
			if n == 0 {
				t.Errorf("%s: nothing was mended", name)
			}
			return err
		}))
		check(name, all...)
	}
	s.request(t, 1, 1, false, 1001)
	remove := func(ifindex int) {
		must(t, s.gateway.Do(func() error { return d.Proxies().Delete(ifindex) }))
	}
	remove(s.pods[0][1])
	check("with one pod of the first", all[2:]...)
	if got := s.answered(t, 1, false, 1001); got != s.pods[1][1] {
		t.Errorf("then an answer to the second goes to %d, want %d", got, s.pods[1][1])
	}
	remove(s.pods[1][1])
	remove(s.pods[1][0])
	check("with none of the second")
}

// A restart keeps the flows, and so does one with another limit and one after a version that
// had one map for all proxies.
func TestFlowsOutliveRestarts(t *testing.T) {
	s := newSharing(t)
	for _, v6 := range []bool{false, true} {
		for proxy := range s.pods {
			for pod := range s.pods[proxy] {
				s.request(t, proxy, pod, v6, uint16(1000+pod))
			}
		}
	}
	var all []string
	noted := map[bpf.KernelFlow]bpf.KernelPath{}
	for _, v6 := range []bool{false, true} {
		for proxy := range s.pods {
			all = append(all, addressOf(proxy, v6))
			for flow, path := range s.flowsOf(t, addressOf(proxy, v6)) {
				noted[flow] = path
			}
		}
	}
	counts := s.counts(t)
	check := func(when string) {
		t.Helper()
		for _, v6 := range []bool{false, true} {
			for proxy := range s.pods {
				for pod, want := range s.pods[proxy] {
					if got := s.answered(t, proxy, v6, uint16(1000+pod)); got != want {
						t.Errorf("%s, %s: an answer to pod %d of proxy %d goes to interface %d, want %d", when, family(v6), pod, proxy, got, want)
					}
				}
			}
		}
		must(t, s.gateway.Do(func() error {
			// Nobody has put the rest again.
			_, err := s.gatewaySide.flows.repair()
			return err
		}))
		if left, err := filepath.Glob(filepath.Join(s.gatewayPins, "*_next")); len(left) > 0 || err != nil {
			t.Errorf("%s: left behind are %v: %v", when, left, err)
		}
	}
	restart := func(meanwhile func()) {
		t.Helper()
		must(t, s.gatewaySide.Close())
		meanwhile()
		must(t, s.gateway.Do(func() (err error) {
			s.gatewaySide, err = Open(s.gatewayOptions)
			return err
		}))
	}
	restart(func() {})
	check("a restart")
	restart(func() { s.gatewayOptions.MaxProxyFlows = 512 })
	check("a smaller limit")
	if got := s.counts(t); !reflect.DeepEqual(got, counts) {
		t.Errorf("counted are %+v, and were %+v", got, counts)
	}
	key := as16(netip.MustParseAddr(all[0]))
	inner, err := innerOf(s.gatewaySide.objects.ProxyFlows, key[:])
	must(t, err)
	if got := inner.MaxEntries(); got != 512 {
		t.Errorf("the limit is %d, want 512", got)
	}
	must(t, inner.Close())
	restart(func() {
		spec, err := bpf.LoadKernel()
		must(t, err)
		old, err := ebpf.NewMap(spec.Maps[bpf.KernelMapFlows])
		must(t, err)
		for flow, path := range noted {
			must(t, old.Put(flow, path))
		}
		stranger := bpf.KernelFlow{SourcePort: 9}
		must(t, old.Put(stranger, bpf.KernelPath{Tunnel: 9}))
		for _, name := range []string{bpf.KernelMapFlows, bpf.KernelMapProxyFlows, bpf.KernelMapFlowCounts} {
			must(t, os.Remove(filepath.Join(s.gatewayPins, name)))
		}
		must(t, errors.Join(old.Pin(filepath.Join(s.gatewayPins, bpf.KernelMapFlows)), old.Close()))
	})
	check("a version with one map for all")
	restart(func() {})
	check("another restart")
}
