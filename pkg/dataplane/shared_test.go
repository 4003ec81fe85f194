// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// Several pods of one proxy on one node have the same address: replies go to the one
// whose flow it is, and to the first if nobody knows.
func TestSharedAddress(t *testing.T) {
	b := newBench(t)
	endpoint := port(endpointOf(tunnel4, false), worldPort)
	service := Service{Tunnel: tunnel4, Endpoint: endpoint, Protocol: protoTCP, Interface: b.proxy1}
	must(t, b.gatewaySide.Services().Put(service))
	pod, proxy := endpoint.Addr().String(), proxyAddress[false]
	request := func(from uint16) []byte { return ip(proxy, pod, protoTCP, tcp(from, worldPort, flagACK, nil, nil)) }
	send := func(ifindex int, from uint16) {
		t.Helper()
		must(t, b.gateway.Do(func() error {
			verdict, err := b.gatewaySide.objects.EpicGatewayEncap.Run(&ebpf.RunOptions{
				Data: ether(b.fixtureMAC["gateway"], b.fixtureMAC["net1"], request(from)), Context: skbContext(ifindex, 0),
			})
			if verdict != redirect {
				t.Errorf("verdict %d", verdict)
			}
			return err
		}))
	}
	deliveredTo := func(to uint16) int {
		t.Helper()
		gateway, node := ends(false)
		reply := ip(pod, proxy, protoTCP, tcp(worldPort, to, flagACK, nil, nil))
		verdict, frame, err := b.run(RoleGateway, step{program: "xdp", in: outer(node, gateway, tunnel4, reply)})
		must(t, err)
		if verdict != xdpPass {
			t.Fatalf("verdict %d", verdict)
		}
		return int(binary.NativeEndian.Uint32(frame[4:]))
	}
	send(b.proxy0, 1000)
	send(b.proxy1, 1001)
	for to, want := range map[uint16]int{1000: b.proxy0, 1001: b.proxy1, 1002: b.proxy0} {
		if got := deliveredTo(to); got != want {
			t.Errorf("the reply to port %d goes to interface %d, want %d", to, got, want)
		}
	}
	// A flow of a pod that is gone, with the ports of one that opened its connection while it
	// was alone, and so left no flow.
	var flow bpf.KernelFlow
	var path bpf.KernelPath
	address := as16(netip.MustParseAddr(proxy))
	flows, err := innerOf(b.gatewaySide.objects.ProxyFlows, address[:])
	must(t, err)
	defer flows.Close()
	for all := flows.Iterate(); all.Next(&flow, &path); {
		if path.Ifindex == uint32(b.proxy1) {
			path.Ifindex = 1 << 30
			must(t, flows.Put(&flow, &path))
		}
	}
	if got := deliveredTo(1001); got != b.proxy0 {
		t.Errorf("a reply to the flow of a pod that is gone goes to interface %d, want %d", got, b.proxy0)
	}
	must(t, b.gatewaySide.Services().Delete(service))
	if got := deliveredTo(1001); got != b.proxy0 {
		t.Errorf("with one interface left, a reply goes to %d", got)
	}
}

// A trace shows what a tunnel's packets are and what happens to them, and nothing of
// other tunnels.
func TestTrace(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	lines := make(chan string, 100)
	done := make(chan error, 1)
	show := func(event TraceEvent) { lines <- event.Text }
	must(t, b.gatewaySide.startTrace(tunnel4, &show))
	must(t, b.gatewaySide.stopTrace(tunnel4, &show))
	started := make(chan struct{})
	go func() {
		close(started)
		done <- b.gatewaySide.Trace(ctx, tunnel4, show)
	}()
	<-started
	var traced uint32
	for traced == 0 {
		must(t, b.gatewaySide.objects.Traces.Get(&traced))
	}
	gateway, node := ends(false)
	for _, id := range []int{tunnel6, tunnel4} {
		packet := ip(proxyAddress[false], endpointOf(id, false), protoTCP, tcp(40000, worldPort, flagSYN, nil, nil))
		_, _, err := b.run(RoleGateway, step{program: "encap", in: packet})
		must(t, err)
	}
	bad := ip("10.9.9.9", proxyAddress[false], protoUDP, udp(1, 2, nil))
	_, _, err := b.run(RoleGateway, step{program: "decap", in: outer(node, gateway, tunnel4, bad)})
	must(t, err)
	for _, want := range [][]string{
		{"out tunnel 1: TCP 198.51.100.7:40000 > 10.244.1.5:8080 [S]", "far end 192.0.2.2:6080", "to interface"},
		{"in  tunnel 1: UDP 10.9.9.9:1 > 198.51.100.7:2", "dropped, not-registered"},
	} {
		line := <-lines
		for _, part := range want {
			if !strings.Contains(line, part) {
				t.Errorf("the trace says %q, without %q", line, part)
			}
		}
	}
	cancel()
	must(t, <-done)
	must(t, b.gatewaySide.objects.Traces.Get(&traced))
	if traced != 0 {
		t.Errorf("%d tunnels are still traced", traced)
	}
}
