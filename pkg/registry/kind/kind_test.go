// SPDX-License-Identifier: Apache-2.0

package kind_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/account"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
	"github.com/acnodal/epic/pkg/registry/serviceprefix"
)

// recorder is a Previewer that notes what it is asked.
type recorder struct {
	calls []string
	err   error
}

func (r *recorder) Preview(_ context.Context, resource string, old, obj runtime.Object) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	r.calls = append(r.calls, fmt.Sprintf("%s %s/%s generation %d old %v", resource, m.GetNamespace(), m.GetName(), m.GetGeneration(), old != nil))
	return r.err
}

func (r *recorder) PreviewDelete(_ context.Context, resource string, obj runtime.Object) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	r.calls = append(r.calls, "delete "+resource+" "+m.GetName())
	return r.err
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.Join(r.calls, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("previewed:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	r.calls = nil
}

func sample() *epic.Account {
	return &epic.Account{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "root"}}
}

func TestWritesAreNotPreviewed(t *testing.T) {
	r := &recorder{}
	s := kindtest.New(t, account.NewREST, r)
	obj, err := kindtest.Update(s, kindtest.MustCreate(s, sample()))
	if err != nil {
		t.Error(err)
	}
	if _, err := kindtest.UpdateStatus(s, obj); err != nil {
		t.Error(err)
	}
	if err := s.Delete("epic-root", "root"); err != nil {
		t.Error(err)
	}
	r.expect(t)
}

func TestDryRunsArePreviewed(t *testing.T) {
	r := &recorder{}
	s := kindtest.New(t, account.NewREST, r)

	// The object gets its namespace and its generation before it is looked at.
	bare := sample()
	if _, err := kindtest.Create(s, bare, metav1.DryRunAll); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "accounts epic-root/root generation 1 old false")
	if s.Writes() != 0 {
		t.Fatal("a dry run was written")
	}

	obj := kindtest.MustCreate(s, sample())
	written := s.Writes()
	obj.Spec.ProxyLimit = ptr.To[int32](3)
	out, err := kindtest.Update(s, obj, metav1.DryRunAll)
	if err != nil || out.Generation != 2 {
		t.Errorf("generation %d, %v", out.Generation, err)
	}
	r.expect(t, "accounts epic-root/root generation 2 old true")

	obj.Status.Conditions = kindtest.Ready()
	if _, err := kindtest.UpdateStatus(s, obj, metav1.DryRunAll); err != nil {
		t.Error(err)
	}
	r.expect(t, "accounts epic-root/root generation 1 old true")

	if err := s.Delete("epic-root", "root", metav1.DryRunAll); err != nil {
		t.Error(err)
	}
	r.expect(t, "delete accounts root")
	if err := s.DeleteAll("epic-root", metav1.DryRunAll); err != nil {
		t.Error(err)
	}
	r.expect(t, "delete accounts root")
	if s.Writes() != written {
		t.Error("a dry run was written")
	}
}

func TestDryRunFailsWithItsPreview(t *testing.T) {
	r := &recorder{err: errors.New("taken")}
	s := kindtest.New(t, account.NewREST, r)
	if _, err := kindtest.Create(s, sample(), metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("create: %v", err)
	}
	obj := kindtest.MustCreate(s, sample())
	if _, err := kindtest.Update(s, obj, metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("update: %v", err)
	}
	if _, err := kindtest.UpdateStatus(s, obj, metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("status: %v", err)
	}
	if err := s.Delete("epic-root", "root", metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("delete: %v", err)
	}
	if err := s.DeleteAll("epic-root", metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("delete collection: %v", err)
	}
}

// A dry run of what is wrong in itself says so, and is not looked at further.
func TestInvalidDryRun(t *testing.T) {
	r := &recorder{}
	s := kindtest.New(t, account.NewREST, r)
	obj := sample()
	obj.Spec.ProxyLimit = ptr.To[int32](-1)
	if _, err := kindtest.Create(s, obj, metav1.DryRunAll); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	r.expect(t)
}

