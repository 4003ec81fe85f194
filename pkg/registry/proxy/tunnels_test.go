// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// Tunnels get IDs in the order of their nodes' addresses, an entry repeats the ID of its
// own pair, and a dry run assigns none.
func TestTunnelIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	lb := rt.MustCreate(w, rt.LoadBalancer("one", "a", "offered"))
	pair := func(address string) epic.GUETunnelEndpoint {
		return epic.GUETunnelEndpoint{EPICAddress: address, EPICPort: epic.EndpointPort{Port: 6080, Protocol: "UDP", AppProtocol: "gue"}}
	}
	lb.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{}
	for _, tenant := range []string{"10.0.0.10", "10.0.0.9"} {
		first := pair("192.168.1.4")
		lb.Status.GUETunnelEndpoints[tenant] = epic.TunnelEndpoint{
			EPICAddress: first.EPICAddress, EPICPort: first.EPICPort,
			EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.168.1.4": first, "192.168.1.30": pair("192.168.1.30")},
		}
	}
	dry, err := rt.UpdateStatus(w, lb.DeepCopy(), metav1.DryRunAll)
	if err != nil {
		t.Fatalf("a dry run: %v", err)
	}
	out, err := rt.UpdateStatus(w, lb)
	if err != nil {
		t.Fatal(err)
	}
	for tenant, first := range map[string]int32{"10.0.0.9": 1, "10.0.0.10": 3} {
		entry := out.Status.GUETunnelEndpoints[tenant]
		if entry.TunnelID != first || entry.EPICEndpoints["192.168.1.4"].TunnelID != first || entry.EPICEndpoints["192.168.1.30"].TunnelID != first+1 {
			t.Errorf("%s: %+v, want IDs from %d on", tenant, entry, first)
		}
		entry = dry.Status.GUETunnelEndpoints[tenant]
		if entry.TunnelID != 0 || entry.EPICEndpoints["192.168.1.4"].TunnelID != 0 || len(entry.EPICEndpoints) != 2 {
			t.Errorf("a dry run: %+v", entry)
		}
	}
}
