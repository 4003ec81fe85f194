// SPDX-License-Identifier: Apache-2.0

package systemfinalizers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func with(finalizers ...string) runtime.Object {
	return &epic.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "shop", Finalizers: finalizers}}
}

// answers is an authorizer that notes what it is asked.
type answers struct {
	asked    []authorizer.Attributes
	decision authorizer.Decision
	reason   string
	err      error
}

func (a *answers) authorizer() authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
		a.asked = append(a.asked, attributes)
		return a.decision, a.reason, a.err
	})
}

func validate(a *answers, obj, old runtime.Object, op admission.Operation, group string) error {
	return New(a.authorizer()).Validate(context.Background(), admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "epic-acme", "shop",
		schema.GroupVersionResource{Group: group, Version: "v1", Resource: "loadbalancers"}, "", op, nil, false, &user.DefaultInfo{Name: "jane"}), nil)
}

func TestFinalizers(t *testing.T) {
	const own, older, bare = "epic.acnodal.io/controller", "x.eds.epic.acnodal.io/y", "node1.gwp.node-agent.epic.acnodal.io"
	for name, test := range map[string]struct {
		obj, old runtime.Object
		// refused is part of what is said, or empty where nobody is asked.
		refused string
	}{
		"created without":              {obj: with()},
		"created with a tenant's":      {obj: with("acme.example/mine", "foregroundDeletion", "notepic.acnodal.io/x", "epic.acnodal.io.acme.example/x")},
		"created with the system's":    {obj: with("acme.example/mine", own), refused: "adds " + own + ", which"},
		"created with one below":       {obj: with(older), refused: "adds " + older},
		"created with one of old":      {obj: with(bare), refused: "adds " + bare},
		"created in capitals":          {obj: with("EPIC.acnodal.io/controller"), refused: "adds"},
		"kept":                         {obj: with(own), old: with(own)},
		"kept beside another":          {obj: with("acme.example/mine", own), old: with(own)},
		"kept in another order":        {obj: with(bare, own), old: with(own, bare)},
		"added":                        {obj: with(own), old: with(), refused: "adds " + own},
		"removed":                      {obj: with(), old: with(own), refused: "removes " + own},
		"exchanged":                    {obj: with(older), old: with(own), refused: "adds " + older + " and removes " + own},
		"a tenant's removed":           {obj: with(own), old: with(own, "acme.example/mine")},
		"kept, then named once more":   {obj: with(own, own), old: with(own)},
		"one of the two kinds removed": {obj: with(own), old: with(own, older), refused: "removes " + older},
	} {
		t.Run(name, func(t *testing.T) {
			op := admission.Update
			if test.old == nil {
				op = admission.Create
			}
			no := &answers{decision: authorizer.DecisionNoOpinion}
			err := validate(no, test.obj, test.old, op, epic.GroupName)
			if test.refused == "" {
				if err != nil || len(no.asked) != 0 {
					t.Fatalf("%v, asked %v", err, no.asked)
				}
				return
			}
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.refused) || !strings.Contains(err.Error(), "update on loadbalancers/finalizers") {
				t.Errorf("got %v, want %q", err, test.refused)
			}
			asked := no.asked[0]
			if asked.GetUser().GetName() != "jane" || asked.GetVerb() != "update" || asked.GetAPIGroup() != epic.GroupName || asked.GetAPIVersion() != "v1" || asked.GetResource() != "loadbalancers" ||
				asked.GetSubresource() != "finalizers" || asked.GetNamespace() != "epic-acme" || asked.GetName() != "shop" || !asked.IsResourceRequest() {
				t.Errorf("asked %+v", asked)
			}
			if err := validate(&answers{decision: authorizer.DecisionAllow}, test.obj, test.old, op, epic.GroupName); err != nil {
				t.Errorf("with the permission: %v", err)
			}
			way := "leave them unchanged"
			if op == admission.Create {
				way = "leave them out"
			}
			reasoned := &answers{decision: authorizer.DecisionDeny, reason: "no such role"}
			if err := validate(reasoned, test.obj, test.old, op, epic.GroupName); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "(no such role)") || !strings.Contains(err.Error(), way) {
				t.Errorf("with a reason: %v", err)
			}
			failed := &answers{decision: authorizer.DecisionNoOpinion, err: errors.New("connection refused")}
			if err := validate(failed, test.obj, test.old, op, epic.GroupName); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("when nobody can be asked: %v", err)
			}
		})
	}
	if err := validate(&answers{}, with(own), nil, admission.Create, "other.example"); err != nil {
		t.Errorf("what is not EPIC's: %v", err)
	}
}