// That an object exists is said before what else is wrong with it, and looked for
// only when something is.
func TestCreateWhatExists(t *testing.T) {
	r := &recorder{err: apierrors.NewForbidden(epic.Resource("accounts"), "root", errors.New("taken"))}
	s := kindtest.New(t, account.NewREST, r)
	kindtest.MustCreate(s, sample())
	if n := s.Reads(); n != 0 {
		t.Errorf("%d reads for a new object", n)
	}
	if _, err := kindtest.Create(s, sample(), metav1.DryRunAll); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a dry run that its preview refuses: %v", err)
	}
	invalid := sample()
	invalid.Spec.ProxyLimit = ptr.To[int32](-1)
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		if _, err := kindtest.Create(s, invalid, dryRun...); !apierrors.IsAlreadyExists(err) {
			t.Errorf("invalid, dry run %v: %v", dryRun, err)
		}
	}
	going := sample()
	going.Name, going.Namespace, going.DeletionTimestamp = "going", "epic-going", ptr.To(metav1.Now())
	s.Put(going)
	again := sample()
	again.Name, again.Namespace, again.Spec.ProxyLimit = "going", "epic-going", ptr.To[int32](-1)
	if _, err := kindtest.Create(s, again); !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), "object is being deleted") {
		t.Errorf("an object that is being deleted: %v", err)
	}

	// What does not exist is refused for what is wrong with it.
	other := sample()
	other.Name, other.Namespace = "other", "epic-other"
	if _, err := kindtest.Create(s, other, metav1.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
	other.Name, other.GenerateName = "", "roo"
	if _, err := kindtest.Create(s, other); !apierrors.IsInvalid(err) {
		t.Errorf("a generated name: %v", err)
	}
	// A server that can't tell says so.
	r.err = errors.New("etcd is away")
	if _, err := kindtest.Create(s, sample(), metav1.DryRunAll); !errors.Is(err, r.err) {
		t.Errorf("got %v", err)
	}
}

func TestStatusCreatesNothing(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	if _, err := kindtest.UpdateStatus(s, sample()); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if _, err := kindtest.Update(s, sample()); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestStaleWrite(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	obj := kindtest.MustCreate(s, sample())
	obj.Spec.ProxyLimit = ptr.To[int32](3)
	if _, err := kindtest.Update(s, obj); err != nil {
		t.Fatal(err)
	}
	if _, err := kindtest.Update(s, obj); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := kindtest.UpdateStatus(s, obj); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	obj.ResourceVersion = ""
	if _, err := kindtest.Update(s, obj); err != nil {
		t.Errorf("without a version: %v", err)
	}
}

// A write of the status changes the status and nothing else.
func TestStatusKeepsTheRest(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	obj := sample()
	obj.Labels = map[string]string{"a": "b"}
	obj = kindtest.MustCreate(s, obj)
	obj.Labels = nil
	obj.Annotations = map[string]string{"a": "b"}
	obj.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "a", UID: "1"}}
	obj.Finalizers = []string{"epic.acnodal.io/controller"}
	obj.Spec.ProxyLimit = ptr.To[int32](99)
	obj.Status.Conditions = kindtest.Ready()
	obj.Status.ObservedGeneration = 1
	out, err := kindtest.UpdateStatus(s, obj)
	if err != nil {
		t.Fatal(err)
	}
	if out.Labels["a"] != "b" || out.Annotations != nil || out.OwnerReferences != nil || out.Finalizers != nil || out.Spec.ProxyLimit != nil || out.Generation != 1 {
		t.Errorf("changed more than the status: %+v", out)
	}
	if len(out.Status.Conditions) != 1 || out.Status.ObservedGeneration != 1 {
		t.Errorf("did not change the status: %+v", out)
	}
	// A write of the object keeps the status.
	out.Status = epic.AccountStatus{}
	out.Spec.ProxyLimit = ptr.To[int32](5)
	if out, err = kindtest.Update(s, out); err != nil {
		t.Fatal(err)
	}
	if len(out.Status.Conditions) != 1 || out.Generation != 2 {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
}

func TestTableOfManyAndOfOthers(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	list := &epic.AccountList{Items: []epic.Account{*sample(), *sample()}, ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "more"}}
	table, err := s.REST.ConvertToTable(context.Background(), list, &metav1.TableOptions{NoHeaders: true})
	if err != nil || len(table.Rows) != 2 || table.ResourceVersion != "7" || table.Continue != "more" || table.ColumnDefinitions != nil {
		t.Errorf("got %+v, %v", table, err)
	}
	if _, err := s.REST.ConvertToTable(context.Background(), &epic.GWRoute{}, nil); apierrors.ReasonForError(err) != metav1.StatusReasonNotAcceptable {
		t.Errorf("another kind: %v", err)
	}
	if _, err := s.Status.ConvertToTable(context.Background(), sample(), nil); err != nil {
		t.Errorf("a status: %v", err)
	}
}

func TestNames(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	if got := s.REST.GetSingularName(); got != "account" {
		t.Errorf("singular %q", got)
	}
	if got := s.REST.Categories(); !slices.Equal(got, []string{kind.CategoryAll, kind.CategoryTenant}) {
		t.Errorf("categories %q", got)
	}
	s = kindtest.New(t, serviceprefix.NewREST, nil)
	if got := s.REST.Categories(); !slices.Equal(got, []string{kind.CategoryAll}) {
		t.Errorf("a kind of the platform team has the categories %q", got)
	}
}

func TestResetFields(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	if got := kindtest.Resets(s.REST); got != ".status" {
		t.Errorf("objects reset %q", got)
	}
	if got := kindtest.Resets(s.Status); !strings.Contains(got, ".spec") || strings.Contains(got, ".status\n") || strings.Contains(got, "conditions") {
		t.Errorf("the status resets %q", got)
	}
}
