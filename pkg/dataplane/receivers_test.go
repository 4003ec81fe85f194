// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/acnodal/epic/bpf"
)

// Whatever a proxy's address is, answers to it go into its tunnel, also after a repair, and
// packets to other addresses pass.
func TestReceivers(t *testing.T) {
	b := newBench(t)
	random := rand.New(rand.NewPCG(4, 5))
	address := func(v6 bool) netip.Addr {
		var a [16]byte
		for i := range a {
			a[i] = byte(random.Uint32())
		}
		if v6 {
			a[0] = 0x20
			return netip.AddrFrom16(a)
		}
		a[0] = 1 + a[0]%126
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	var pods, proxies []netip.Addr
	for i := range 200 {
		v6 := i%2 == 0
		pod, proxy := address(v6), address(v6)
		pods, proxies = append(pods, pod), append(proxies, proxy)
		must(t, b.nodeSide.Services().Put(Service{Tunnel: tunnel4, Endpoint: netip.AddrPortFrom(pod, worldPort), Protocol: protoUDP, Sources: []netip.Addr{proxy}}))
	}
	gateway, node := ends(false)
	check := func() {
		t.Helper()
		for i, pod := range pods {
			answer := datagramOf(pod.String(), proxies[i].String(), worldPort, 40000, []byte("answer"))
			b.check(t, RoleClient, step{program: "encap", in: answer, verdict: sent, out: outer(node, gateway, tunnel4, answer)})
			other := datagramOf(pod.String(), address(i%2 == 0).String(), worldPort, 40000, []byte("other"))
			b.check(t, RoleClient, step{program: "encap", in: other, verdict: pass})
		}
	}
	check()
	must(t, b.node.Do(func() error { _, err := b.nodeSide.Repair(); return err }))
	check()
	r := &b.nodeSide.services.replies.receivers
	must(t, r.set(func(func(bpf.KernelFlow) bool) {}))
	must(t, b.node.Do(func() error { _, err := b.nodeSide.Repair(); return err }))
	check()
}
