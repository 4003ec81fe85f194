// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind describes a kind for Run. T is a pointer to its internal type.
type Kind[T Object] struct {
	NewREST NewRESTFunc
	// Sample returns an object that the kind accepts.
	Sample func() T
	// Wrong holds changes that make the sample invalid.
	Wrong map[string]func(T)
	// Change changes the spec. It is nil for a kind whose spec is immutable.
	Change func(T)
	// WrongChange is a change that the kind rejects after Change.
	WrongChange func(T)
	// ShortNames and Trigger are the names for kubectl, separated by commas, and the
	// field by which watchers are found.
	ShortNames, Trigger string
}

// Run tests the behavior that the objects of every kind share.
func Run[T Object](t *testing.T, k Kind[T]) {
	t.Run("Create", k.create)
	t.Run("CreateRefuses", k.createRefuses)
	t.Run("Update", k.update)
	t.Run("UpdateStatus", k.updateStatus)
	t.Run("Names", k.names)
}

// report returns the status fields that every kind has.
func report(obj Object) (conditions *[]metav1.Condition, observed *int64) {
	status := reflect.ValueOf(obj).Elem().FieldByName("Status")
	conditions, _ = status.FieldByName("Conditions").Addr().Interface().(*[]metav1.Condition)
	observed, _ = status.FieldByName("ObservedGeneration").Addr().Interface().(*int64)
	return conditions, observed
}

func (k Kind[T]) create(t *testing.T) {
	s := New(t, k.NewREST, nil)
	in := k.Sample()
	in.SetGeneration(7)
	conditions, observed := report(in)
	*conditions, *observed = Ready(), 3
	out := MustCreate(s, in)
	if conditions, observed := report(out); out.GetGeneration() != 1 || *conditions != nil || *observed != 0 {
		t.Errorf("generation %d, conditions %v, observed %d", out.GetGeneration(), *conditions, *observed)
	}
}

func (k Kind[T]) createRefuses(t *testing.T) {
	s := New(t, k.NewREST, nil)
	if len(k.Wrong) == 0 {
		t.Error("the test of this kind has no object that is refused")
	}
	for name, change := range k.Wrong {
		o := k.Sample()
		change(o)
		if _, err := Create(s, o); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if s.Writes() != 0 {
		t.Error("a refused write left something behind")
	}
}

func (k Kind[T]) update(t *testing.T) {
	s := New(t, k.NewREST, nil)
	o := MustCreate(s, k.Sample())
	conditions, _ := report(o)
	*conditions = Ready()
	o, err := Update(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if conditions, _ := report(o); o.GetGeneration() != 1 || *conditions != nil {
		t.Errorf("a write of the status with the object: generation %d, conditions %v", o.GetGeneration(), *conditions)
	}
	o.SetAnnotations(map[string]string{"a": "b"})
	if o, err = Update(s, o); err != nil || o.GetGeneration() != 1 || o.GetAnnotations()["a"] != "b" {
		t.Fatalf("a change of the metadata: generation %d, %v", o.GetGeneration(), err)
	}
	if k.Change != nil {
		k.Change(o)
		if o, err = Update(s, o); err != nil || o.GetGeneration() != 2 {
			t.Fatalf("a change of the spec: generation %d, %v", o.GetGeneration(), err)
		}
	}
	k.WrongChange(o)
	if _, err := Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func (k Kind[T]) updateStatus(t *testing.T) {
	s := New(t, k.NewREST, nil)
	stored := MustCreate(s, k.Sample())
	stored.SetFinalizers([]string{"example.com/a"})
	s.Put(stored)
	o := k.Sample()
	o.SetResourceVersion("")
	if k.Change != nil {
		k.Change(o)
	}
	o.SetAnnotations(map[string]string{"a": "b"})
	conditions, _ := report(o)
	*conditions = Ready()
	o, err := UpdateStatus(s, o)
	if err != nil {
		t.Fatal(err)
	}
	conditions, observed := report(o)
	if o.GetGeneration() != 1 || len(*conditions) != 1 || len(o.GetFinalizers()) != 1 || len(o.GetAnnotations()) != 0 {
		t.Errorf("got %+v", o)
	}
	if spec := func(obj T) any { return reflect.ValueOf(obj).Elem().FieldByName("Spec").Interface() }; !reflect.DeepEqual(spec(o), spec(stored)) {
		t.Errorf("a write of the status changed the spec to %+v", spec(o))
	}
	// A client that does not know conditions leaves them out, and they stay.
	*conditions, *observed = nil, 1
	if o, err = UpdateStatus(s, o); err != nil {
		t.Fatal(err)
	}
	if conditions, observed = report(o); len(*conditions) != 1 || *observed != 1 {
		t.Errorf("conditions %v, observed %d", *conditions, *observed)
	}
	*conditions, *observed = []metav1.Condition{}, 0
	if o, err = UpdateStatus(s, o); err != nil {
		t.Fatal(err)
	}
	if conditions, observed = report(o); len(*conditions) != 0 || *observed != 1 {
		t.Errorf("conditions %v, observed %d", *conditions, *observed)
	}
	*observed = -1
	if _, err := UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func (k Kind[T]) names(t *testing.T) {
	s := New(t, k.NewREST, nil)
	if got := strings.Join(s.REST.ShortNames(), ","); got != k.ShortNames {
		t.Errorf("short names %q, want %q", got, k.ShortNames)
	}
	if s.Trigger != k.Trigger {
		t.Errorf("watchers are found by %q, want %q", s.Trigger, k.Trigger)
	}
}
