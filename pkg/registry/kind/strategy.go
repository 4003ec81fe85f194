// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Strategy has the rules for writes of one kind's objects that depend only on the old and
// the new object. T is the internal type. Rules that need other objects are in the kind's
// claims.Rules.
//
// The rules that all kinds share are not part of it: a write of the object keeps the
// status and increments the generation if the spec changes; a write of the status keeps
// everything else, and restores the conditions and the observed generation if they are
// left out.
type Strategy[T any] struct {
	// PrepareCreate completes a new object. It may be nil.
	PrepareCreate func(obj *T)
	// PrepareUpdate restores fields that an update leaves out and can't remove. It may be
	// nil.
	PrepareUpdate func(obj, old *T)
	// PrepareStatus does the same for an update of the status. It may be nil.
	PrepareStatus func(obj, old *T)

	// Validate checks a new object.
	Validate func(obj *T) field.ErrorList
	// ValidateUpdate checks an update.
	ValidateUpdate func(obj, old *T) field.ErrorList
	// ValidateStatus checks an update of the status.
	ValidateStatus func(obj, old *T) field.ErrorList

	// Reset lists the fields, in addition to the status, that a write of the object can't
	// set.
	Reset []fieldpath.Path
	// ResetStatus lists the fields of the status that no client can set.
	ResetStatus []fieldpath.Path
}

// base is the common part of the strategies of objects and of their status.
type base struct {
	runtime.ObjectTyper
	names.NameGenerator
	reset []fieldpath.Path
}

// NamespaceScoped implements rest.RESTCreateStrategy: all kinds are namespaced.
func (base) NamespaceScoped() bool { return true }

// AllowCreateOnUpdate implements rest.RESTUpdateStrategy: a PUT creates nothing.
func (base) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate implements rest.RESTUpdateStrategy: a write without a
// resourceVersion overwrites any version.
func (base) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize implements rest.RESTCreateStrategy. PrepareForCreate and PrepareForUpdate
// do the work.
func (base) Canonicalize(runtime.Object) {}

// WarningsOnCreate implements rest.RESTCreateStrategy.
func (base) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate implements rest.RESTUpdateStrategy.
func (base) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string { return nil }

// GetResetFields implements rest.ResetFieldsStrategy.
func (b base) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fieldpath.NewSet(b.reset...),
	}
}

// objectStrategy is for writes of the objects.
type objectStrategy[T any] struct {
	base
	Strategy[T]
}

func newObjectStrategy[T any](typer runtime.ObjectTyper, s Strategy[T]) objectStrategy[T] {
	reset := append([]fieldpath.Path{fieldpath.MakePathOrDie("status")}, s.Reset...)
	return objectStrategy[T]{base{typer, names.SimpleNameGenerator, reset}, s}
}

// PrepareForCreate implements rest.RESTCreateStrategy.
func (s objectStrategy[T]) PrepareForCreate(_ context.Context, obj runtime.Object) {
	p := partsOf(obj)
	p.status.SetZero()
	if s.PrepareCreate != nil {
		s.PrepareCreate(typed[T](obj))
	}
	p.meta.Generation = 1
}

// Validate implements rest.RESTCreateStrategy.
func (s objectStrategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return s.Strategy.Validate(typed[T](obj))
}

// PrepareForUpdate implements rest.RESTUpdateStrategy.
func (s objectStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	p, o := partsOf(obj), partsOf(old)
	p.status.Set(o.status)
	if s.PrepareUpdate != nil {
		s.PrepareUpdate(typed[T](obj), typed[T](old))
	}
	bump(p.meta, p.spec.Addr().Interface(), o.spec.Addr().Interface())
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (s objectStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.Strategy.ValidateUpdate(typed[T](obj), typed[T](old))
}

// statusStrategy is for writes of the status.
type statusStrategy[T any] struct {
	base
	Strategy[T]
}

func newStatusStrategy[T any](typer runtime.ObjectTyper, s Strategy[T]) statusStrategy[T] {
	return statusStrategy[T]{base{typer, names.SimpleNameGenerator, append([]fieldpath.Path{
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "labels"),
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
	}, s.ResetStatus...)}, s}
}

// PrepareForUpdate implements rest.RESTUpdateStrategy.
func (s statusStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	p, o := partsOf(obj), partsOf(old)
	p.spec.Set(o.spec)
	keepMeta(p.meta, o.meta)
	KeepConditions(p.conditions, *o.conditions)
	keepObserved(p.observed, *o.observed)
	if s.PrepareStatus != nil {
		s.PrepareStatus(typed[T](obj), typed[T](old))
	}
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (s statusStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.ValidateStatus(typed[T](obj), typed[T](old))
}
