// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"testing"

	"github.com/acnodal/epic/bpf"
)

// An endpoint that leaves keeps its open connections, and none is opened, on either side
// and in either direction out of the tunnel, however warm a CPU's memory is. It opens
// again when the endpoint comes back.
func TestLeavingOpensNothing(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		t.Run("over "+family(outer6), func(t *testing.T) {
			b := newBench(t)
			onOneCPU(t)
			id := tunnelOver(outer6)
			gateway, node := ends(outer6)
			check := func(state string, opens bool) {
				t.Helper()
				for _, m := range memorizedSteps(outer6) {
					for range 3 {
						b.check(t, m.role, m.step)
					}
				}
				for _, v6 := range []bool{false, true} {
					proxy, pod := proxyAddress[v6], endpointOf(id, v6)
					syn := ip(proxy, pod, protoTCP, tcp(40001, worldPort, flagSYN, nil, nil))
					from := ip(pod, proxy, protoTCP, tcp(worldPort, 40001, flagSYN, nil, nil))
					into := step{program: "encap", in: syn, verdict: redirect, out: outer(gateway, node, uint32(id), syn)}
					outOf := step{program: "decap", in: outer(gateway, node, uint32(id), syn), verdict: pass, out: syn}
					toProxy := step{program: "decap", in: outer(node, gateway, uint32(id), from), verdict: redirect, out: from}
					if !opens {
						for _, s := range []*step{&into, &outOf, &toProxy} {
							s.verdict, s.drop, s.out = shot, DropNotRegistered, nil
						}
						into.verdict, into.out = redirect, reset(syn)
					}
					t.Logf("%s: %s in %s", state, family(v6), family(outer6))
					b.check(t, RoleGateway, into)
					b.check(t, RoleClient, outOf)
					b.check(t, RoleGateway, toProxy)
					answer := ip(proxy, pod, protoTCP, tcp(40001, worldPort, flagSYN|flagACK, nil, nil))
					b.check(t, RoleGateway, step{program: "encap", in: answer, verdict: redirect, out: outer(gateway, node, uint32(id), answer)})
				}
			}
			set := func(leaving bool) {
				t.Helper()
				for _, role := range []Role{RoleGateway, RoleClient} {
					side, _ := b.side(role)
					all, err := side.Services().List()
					must(t, err)
					for i := range all {
						if all[i].Leaving == leaving {
							t.Fatalf("%s of %d is leaving: %t", all[i].Endpoint, all[i].Tunnel, leaving)
						}
						all[i].Leaving = leaving
					}
					must(t, side.Services().Put(all...))
					n, err := side.Repair()
					if err != nil || n != 0 {
						t.Errorf("repaired %d: %v", n, err)
					}
				}
			}
			check("before", true)
			set(true)
			check("leaving", false)
			set(false)
			check("back", true)
		})
	}
}

// Of several services that share an entry those count that do not leave.
func TestLeavingBesideOthers(t *testing.T) {
	b := newBench(t)
	endpoint := port(endpointOf(tunnel4, false), worldPort)
	leaving := Service{Tunnel: tunnel4, Endpoint: endpoint, Protocol: protoTCP, Interface: b.proxy0, Leaving: true}
	other := Service{Tunnel: tunnel6, Endpoint: endpoint, Protocol: protoTCP, Interface: b.proxy0}
	entry := func(scope int, withPort bool) (value bpf.KernelService) {
		t.Helper()
		key := bpf.KernelEndpoint{Scope: uint32(scope)}
		key.Address.Bytes = as16(endpoint.Addr())
		if withPort {
			key.Port, key.Protocol = big(endpoint.Port()), protoTCP
		}
		must(t, b.gatewaySide.objects.Services.Lookup(&key, &value))
		return value
	}
	must(t, b.gatewaySide.Services().Put(leaving))
	if got := entry(b.proxy0, true); got.Tunnel != tunnel4 || got.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING == 0 {
		t.Errorf("alone it is %+v", got)
	}
	if got := entry(b.proxy0, false); got.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0 {
		t.Errorf("another protocol of its address is there: %+v", got)
	}
	must(t, b.gatewaySide.Services().Put(other))
	if got := entry(b.proxy0, true); got.Tunnel != tunnel6 || got.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0 {
		t.Errorf("beside another tunnel it is %+v", got)
	}
	must(t, b.gatewaySide.Services().Delete(other))
	// Another pod of the proxy on this node has it still.
	must(t, b.gatewaySide.Services().Put(Service{Tunnel: tunnel4, Endpoint: endpoint, Protocol: protoTCP, Interface: b.proxy1}))
	if got := entry(b.proxy0, true); got.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING == 0 {
		t.Errorf("the interface's own is %+v", got)
	}
	if got := entry(b.proxy1, true); got.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0 {
		t.Errorf("the other interface's is %+v", got)
	}
	var policy bpf.KernelPolicy
	key := bpf.KernelEndpoint{Scope: tunnel4, Port: big(endpoint.Port()), Protocol: protoTCP}
	key.Address.Bytes = as16(endpoint.Addr())
	must(t, b.gatewaySide.objects.Policies.Lookup(&key, &policy))
	if policy.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0 {
		t.Errorf("the tunnel's is %+v", policy)
	}
}
