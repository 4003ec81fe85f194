// SPDX-License-Identifier: Apache-2.0

package gwendpointslice_test

import (
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func TestCreation(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	leaving := rt.Account("leaving")
	leaving.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, leaving))
	foreign := rt.GWEndpointSlice("one", "x")
	foreign.Labels = map[string]string{epic.OwningAccountLabel: "two"}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, rt.GWEndpointSlice("three", "x"), dryRun...)
		rt.Refused(t, err, "metadata.namespace", "create Account three")
		_, err = rt.Create(w, rt.GWEndpointSlice("leaving", "x"), dryRun...)
		rt.Refused(t, err, "metadata.namespace", "Account leaving is being deleted")
		_, err = rt.Create(w, foreign, dryRun...)
		rt.Refused(t, err, epic.OwningAccountLabel, "leave it out")
	}
	o := rt.MustCreate(w, rt.GWEndpointSlice("one", "x"))
	if o.Labels[epic.OwningAccountLabel] != "one" {
		t.Errorf("labels %v", o.Labels)
	}
	rt.MustDelete(w, rt.MustUpdate(w, o))
}

// Between the look at the account and the write the account is deleted.
func TestAccountGoesMeanwhile(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	account := rt.MustCreate(w, rt.Account("short"))
	w.DuringCheck = func() { rt.MustDelete(w, account) }
	_, err := rt.Create(w, rt.GWEndpointSlice("short", "x"))
	rt.Refused(t, err, "metadata.namespace", "create Account short")
	if w.DuringCheck != nil {
		t.Error("nothing was checked")
	}
}

func TestAudit(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	o := rt.MustCreate(w, rt.GWEndpointSlice("one", "x"))
	// An account may go before what is in its namespace.
	rt.MustDelete(w, rt.Account("one"))
	if got := w.Problems(); got != nil {
		t.Errorf("without the account: %q", got)
	}
	w.Damage(o, `owning-account":"one"`, `owning-account":"two"`)
	if got := strings.Join(w.Problems(), "\n"); !strings.Contains(got, "Broken metadata.labels[epic.acnodal.io/owning-account]") || !strings.Contains(got, "should be one") {
		t.Errorf("found %q", got)
	}
}

// An endpoint that no tunnel leads to has no address of the gateway.
func TestReach(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	const inside = "192.0.2.5"
	node := "n1"
	for name, c := range map[string]struct {
		change func(*epic.GWEndpointSliceSpec)
		want   string
	}{
		"no node":    {func(s *epic.GWEndpointSliceSpec) { s.Endpoints[0].Addresses = []string{inside} }, "spec.endpoints[0].addresses[0]"},
		"the second": {func(s *epic.GWEndpointSliceSpec) { s.Endpoints[0].Addresses = []string{"203.0.113.1", inside} }, "spec.endpoints[0].addresses[1]"},
		"another endpoint's": {func(s *epic.GWEndpointSliceSpec) {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{inside}})
		}, "spec.endpoints[1].addresses[0]"},
		"an unknown node": {func(s *epic.GWEndpointSliceSpec) {
			s.Endpoints[0] = discoveryv1.Endpoint{Addresses: []string{inside}, NodeName: &node}
			s.NodeAddresses = map[string]string{"n2": "192.168.1.16"}
		}, "spec.endpoints[0].addresses[0]"},
		"a tunnel": {func(s *epic.GWEndpointSliceSpec) {
			s.Endpoints[0] = discoveryv1.Endpoint{Addresses: []string{inside}, NodeName: &node}
			s.NodeAddresses = map[string]string{node: "192.168.1.16"}
		}, ""},
		"a name": {func(s *epic.GWEndpointSliceSpec) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeFQDN, []string{"www.example.com"}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			slice := rt.GWEndpointSlice("one", "x")
			c.change(&slice.Spec)
			base := rt.MustCreate(w, rt.GWEndpointSlice("one", "y"))
			defer rt.MustDelete(w, base)
			update := base.DeepCopy()
			c.change(&update.Spec)
			update.Spec.AddressType = base.Spec.AddressType
			for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
				_, err := rt.Create(w, slice, dryRun...)
				_, onUpdate := rt.Update(w, update, dryRun...)
				if c.want != "" {
					rt.Refused(t, err, c.want, "a public address of this gateway")
					rt.Refused(t, onUpdate, c.want, "a public address of this gateway")
				} else if err != nil {
					t.Error(err)
				}
				if err == nil && dryRun == nil {
					rt.MustDelete(w, slice)
				}
			}
		})
	}
	// An address that was allowed once stays while nothing else is changed in the spec.
	slice := rt.MustCreate(w, rt.GWEndpointSlice("one", "early"))
	slice.Spec.Endpoints[0].Addresses = []string{"203.0.113.7"}
	slice = rt.MustUpdate(w, slice)
	rt.MustCreate(w, rt.Prefix("late", "203.0.113.0/28", "203.0.113.0/24"))
	slice.Annotations = map[string]string{"a": "b"}
	slice = rt.MustUpdate(w, slice)
	slice.Spec.Endpoints[0].Addresses = []string{"203.0.113.8"}
	_, err := rt.Update(w, slice)
	rt.Refused(t, err, "a public address of this gateway")
}