func admit(a *answers, obj, old runtime.Object, op admission.Operation) error {
	attributes := admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "epic-acme", "shop",
		schema.GroupVersionResource{Group: epic.GroupName, Version: "v1", Resource: "loadbalancers"}, "", op, nil, false, &user.DefaultInfo{Name: "jane"})
	p := New(a.authorizer())
	if err := p.Admit(context.Background(), attributes, nil); err != nil {
		return err
	}
	return p.Validate(context.Background(), attributes, nil)
}

// TestExports checks that an object can be created from an export that has the system's
// finalizers, and updated from it later, and that nothing else is dropped.
func TestExports(t *testing.T) {
	const own, bare, mine = "epic.acnodal.io/controller", "node1.gwp.node-agent.epic.acnodal.io", "acme.example/mine"
	finalizers := func(obj runtime.Object) string { return strings.Join(obj.(*epic.LoadBalancer).Finalizers, " ") }
	no := &answers{decision: authorizer.DecisionNoOpinion}

	created := with(own, mine, bare)
	if err := admit(no, created, nil, admission.Create); err != nil || finalizers(created) != mine {
		t.Fatalf("%v, created with %s", err, finalizers(created))
	}
	// The controller adds its finalizer, and the repository sends the export again.
	running := created.DeepCopyObject()
	running.(*epic.LoadBalancer).Finalizers = []string{mine, own}
	again := with(own, mine, bare)
	if err := admit(no, again, running, admission.Update); err != nil || finalizers(again) != own+" "+mine {
		t.Errorf("%v, updated to %s", err, finalizers(again))
	}
	if again.(*epic.LoadBalancer).Annotations[epic.ReplacedAnnotation] == "" {
		t.Error("an update without annotations makes the object forget what it brought")
	}
	if err := admit(no, with(own, mine, "other.epic.acnodal.io/x"), running, admission.Update); !apierrors.IsForbidden(err) {
		t.Errorf("a finalizer that it never brought: %v", err)
	}
	if err := admit(no, with(mine), running, admission.Update); !apierrors.IsForbidden(err) {
		t.Errorf("removing the controller's: %v", err)
	}

	allowed := &answers{decision: authorizer.DecisionAllow}
	kept := with(own, mine)
	if err := admit(allowed, kept, nil, admission.Create); err != nil || finalizers(kept) != own+" "+mine {
		t.Errorf("with the permission: %v, created with %s", err, finalizers(kept))
	}
	failed := &answers{decision: authorizer.DecisionNoOpinion, err: errors.New("connection refused")}
	if err := admit(failed, with(own), nil, admission.Create); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("when nobody can be asked: %v", err)
	}
}

// TestExportsAreAskedFor: what an object brought along is dropped from an update only
// for those who are known not to have the permission, and only if it is the system's.
func TestExportsAreAskedFor(t *testing.T) {
	const own, mine = "epic.acnodal.io/controller", "acme.example/mine"
	finalizers := func(obj runtime.Object) string { return strings.Join(obj.(*epic.LoadBalancer).Finalizers, " ") }
	created := with(own)
	if err := admit(&answers{decision: authorizer.DecisionNoOpinion}, created, nil, admission.Create); err != nil || finalizers(created) != "" {
		t.Fatalf("%v, created with %s", err, finalizers(created))
	}
	allowed := with(own)
	if err := admit(&answers{decision: authorizer.DecisionAllow}, allowed, created, admission.Update); err != nil || finalizers(allowed) != own {
		t.Errorf("with the permission: %v, updated to %s", err, finalizers(allowed))
	}
	failed := &answers{decision: authorizer.DecisionNoOpinion, err: errors.New("connection refused")}
	if err := admit(failed, with(own), created, admission.Update); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("when nobody can be asked: %v", err)
	}
	// Clients can write the annotation. It drops nobody else's finalizers.
	forged := created.DeepCopyObject()
	forged.(*epic.LoadBalancer).Annotations = map[string]string{epic.ReplacedAnnotation: `{"metadata.finalizers[` + mine + `]":"` + mine + `"}`}
	updated := with(mine)
	no := &answers{decision: authorizer.DecisionNoOpinion}
	if err := admit(no, updated, forged, admission.Update); err != nil || finalizers(updated) != mine || len(no.asked) != 0 {
		t.Errorf("%v, updated to %s, asked %v", err, finalizers(updated), no.asked)
	}
}

