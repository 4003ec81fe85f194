// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// sizeOf counts the bytes of an annotation.
func sizeOf(obj runtime.Object) (int64, error) {
	switch o := obj.(type) {
	case *epic.GWRoute:
		return int64(len(o.Annotations["a"])), nil
	case *epic.RemoteEndpoint:
		return 1, nil
	}
	return 0, errors.New("not measured")
}

func route(namespace, name string, size int) *epic.GWRoute {
	return &epic.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{"a": strings.Repeat("x", size)}}}
}

func expectUse(t *testing.T, tr *Tracker, namespace string, objects, bytes int64) {
	t.Helper()
	if u := tr.use(namespace); u.objects != objects || u.bytes != bytes {
		t.Errorf("%s has %d objects of %d bytes, want %d of %d", namespace, u.objects, u.bytes, objects, bytes)
	}
}

func TestTracker(t *testing.T) {
	tr := NewTracker(Limits{}, sizeOf)
	f, e := follower{tr, "gwroutes"}, follower{tr, "remoteendpoints"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.Replace([]any{route("epic-a", "x", 5), route("epic-a", "y", 7), route("epic-b", "x", 1), route("epic", "x", 100)}, ""))
	must(e.Add(&epic.RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: "x"}}))
	expectUse(t, tr, "epic-a", 3, 13)
	expectUse(t, tr, "epic-b", 1, 1)
	expectUse(t, tr, "epic", 0, 0)
	must(f.Update(route("epic-a", "x", 2)))
	expectUse(t, tr, "epic-a", 3, 10)
	must(f.Delete(route("epic-a", "y", 0)))
	must(f.Delete(route("epic-a", "never", 0)))
	expectUse(t, tr, "epic-a", 2, 3)
	// A list after a gap drops what was deleted during it, of its own kind only.
	must(f.Replace([]any{route("epic-b", "x", 4)}, ""))
	expectUse(t, tr, "epic-a", 1, 1)
	expectUse(t, tr, "epic-b", 1, 4)
	must(e.Delete(&epic.RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: "x"}}))
	must(f.Replace(nil, ""))
	if len(tr.accounts) != 0 {
		t.Errorf("kept %d records of empty accounts", len(tr.accounts))
	}
}

// Whatever comes in whatever order, the totals are those of a count.
func TestTrackerCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tr := NewTracker(Limits{}, sizeOf)
	f := follower{tr, "gwroutes"}
	there := map[[2]string]int64{}
	for range 5000 {
		ns, name, size := []string{"epic-a", "epic-b", "epic-c"}[r.IntN(3)], string(rune('a'+r.IntN(20))), r.IntN(50)
		key := [2]string{ns, name}
		if r.IntN(3) == 0 {
			delete(there, key)
			_ = f.Delete(route(ns, name, 0))
			continue
		}
		there[key] = int64(size)
		_ = f.Update(route(ns, name, size))
	}
	for _, ns := range []string{"epic-a", "epic-b", "epic-c"} {
		var objects, bytes int64
		for key, size := range there {
			if key[0] == ns {
				objects, bytes = objects+1, bytes+size
			}
		}
		expectUse(t, tr, ns, objects, bytes)
	}
}

func TestLimits(t *testing.T) {
	tr := NewTracker(Limits{Objects: 3, Bytes: 100}, sizeOf)
	f, a := follower{tr, "gwroutes"}, follower{tr, "accounts"}
	rules := Rules{Rules: tenancy.Member{}, Resource: "gwroutes", Tracker: tr}
	check := func(old, obj *epic.GWRoute, text string) {
		t.Helper()
		var before runtime.Object
		if old != nil {
			before = old
		}
		err := rules.check(before, obj)
		switch {
		case text == "" && err != nil:
			t.Errorf("refused: %v", err)
		case text != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), text)):
			t.Errorf("got %v, want %q", err, text)
		}
	}
	_ = f.Replace([]any{route("epic-a", "x", 40), route("epic-a", "y", 50)}, "")
	check(nil, route("epic-a", "z", 10), "")
	check(nil, route("epic-a", "z", 11), "may take 100 bytes and take 90, and this write adds 11")
	check(route("epic-a", "x", 40), route("epic-a", "x", 50), "")
	check(route("epic-a", "x", 40), route("epic-a", "x", 51), "spec.storageLimitBytes")
	_ = f.Add(route("epic-a", "z", 20))
	check(nil, route("epic-a", "w", 0), "has 3 objects of this API, and its limit is 3: delete some, or ask the platform team for a higher spec.objectLimit")
	// Beyond a limit, what does not grow may be written.
	check(route("epic-a", "x", 40), route("epic-a", "x", 40), "")
	check(route("epic-a", "x", 40), route("epic-a", "x", 39), "")
	check(nil, route("epic-b", "x", 100), "")
	check(nil, route("epic", "x", 1000), "")
	if err := rules.check(nil, route("epic", "x", maxObject+1)); !apierrors.IsRequestEntityTooLargeError(err) || !strings.Contains(err.Error(), "gwroutes x would have 1048577 bytes") {
		t.Errorf("a large object: %v", err)
	}
	check(route("epic", "x", maxObject+2), route("epic", "x", maxObject+1), "")
	going := route("epic-a", "x", 99)
	going.DeletionTimestamp = &metav1.Time{}
	check(route("epic-a", "x", 40), going, "")

	// The Account's own limits go before the server's.
	account := &epic.Account{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: "a"}, Spec: epic.AccountSpec{ObjectLimit: ptr.To[int32](4), StorageLimitBytes: ptr.To[int64](111)}}
	_ = a.Add(account)
	check(nil, route("epic-a", "w", 1), "")
	check(nil, route("epic-a", "w", 2), "may take 111 bytes")
	account.Spec = epic.AccountSpec{ObjectLimit: ptr.To[int32](0)}
	_ = a.Update(account)
	check(nil, route("epic-a", "w", 0), "its limit is 0")
	_ = a.Delete(account)
	check(nil, route("epic-a", "w", 0), "its limit is 3")
	unlimited := Rules{Rules: tenancy.Member{}, Resource: "gwroutes", Tracker: NewTracker(Limits{}, sizeOf)}
	_ = follower{unlimited.Tracker, "gwroutes"}.Add(route("epic-a", "x", maxObject))
	if err := unlimited.check(nil, route("epic-a", "y", maxObject)); err != nil {
		t.Errorf("without limits: %v", err)
	}
}

// planned is a rule that lets everything pass.
type planned struct{ claims.Rules }

func (planned) Plan(context.Context, *claims.Plan, runtime.Object, runtime.Object) error { return nil }

// The programs of the system report on an object of a full account.
func TestStatusIsNotLimited(t *testing.T) {
	tr := NewTracker(Limits{Bytes: 1}, sizeOf)
	rules := Rules{Rules: planned{}, Resource: "gwroutes", Tracker: tr}
	ctx := func(subresource string) context.Context {
		return genericapirequest.WithRequestInfo(context.Background(), &genericapirequest.RequestInfo{Subresource: subresource})
	}
	if err := rules.Plan(ctx("status"), nil, route("epic-a", "x", 1), route("epic-a", "x", 5)); err != nil {
		t.Error(err)
	}
	if err := rules.Plan(ctx(""), nil, route("epic-a", "x", 1), route("epic-a", "x", 5)); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}
