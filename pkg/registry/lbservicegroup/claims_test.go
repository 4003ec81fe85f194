// SPDX-License-Identifier: Apache-2.0

package lbservicegroup_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func TestCreation(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	going := rt.Prefix("going", "203.0.113.0/28", "203.0.113.0/24")
	going.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, going))
	leaving := rt.Account("leaving")
	leaving.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, leaving))
	owned := func(namespace, account string) *epic.LBServiceGroup {
		g := rt.Group(namespace, "g", "default")
		g.Labels[epic.OwningAccountLabel] = account
		return g
	}
	unlabeled := rt.Group("epic-one", "g", "default")
	unlabeled.Labels = nil
	for name, c := range map[string]struct {
		group *epic.LBServiceGroup
		words []string
	}{
		"no prefix":                  {unlabeled, []string{"owning-serviceprefix", "error getting owning SP"}},
		"a prefix that is not there": {rt.Group("epic-one", "g", "nope"), []string{"owning-serviceprefix", "error getting owning SP", "create it first"}},
		"a prefix that is deleted":   {rt.Group("epic", "g", "going"), []string{"owning-serviceprefix", "create it first"}},
		"no name of a prefix":        {rt.Group("epic", "g", "a.b"), []string{"owning-serviceprefix", "error getting owning SP"}},
		"no account":                 {rt.Group("epic-three", "g", "default"), []string{"metadata.namespace", "error getting owning Account", "create Account three"}},
		"an account that is deleted": {rt.Group("epic-leaving", "g", "default"), []string{"error getting owning Account", "is being deleted"}},
		"another account":            {owned("epic-one", "two"), []string{"owning-account", "error getting owning Account"}},
		"an account of all's group":  {owned("epic", "one"), []string{"owning-account", "belongs to no account: leave it out"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
				_, err := rt.Create(w, c.group, dryRun...)
				rt.Refused(t, err, c.words...)
			}
		})
	}
	if g := rt.MustCreate(w, rt.Group("epic-one", "g", "default")); g.Labels[epic.OwningAccountLabel] != "one" {
		t.Errorf("labels %v", g.Labels)
	}
	if g := rt.MustCreate(w, rt.Group("epic", "g", "default")); g.Labels[epic.OwningAccountLabel] != "" {
		t.Errorf("labels %v", g.Labels)
	}
}

// A prefix and an account stay while a group depends on them, and a group while a
// proxy depends on it.
func TestDeletion(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	prefix := rt.MustCreate(w, rt.Prefix("own", "203.0.113.0/28", "203.0.113.0/24"))
	group := rt.MustCreate(w, rt.Group("epic-one", "g", "own"))
	lb := rt.MustCreate(w, rt.LoadBalancer("two", "a", "offered"))
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		rt.Refused(t, rt.Delete(w, prefix, dryRun...), "others depend on it", "lbservicegroup epic-one/g")
		rt.Refused(t, rt.Delete(w, rt.Account("one"), dryRun...), "others depend on it", "lbservicegroup epic-one/g")
		rt.Refused(t, rt.Delete(w, rt.Group("epic", "offered", "default"), dryRun...), "others depend on it", "loadbalancer epic-two/a")
	}
	rt.MustDelete(w, group)
	rt.MustDelete(w, rt.Account("one"))
	rt.MustDelete(w, prefix)
	rt.MustDelete(w, lb)
	rt.MustDelete(w, rt.Group("epic", "offered", "default"))
}

func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(w *rt.World)
		want   []string
	}{
		"no prefix":  {func(w *rt.World) { w.Drop(rt.Prefix("default", "", "")) }, []string{"owning-serviceprefix", "serviceprefixes/epic/default"}},
		"no account": {func(w *rt.World) { w.Drop(rt.Account("one")) }, []string{"owning-account", "accounts/epic-one/one"}},
		"another account": {func(w *rt.World) {
			w.Damage(rt.Group("epic-one", "g", ""), `owning-account":"one"`, `owning-account":"two"`)
		}, []string{"owning-account", "should be one"}},
		"an owner for all": {func(w *rt.World) {
			w.Damage(rt.Group("epic", "offered", ""), `"labels":{`, `"labels":{"epic.acnodal.io/owning-account":"one",`)
		}, []string{"owning-account", "belongs to no account"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := rt.New(t)
			rt.Standard(w)
			rt.MustCreate(w, rt.Group("epic-one", "g", "default"))
			if got := w.Problems(); got != nil {
				t.Fatalf("before: %q", got)
			}
			c.damage(w)
			found := false
			for _, p := range w.Problems() {
				all := strings.HasPrefix(p, "Broken ") && strings.Contains(p, "lbservicegroups/")
				for _, s := range c.want {
					all = all && strings.Contains(p, s)
				}
				found = found || all
			}
			if !found {
				t.Errorf("found %q, want %q", w.Problems(), c.want)
			}
		})
	}
}
