// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"slices"
	"strings"
	"testing"

	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// TestAudit changes objects in etcd past all rules, and expects the audit to find
// it: that claims fit the objects is not all that clients rely on.
func TestAudit(t *testing.T) {
	lb, gwp := rt.LoadBalancer("one", "a", "offered"), rt.GWProxy("one", "b", "dual")
	for name, c := range map[string]struct {
		damage func(*rt.World)
		want   []string
	}{
		"an address of no pool":        {func(w *rt.World) { w.Damage(lb, "192.0.2.1\"", "10.96.0.1\"") }, []string{"spec.public-address", "is not in the public-pool of ServicePrefix default"}},
		"an address of another pool":   {func(w *rt.World) { w.Damage(gwp, "2001:db8::1\"", "192.0.2.9\"") }, []string{"spec.public-address", "is not in the public-pool of ServicePrefix dual"}},
		"an alternate address outside": {func(w *rt.World) { w.Damage(gwp, "198.51.100.1\"", "198.51.100.77\"") }, []string{"spec.alt-address", "is not in the alt-pool of ServicePrefix dual"}},
		"an alternate address without a pool": {func(w *rt.World) {
			w.Damage(rt.Prefix("dual", "", ""), "alt-pool", "no-pool")
		}, []string{"spec.alt-address", "is not in the alt-pool"}},
		"another account":         {func(w *rt.World) { w.Damage(lb, `owning-account":"one"`, `owning-account":"two"`) }, []string{"metadata.labels[epic.acnodal.io/owning-account]", "should be one"}},
		"another account's group": {func(w *rt.World) { w.Damage(lb, `group-namespace":"epic"`, `group-namespace":"epic-two"`) }, []string{"owning-lbservicegroup-namespace", "another account's namespace"}},
		"another prefix":          {func(w *rt.World) { w.Damage(lb, `owning-serviceprefix":"default"`, `owning-serviceprefix":"dual"`) }, []string{"owning-serviceprefix", "should be default"}},
		"two groups":              {func(w *rt.World) { w.Damage(lb, `service-group":"offered"`, `service-group":"dual"`) }, []string{"spec.service-group", "should be offered"}},
		"no account":              {func(w *rt.World) { w.Drop(rt.Account("one")) }, []string{"metadata.namespace", "accounts/epic-one/one"}},
		"no group":                {func(w *rt.World) { w.Drop(rt.Group("epic", "offered", "default")) }, []string{"owning-lbservicegroup", "lbservicegroups/epic/offered"}},
		"no prefix":               {func(w *rt.World) { w.Drop(rt.Prefix("default", "", "")) }, []string{"owning-serviceprefix", "serviceprefixes/epic/default"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := rt.New(t)
			rt.Standard(w)
			rt.MustCreate(w, lb)
			rt.MustCreate(w, gwp)
			if got := w.Problems(); got != nil {
				t.Fatalf("before: %q", got)
			}
			c.damage(w)
			got := w.Problems()
			if !slices.ContainsFunc(got, func(p string) bool {
				return strings.HasPrefix(p, "Broken ") && !slices.ContainsFunc(c.want, func(s string) bool { return !strings.Contains(p, s) })
			}) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