// TestOthersObjects: what is not EPIC's, or is not an object, is left alone, and an object of
// EPIC's without metadata is refused.
func TestOthersObjects(t *testing.T) {
	const own = "epic.acnodal.io/controller"
	record := func(obj, old runtime.Object, op admission.Operation, group string) admission.Attributes {
		return admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "epic-acme", "shop",
			schema.GroupVersionResource{Group: group, Version: "v1", Resource: "loadbalancers"}, "", op, nil, false, &user.DefaultInfo{Name: "jane"})
	}
	for name, c := range map[string]struct {
		obj, old runtime.Object
		op       admission.Operation
		group    string
		refused  bool
	}{
		"another group's":              {obj: with(own), op: admission.Create, group: "other.example"},
		"another group's, updated":     {obj: with(own), old: with(), op: admission.Update, group: "other.example"},
		"no object":                    {op: admission.Create, group: epic.GroupName},
		"an update of nothing":         {obj: with(), op: admission.Update, group: epic.GroupName},
		"no metadata":                  {obj: &metav1.Status{}, op: admission.Create, group: epic.GroupName, refused: true},
		"no metadata before":           {obj: with(own), old: &metav1.Status{}, op: admission.Update, group: epic.GroupName, refused: true},
		"no metadata of another group": {obj: &metav1.Status{}, op: admission.Create, group: "other.example"},
	} {
		t.Run(name, func(t *testing.T) {
			no := &answers{decision: authorizer.DecisionNoOpinion}
			p := New(no.authorizer())
			for what, err := range map[string]error{
				"mutation":   p.Admit(t.Context(), record(c.obj, c.old, c.op, c.group), nil),
				"validation": p.Validate(t.Context(), record(c.obj, c.old, c.op, c.group), nil),
			} {
				if apierrors.IsForbidden(err) != c.refused || !c.refused && err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			if len(no.asked) != 0 {
				t.Errorf("asked %v", no.asked)
			}
			if lb, ok := c.obj.(*epic.LoadBalancer); ok && c.group != epic.GroupName && len(lb.Finalizers) != 1 {
				t.Errorf("finalizers %v", lb.Finalizers)
			}
		})
	}
}

// A refusal names what it is about, and is bounded.
func TestLongRefusal(t *testing.T) {
	var many []string
	for range 500 {
		many = append(many, strings.Repeat("é", 60)+".epic.acnodal.io/x")
	}
	err := validate(&answers{decision: authorizer.DecisionNoOpinion}, with(many...), nil, admission.Create, epic.GroupName)
	if !apierrors.IsForbidden(err) || len(err.Error()) > 2000 || !utf8.ValidString(err.Error()) || !strings.Contains(err.Error(), "adds é") || !strings.Contains(err.Error(), "...") {
		t.Errorf("%d bytes: %.600v", len(err.Error()), err)
	}
}

// Finalizers change by creations and updates; the plugin has to be asked about both.
func TestHandles(t *testing.T) {
	for op, want := range map[admission.Operation]bool{admission.Create: true, admission.Update: true, admission.Delete: false, admission.Connect: false} {
		if got := New((&answers{}).authorizer()).Handles(op); got != want {
			t.Errorf("%s: %v", op, got)
		}
	}
}
