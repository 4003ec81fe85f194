// SPDX-License-Identifier: Apache-2.0

package gwroute_test

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
	leaving := rt.Account("leaving")
	leaving.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, leaving))
	foreign := rt.GWRoute("one", "x", "gwp")
	foreign.Labels = map[string]string{epic.OwningAccountLabel: "two"}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, rt.GWRoute("three", "x", "gwp"), dryRun...)
		rt.Refused(t, err, "metadata.namespace", "create Account three")
		_, err = rt.Create(w, rt.GWRoute("leaving", "x", "gwp"), dryRun...)
		rt.Refused(t, err, "metadata.namespace", "Account leaving is being deleted")
		_, err = rt.Create(w, foreign, dryRun...)
		rt.Refused(t, err, epic.OwningAccountLabel, "leave it out")
	}
	o := rt.MustCreate(w, rt.GWRoute("one", "x", "gwp"))
	if o.Labels[epic.OwningAccountLabel] != "one" {
		t.Errorf("labels %v", o.Labels)
	}
	rt.MustDelete(w, rt.MustUpdate(w, o))
}

func TestAudit(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	o := rt.MustCreate(w, rt.GWRoute("one", "x", "gwp"))
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
