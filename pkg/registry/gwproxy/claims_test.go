// SPDX-License-Identifier: Apache-2.0

package gwproxy_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/gwproxy"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// What a gateway proxy holds nobody else gets, and comes free with it.
func TestClaims(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	first := rt.MustCreate(w, rt.GWProxy("one", "a", "dual"))
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		public, alt := rt.GWProxy("two", "b", "dual"), rt.GWProxy("two", "b", "dual")
		public.Spec.PublicAddress, alt.Spec.AltAddress = first.Spec.PublicAddress, first.Spec.AltAddress
		_, err := rt.Create(w, public, dryRun...)
		rt.Refused(t, err, "spec.public-address", first.Spec.PublicAddress, "in use")
		_, err = rt.Create(w, alt, dryRun...)
		rt.Refused(t, err, "spec.alt-address", first.Spec.AltAddress, "in use")
		rt.Refused(t, rt.Delete(w, rt.Account("one"), dryRun...), "others depend on it")
		rt.Refused(t, rt.Delete(w, rt.Group("epic", "dual", "dual"), dryRun...), "others depend on it")
	}
	rt.MustDelete(w, first)
	again := rt.GWProxy("two", "b", "dual")
	again.Spec.PublicAddress, again.Spec.AltAddress = first.Spec.PublicAddress, first.Spec.AltAddress
	rt.MustCreate(w, again)
}

// Tunnels get IDs of the server's choice, each once.
func TestTunnelIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	seen := map[int32]bool{}
	for _, name := range []string{"a", "b"} {
		p := rt.MustCreate(w, rt.GWProxy("one", name, "offered"))
		tunnel := epic.GUETunnelEndpoint{EPICAddress: "192.168.1.40"}
		p.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{"10.0.0.1": {EPICAddress: "192.168.1.40", EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.168.1.40": tunnel}}}
		p, err := rt.UpdateStatus(w, p)
		if err != nil {
			t.Fatal(err)
		}
		id := p.Status.GUETunnelEndpoints["10.0.0.1"].EPICEndpoints["192.168.1.40"].TunnelID
		if id == 0 || seen[id] {
			t.Errorf("tunnel ID %d", id)
		}
		seen[id] = true
	}
}

func TestGrants(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	w.Authorize = func(authorizer.Attributes) authorizer.Decision { return authorizer.DecisionNoOpinion }
	p := rt.GWProxy("one", "a", "offered")
	p.Spec.EnvoyReplicaCount = new(int32(2))
	if _, err := rt.Create(w, p); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestCooling(t *testing.T) {
	p := rt.GWProxy("one", "a", "dual")
	p.Spec.AltAddress = "198.51.100.1"
	until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for address, field := range map[string]string{"198.51.100.1": "spec.alt-address", "2001:db8::1": "spec.public-address"} {
		err := gwproxy.Rules{}.Cooling(p, claims.AddressClaim(netip.MustParseAddr(address)), until)
		rt.Refused(t, err, field, address, "2026-01-02T03:04:05Z", "GWProxy")
	}
}

func TestAudit(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	p := rt.MustCreate(w, rt.GWProxy("one", "a", "offered"))
	w.Damage(p, `owning-account":"one"`, `owning-account":"two"`)
	if got := strings.Join(w.Problems(), "\n"); !strings.Contains(got, "Broken metadata.labels[epic.acnodal.io/owning-account]") {
		t.Errorf("found %q", got)
	}
}
