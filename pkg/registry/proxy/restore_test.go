// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// An object that is exported, deleted and created again is as it was: kubectl replace
// --force, a restored backup, a repository.
func TestRestoreKeepsWhatIsFree(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, rt.LoadBalancer("one", "before", "offered"))
	lb := rt.LoadBalancer("one", "shop", "offered")
	lb.Spec.PublicAddress = "192.0.2.7"
	lb = rt.MustCreate(w, lb)
	gwp := rt.MustCreate(w, rt.GWProxy("one", "gw", "dual"))
	rt.MustDelete(w, lb)
	rt.MustDelete(w, gwp)

	if _, err := rt.Create(w, rt.Exported(lb), metav1.DryRunAll); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	back := rt.MustCreate(w, rt.Exported(lb))
	if w.Warned() != "" {
		t.Errorf("warned of %q", w.Warned())
	}
	if back.Spec.ServiceID != lb.Spec.ServiceID || back.Spec.PublicAddress != "192.0.2.7" || targets(back.Spec.Endpoints) != targets(lb.Spec.Endpoints) || len(back.Annotations) != 0 {
		t.Errorf("restored %+v of %+v", back.Spec, lb.Spec)
	}
	gwpBack := rt.MustCreate(w, rt.Exported(gwp))
	if gwpBack.Spec.PublicAddress != gwp.Spec.PublicAddress || gwpBack.Spec.AltAddress != gwp.Spec.AltAddress {
		t.Errorf("restored %+v of %+v", gwpBack.Spec, gwp.Spec)
	}
	// Numbering continues behind it, and the ID is the last one assigned.
	account, err := rt.Get(w, rt.Account("one"))
	if err != nil || account.Status.CurrentServiceID != lb.Spec.ServiceID {
		t.Errorf("current-service-id %d, %v", account.Status.CurrentServiceID, err)
	}
	if next := rt.MustCreate(w, rt.LoadBalancer("one", "next", "offered")); next.Spec.ServiceID == lb.Spec.ServiceID {
		t.Errorf("service-id %d twice", next.Spec.ServiceID)
	}
}

// What others have by now is replaced, with a warning, and the repository that
// continues to send it is no dead end. Any other value is a change, and refused.
func TestRestoreReplacesWhatIsTaken(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	own := rt.MustCreate(w, rt.Group("epic-one", "web", "dual"))
	lb := rt.MustCreate(w, rt.LoadBalancer("one", "shop", "web"))
	rt.MustDelete(w, lb)
	rt.MustDelete(w, own)
	rt.MustCreate(w, rt.Group("epic", "web", "default"))
	other := rt.LoadBalancer("one", "other", "web")
	other.Spec.ServiceID = lb.Spec.ServiceID
	rt.MustCreate(w, other)

	export := rt.Exported(lb)
	_, err := rt.Create(w, export)
	rt.Refused(t, err, "spec.public-address", "not in pool") // the fix: omit it
	export.Spec.PublicAddress = ""
	export.Spec.Endpoints[0].DNSName = "shop.former.example.com"
	dry, err := rt.Create(w, export, metav1.DryRunAll)
	if err != nil || dry.Spec.ServiceID != 0 {
		t.Errorf("a dry run has service-id %d, %v", dry.Spec.ServiceID, err)
	}
	back := rt.MustCreate(w, export)
	for _, words := range []string{"spec.service-id", "spec.endpoints", "owning-serviceprefix", "owning-lbservicegroup-namespace"} {
		if !strings.Contains(w.Warned(), words) {
			t.Errorf("no warning of %s in %q", words, w.Warned())
		}
	}
	if back.Spec.ServiceID == lb.Spec.ServiceID || back.Spec.ServiceID == 0 || back.Labels[epic.OwningServicePrefixLabel] != "default" ||
		back.Labels[epic.OwningLBServiceGroupNamespaceLabel] != "epic" || targets(back.Spec.Endpoints) != "shop.web.one.example.com=A:"+back.Spec.PublicAddress {
		t.Errorf("restored %+v, labels %v", back.Spec, back.Labels)
	}
	// The repository applies the same manifest repeatedly, and changes other fields.
	for round := range 2 {
		again := rt.Exported(export)
		again.Spec.PublicPorts[0].Port = int32(8000 + round)
		out := rt.MustUpdate(w, again)
		if out.Spec.ServiceID != back.Spec.ServiceID || out.Labels[epic.OwningServicePrefixLabel] != "default" || out.Spec.PublicPorts[0].Port != int32(8000+round) ||
			targets(out.Spec.Endpoints) != targets(back.Spec.Endpoints) {
			t.Errorf("round %d: %+v, labels %v", round, out.Spec, out.Labels)
		}
	}
	for name, change := range map[string]func(*epic.LoadBalancer){
		"service-id": func(o *epic.LoadBalancer) { o.Spec.ServiceID = 4711 },
		"label":      func(o *epic.LoadBalancer) { o.Labels[epic.OwningServicePrefixLabel] = "other" },
		"account":    func(o *epic.LoadBalancer) { o.Labels[epic.OwningAccountLabel] = "two" },
		"records":    func(o *epic.LoadBalancer) { o.Spec.Endpoints[0].DNSName = "www.example.com" },
	} {
		o := rt.Exported(export)
		change(o)
		_, err := rt.Update(w, o)
		if !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An ID or address of another account is never kept.
func TestRestoreInAnotherAccount(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	o := rt.LoadBalancer("two", "x", "offered")
	o.Labels = map[string]string{epic.OwningAccountLabel: "one"}
	_, err := rt.Create(w, o)
	rt.Refused(t, err, epic.OwningAccountLabel, "leave it out")
}

// An ID that never was assigned is kept too, and numbering continues behind it; a
// wild one is replaced.
func TestBroughtIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	create := func(name string, id int32) int32 {
		t.Helper()
		o := rt.LoadBalancer("one", name, "offered")
		o.Spec.ServiceID = id
		return rt.MustCreate(w, o).Spec.ServiceID
	}
	for i, c := range []struct{ brought, want int32 }{
		{50, 50}, {3, 3}, {50, 0}, {2147483647, 0}, {0, 0},
	} {
		id := create(fmt.Sprint("lb", i), c.brought)
		if c.want != 0 && id != c.want || c.want == 0 && (id <= 50 || id > 100) {
			t.Errorf("brought %d: service-id %d, want %d", c.brought, id, c.want)
		}
	}
}

// Records that an object brought to a group which makes none are dropped, and a
// repository that continues to send them is no dead end.
func TestRestoreDropsRecords(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	group := rt.Group("epic", "plain", "default")
	group.Spec.EndpointTemplate = nil
	rt.MustCreate(w, group)
	lb := rt.LoadBalancer("one", "shop", "plain")
	lb.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "shop.former.example.com", RecordType: "A", Targets: []string{"192.0.2.1"}}}
	sent := lb.DeepCopy()
	created := rt.MustCreate(w, lb)
	if len(created.Spec.Endpoints) > 0 && created.Spec.Endpoints[0].DNSName == "shop.former.example.com" || !strings.Contains(w.Warned(), "spec.endpoints") {
		t.Errorf("records %+v, warned of %q", created.Spec.Endpoints, w.Warned())
	}
	out, err := rt.Update(w, sent)
	if err != nil || targets(out.Spec.Endpoints) != targets(created.Spec.Endpoints) {
		t.Errorf("sent again: %v, %+v", err, out)
	}
}
