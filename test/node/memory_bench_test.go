// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// manyNodes is the number of client nodes of each proxy in the benchmark, with a tunnel
// and an endpoint each: the maximum number of endpoints of a slice.
const manyNodes = 1000

// BenchmarkMemory is what a gateway's program needs for each tunnel with an endpoint:
// the difference between 10 tunnels and 100,000, of the live heap and of the resident
// memory. The tunnels are those of 100 gateway proxies to 1,000 nodes each.
func BenchmarkMemory(b *testing.B) {
	s := newSite(b, 1)
	// So many tunnels have no metrics each, and all are of one account.
	s.gateway.ready()
	s.must(s.gateway.process.Stop())
	s.gateway.run("--tunnel-metrics=false", "--account-share=100")
	s.gateway.ready()
	_, err := s.client.EpicV1().Accounts(namespace(0)).Patch(b.Context(), account(0), types.MergePatchType, []byte(`{"spec":{"proxyLimit":1000}}`), metav1.PatchOptions{})
	s.must(err)
	for b.Loop() {
		s.manyTunnels(0, 10)
		s.hasTunnels(10)
		few := s.gateway.memory(b)
		s.nodes(0, 10, manyNodes)
		for i := range 99 {
			s.manyTunnels(i+1, manyNodes)
		}
		begin := time.Now()
		s.hasTunnels(100 * manyNodes)
		b.Logf("the last of the tunnels came after %s", time.Since(begin).Round(time.Second))
		many := s.gateway.memory(b)
		n := float64(100*manyNodes - 10)
		b.ReportMetric((many.live-few.live)/n, "B-heap/tunnel")
		b.ReportMetric((many.resident-few.resident)/n, "B-resident/tunnel")
		b.ReportMetric(few.resident/(1<<20), "MiB-resident-10")
		b.ReportMetric(many.resident/(1<<20), "MiB-resident-100k")
	}
}

// memory is what a program needs, in bytes.
type memory struct{ live, resident float64 }

// memory waits until a node program has returned what it will.
func (e *end) memory(b *testing.B) memory {
	m := memory{resident: math.Inf(1)}
	for range 12 {
		time.Sleep(5 * time.Second)
		m.resident = min(m.resident, e.metric("process_resident_memory_bytes"))
	}
	// The collector runs when the heap is twice what was live.
	e.s.must(e.process.Signal(unix.SIGUSR1))
	time.Sleep(5 * time.Second)
	m.live = e.metric("go_memstats_next_gc_bytes") / 2
	b.Logf("%.1f MiB live, %.1f MiB resident", m.live/(1<<20), m.resident/(1<<20))
	return m
}

// heapEnv names a directory for profiles of the live heap. The benchmark of memory writes those of
// the gateway's program there, with few tunnels and with all.
const heapEnv = "EPIC_TEST_HEAP"

// collectOnSignal has this process, a program, collect garbage on SIGUSR1, and write a profile of
// its live heap if that is wanted.
func collectOnSignal() {
	dir := os.Getenv(heapEnv)
	if dir != "" {
		runtime.MemProfileRate = 64 << 10
	}
	wanted := make(chan os.Signal, 1)
	signal.Notify(wanted, unix.SIGUSR1)
	go func() {
		for range wanted {
			// The first leaves alone what was in use until then, such as buffers to be used again.
			runtime.GC()
			runtime.GC()
			if dir == "" {
				continue
			}
			f, err := os.Create(filepath.Join(dir, time.Now().Format("heap-150405.pprof")))
			if err == nil {
				err = errors.Join(pprof.WriteHeapProfile(f), f.Close())
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
}

// hasTunnels waits until the gateway has that many.
func (s *site) hasTunnels(want int) {
	s.t.Helper()
	for now := 0.0; now != float64(want); time.Sleep(2 * time.Second) {
		now = s.gateway.metric(`epic_node_tunnels{state="opening"}`)
	}
}

// manyTunnels makes the i-th gateway proxy, and endpoints of it on the first nodes.
func (s *site) manyTunnels(i, nodes int) {
	s.t.Helper()
	name := fmt.Sprintf("many%d", i)
	gw, err := s.client.EpicV1().GWProxies(namespace(0)).Create(s.t.Context(), &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLBServiceGroupLabel: group4}},
		Spec:       epicv1.GWProxySpec{PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.must(netlab.Veth(s.world.Gateway, fmt.Sprintf("v%d", i), s.world.Gateway, fmt.Sprintf("w%d", i), world.MTU))
	outer, err := s.world.Gateway.LinkByName(fmt.Sprintf("v%d", i))
	s.must(err)
	inner, err := s.world.Gateway.LinkByName(fmt.Sprintf("w%d", i))
	s.must(err)
	s.describeProxy(&world.Proxy{Interface: proxies.Interface{
		Kind: proxies.GWProxy, Namespace: gw.Namespace, Owner: name, Pod: name, Index: outer.Attrs().Index, Name: outer.Attrs().Name,
		PeerMAC: inner.Attrs().HardwareAddr, Addresses: []netip.Addr{netip.MustParseAddr(gw.Spec.PublicAddress)},
	}})
	port := gatewayv1.PortNumber(httpPort)
	(&gatewayProxy{s: s, gw: gw}).route(name, epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(name)}}},
		Rules: []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{{
			BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(name), Port: &port},
		}}}},
	}}})
	s.nodes(i, 0, nodes)
}

// nodes makes an endpoint of the i-th gateway proxy on each of some nodes.
func (s *site) nodes(i, from, to int) {
	s.t.Helper()
	name := fmt.Sprintf("many%d", i)
	port, portName := int32(httpPort), "web"
	spec := epicv1.GWEndpointSliceSpec{
		ParentRef: epicv1.ClientRef{UID: name}, NodeAddresses: map[string]string{},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
	}
	for n := from; n < to; n++ {
		node := fmt.Sprintf("node%d", n)
		spec.NodeAddresses[node] = netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}).String()
		spec.Endpoints = append(spec.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{netip.AddrFrom4([4]byte{10, 244, byte(n >> 8), byte(n)}).String()}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	_, err := s.client.EpicV1().GWEndpointSlices(namespace(0)).Create(s.t.Context(), &epicv1.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, from)}, Spec: spec,
	}, metav1.CreateOptions{})
	s.must(err)
}
