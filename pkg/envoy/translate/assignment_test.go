// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv1 "k8s.io/api/discovery/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// Whatever the states of endpoints and tunnels: a priority is worse than those before it,
// none is empty, each endpoint is in one, and those whose tunnel is down are there only if
// there is nothing else. One endpoint that passes its health checks is enough to keep a
// priority, so none of its requests goes to a worse one.
func TestPriorities(t *testing.T) {
	for seed := range uint64(2000) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		slice := &epicv1.GWEndpointSlice{}
		slice.Name, slice.Namespace, slice.Spec.ParentRef.UID = "s", "epic-acme", "web"
		slice.Spec.AddressType, slice.Spec.NodeAddresses = discoveryv1.AddressTypeIPv4, map[string]string{}
		slice.Spec.Ports = []discoveryv1.EndpointPort{{Port: ptrTo(int32(80)), Protocol: ptrTo(g.protocol())}}
		*slice.Spec.Ports[0].Protocol = "TCP"
		type state struct {
			draining bool
			reach    translate.Reach
		}
		states, nodes := map[string]state{}, map[netip.Addr]translate.Reach{}
		for i := range g.IntN(8) {
			s := state{g.IntN(3) == 0, translate.Reach(g.IntN(3))}
			name, node, address := fmt.Sprint("n", i), fmt.Sprintf("192.168.1.%d", i+1), fmt.Sprintf("10.0.0.%d", i+1)
			slice.Spec.NodeAddresses[name] = node
			nodes[netip.MustParseAddr(node)] = s.reach
			states[address] = s
			slice.Spec.Endpoints = append(slice.Spec.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{address}, NodeName: &name,
				Conditions: discoveryv1.EndpointConditions{Ready: ptrTo(!s.draining), Serving: ptrTo(true), Terminating: ptrTo(s.draining)},
			})
		}
		b := translate.Backend{Name: "web/80", Members: []translate.Member{{Service: "web", Protocol: 6}}}
		r, problems := b.Assignment(translate.EndpointsInput{
			Namespace: "epic-acme", Slices: []*epicv1.GWEndpointSlice{slice}, Reach: func(a netip.Addr) translate.Reach { return nodes[a] },
		})
		if len(problems) > 0 {
			t.Fatalf("seed %d: %v", seed, problems)
		}
		// worse orders states as docs/routing.md does.
		worse := func(s state) int {
			n := int(s.reach)
			if s.draining {
				n += 2
			}
			if s.reach == translate.ReachDown {
				n = 10
				if s.draining {
					n++
				}
			}
			return n
		}
		got, last, seen := decode(t, r).(*endpointv3.ClusterLoadAssignment), -1, 0
		best := 1000
		for _, s := range states {
			best = min(best, worse(s))
		}
		for i, l := range got.Endpoints {
			if int(l.Priority) != i || len(l.LbEndpoints) == 0 {
				t.Fatalf("seed %d: priority %d of %d has %d endpoints", seed, l.Priority, i, len(l.LbEndpoints))
			}
			rank := worse(states[l.LbEndpoints[0].GetEndpoint().GetAddress().GetSocketAddress().GetAddress()])
			if rank <= last || i == 0 && rank != best {
				t.Fatalf("seed %d: priority %d has rank %d after %d, and the best is %d", seed, i, rank, last, best)
			}
			last = rank
			for _, e := range l.LbEndpoints {
				seen++
				if other := worse(states[e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress()]); other != rank {
					t.Fatalf("seed %d: ranks %d and %d share a priority", seed, rank, other)
				}
			}
		}
		want := 0
		for _, s := range states {
			if s.reach != translate.ReachDown || best >= 10 {
				want++
			}
		}
		if seen != want {
			t.Fatalf("seed %d: %d endpoints, want %d of %+v", seed, seen, want, states)
		}
		if factor := got.GetPolicy().GetOverprovisioningFactor().GetValue(); seen > 0 && factor < 100*10_000 {
			t.Fatalf("seed %d: a priority with one working endpoint of 10,000 keeps %d%% of the requests", seed, factor/10_000)
		}
	}
}
