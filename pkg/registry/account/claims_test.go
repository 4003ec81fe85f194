// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func TestAccountsNeedTheSystem(t *testing.T) {
	w := rt.New(t)
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, rt.Account("one"), dryRun...)
		rt.Refused(t, err, "metadata.name", "create that first")
	}
	system := rt.MustCreate(w, &epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "epic"}})
	account := rt.MustCreate(w, rt.Account("one"))
	rt.Refused(t, rt.Delete(w, system), "others depend on it", "account epic-one/one")
	rt.MustDelete(w, account)
	rt.MustDelete(w, system)
}

// A group ID is unique. An account that comes back has its former one, unless
// another has it: then it gets another, and the repository that continues to send
// the former one is no dead end.
func TestGroupIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w) // one and two
	three := rt.MustCreate(w, rt.Account("three"))
	if three.Spec.GroupID != 3 {
		t.Errorf("group-id %d", three.Spec.GroupID)
	}
	rt.MustDelete(w, three)
	if dry, err := rt.Create(w, rt.Exported(three), metav1.DryRunAll); err != nil || dry.Spec.GroupID != 3 {
		t.Errorf("a dry run: group-id %d, %v", dry.Spec.GroupID, err)
	}
	if back := rt.MustCreate(w, rt.Exported(three)); back.Spec.GroupID != 3 || w.Warned() != "" {
		t.Errorf("group-id %d, warned of %q", back.Spec.GroupID, w.Warned())
	}
	four := rt.Account("four")
	four.Spec.GroupID = 3
	export := rt.Exported(four)
	if four = rt.MustCreate(w, four); four.Spec.GroupID == 3 || !strings.Contains(w.Warned(), "spec.group-id: 3 is not kept") {
		t.Errorf("group-id %d, warned of %q", four.Spec.GroupID, w.Warned())
	}
	export.Spec.ProxyLimit = nil
	rt.MustUpdate(w, export)
	out := rt.MustUpdate(w, rt.Exported(export))
	if out.Spec.GroupID != four.Spec.GroupID || out.Spec.ProxyLimit != nil && *out.Spec.ProxyLimit == 10 {
		t.Errorf("%+v", out.Spec)
	}
	export.Spec.GroupID = 77
	_, err := rt.Update(w, export)
	rt.Refused(t, err, "spec.group-id")
	system, err := rt.Get(w, &epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "epic"}})
	if err != nil || system.Status.CurrentGroupID != four.Spec.GroupID {
		t.Errorf("current-group-id %d, %v", system.Status.CurrentGroupID, err)
	}
}

// An account of a former one's name begins at 1, and nothing of the former one is
// kept.
func TestRecreatedAccount(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	var former []int32
	for range 2 {
		account := rt.MustCreate(w, rt.Account("again"))
		if account.Status.CurrentServiceID != 0 {
			t.Errorf("current-service-id %d of a new account", account.Status.CurrentServiceID)
		}
		var ids []int32
		for _, name := range []string{"a", "b"} {
			lb := rt.MustCreate(w, rt.LoadBalancer("again", name, "offered"))
			ids = append(ids, lb.Spec.ServiceID)
		}
		if former != nil && (ids[0] != former[0] || ids[1] != former[1]) {
			t.Errorf("service IDs %v, the former account's were %v", ids, former)
		}
		former = ids
		rt.MustDelete(w, rt.LoadBalancer("again", "a", "offered"))
		rt.Refused(t, rt.Delete(w, account), "others depend on it", "loadbalancer epic-again/b")
		rt.MustDelete(w, rt.LoadBalancer("again", "b", "offered"))
		rt.MustDelete(w, account)
	}
}
