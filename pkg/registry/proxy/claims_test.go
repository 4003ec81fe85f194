// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// TestClaims compares the claims of objects with what they have to hold, each claim
// named here once more.
func TestClaims(t *testing.T) {
	const uid = "uid-1"
	account := tenancy.AccountRef("epic-root")
	meta := metav1.ObjectMeta{Namespace: "epic-root", Name: "a", UID: uid, Labels: map[string]string{
		epic.OwningLBServiceGroupLabel: "sample", epic.OwningLBServiceGroupNamespaceLabel: "epic",
	}}
	status := epic.ProxyStatus{
		QuotaPlace: 4,
		GUETunnelEndpoints: map[string]epic.TunnelEndpoint{
			"192.168.1.16": {EPICAddress: "192.168.1.40", TunnelID: 2, EPICEndpoints: map[string]epic.GUETunnelEndpoint{
				"192.168.1.40": {EPICAddress: "192.168.1.40", TunnelID: 2}, "192.168.1.41": {EPICAddress: "192.168.1.41", TunnelID: 7},
			}},
			"192.168.1.17": {EPICAddress: "192.168.1.40", EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.168.1.40": {EPICAddress: "192.168.1.40"}}},
		},
	}
	records := []epic.DNSEndpoint{{DNSName: "a.example.com"}, {DNSName: "b.example.com"}}
	lb := &epic.LoadBalancer{ObjectMeta: meta, Status: status, Spec: epic.LoadBalancerSpec{ServiceID: 5, PublicAddress: "192.168.77.2", Endpoints: records}}
	gwp := &epic.GWProxy{ObjectMeta: meta, Status: status, Spec: epic.GWProxySpec{PublicAddress: "2001:db8::2", AltAddress: "192.168.77.2", Endpoints: records}}
	bare := &epic.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "a", UID: uid}}

	common := func(s *claims.Set) {
		s.AddID(claims.TunnelIDs, 2)
		s.AddID(claims.TunnelIDs, 7)
		s.AddDNSName("a.example.com", account, uid)
		s.AddDNSName("b.example.com", account, uid)
		s.AddSlot(account, 4)
		s.AddParent(account, uid)
		s.AddParent(tenancy.GroupRef("epic", "sample"), uid)
		s.AddAddress(netip.MustParseAddr("192.168.77.2"))
	}
	for name, c := range map[string]struct {
		view View
		want func(s *claims.Set)
	}{
		"a load balancer": {LoadBalancer(lb), func(s *claims.Set) {
			common(s)
			s.AddID(claims.ServiceIDs(account), 5)
		}},
		"a gateway proxy": {GWProxy(gwp), func(s *claims.Set) {
			common(s)
			s.AddAddress(netip.MustParseAddr("2001:db8::2"))
		}},
		"an object before anything is assigned": {GWProxy(bare), func(s *claims.Set) { s.AddParent(account, uid) }},
	} {
		want := &claims.Set{}
		c.want(want)
		if got := Claims(c.view).Sorted(); !slices.Equal(got, want.Sorted()) {
			t.Errorf("%s holds %v, want %v", name, got, want.Sorted())
		}
	}
}
