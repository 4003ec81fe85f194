// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
)

// Strategy is the strategy of a kind's objects.
type Strategy interface {
	rest.RESTCreateStrategy
	rest.RESTDeleteStrategy
	UpdateStrategy
}

// UpdateStrategy is the strategy of updates, of the objects or of their status.
type UpdateStrategy interface {
	rest.RESTUpdateStrategy
	rest.ResetFieldsStrategy
}

// BaseStrategy is what the strategies of all kinds have in common.
type BaseStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	reset []fieldpath.Path
}

// NewBaseStrategy is the base of a strategy for objects. Beside the status,
// writes ignore the paths in reset.
func NewBaseStrategy(typer runtime.ObjectTyper, reset ...fieldpath.Path) BaseStrategy {
	reset = append([]fieldpath.Path{fieldpath.MakePathOrDie("status")}, reset...)
	return BaseStrategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator, reset: reset}
}

// NewBaseStatusStrategy is the base of a strategy for the status. Beside the spec
// and the metadata, writes ignore the paths in reset.
func NewBaseStatusStrategy(typer runtime.ObjectTyper, reset ...fieldpath.Path) BaseStrategy {
	return BaseStrategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator, reset: append([]fieldpath.Path{
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "labels"),
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
	}, reset...)}
}

// NamespaceScoped says that all kinds are namespaced.
func (BaseStrategy) NamespaceScoped() bool { return true }

// AllowCreateOnUpdate says that a PUT creates nothing.
func (BaseStrategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate says that a write without a resourceVersion is made
// whatever others wrote before.
func (BaseStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize has nothing to do: preparing does it.
func (BaseStrategy) Canonicalize(runtime.Object) {}

// WarningsOnCreate has none.
func (BaseStrategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate has none.
func (BaseStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields are the fields that a write can't set, and so does not own.
func (s BaseStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fieldpath.NewSet(s.reset...),
	}
}

// Created sets the generation of a new object.
func Created(m *metav1.ObjectMeta) { m.Generation = 1 }

// Bump counts a change of the spec in an object's generation. Specs that differ
// only in an absent and an empty list count as equal.
func Bump(m *metav1.ObjectMeta, spec, old any) {
	if !apiequality.Semantic.DeepEqual(spec, old) {
		m.Generation++
	}
}

// KeepMeta puts the old metadata into a write of the status, which changes none
// of it: who may report on an object may not take its finalizers away.
func KeepMeta(m, old *metav1.ObjectMeta) {
	// Not to be confused with a change: which version the writer has seen, which
	// object is meant, and who owns what.
	kept := *old.DeepCopy()
	kept.ResourceVersion = m.ResourceVersion
	kept.UID = m.UID
	kept.ManagedFields = m.ManagedFields
	*m = kept
}

// KeepConditions carries the conditions over that a write of the status left out.
// Published programs send a status that has no conditions, since they do not know
// them, and a PUT of it must not remove what others report. An empty list, as
// opposed to none, removes the conditions. Protobuf can't tell the two apart, so
// only JSON can remove them all.
func KeepConditions(conditions *[]metav1.Condition, old []metav1.Condition) {
	if *conditions == nil {
		*conditions = old
	}
}

// KeepObserved carries the observed generation over that a write of the status
// left out.
func KeepObserved(observed *int64, old int64) {
	if *observed == 0 {
		*observed = old
	}
}

// KeepOwners carries the labels over that name an object's owners, where an
// update leaves them out or has what the object brought along and could not have.
func KeepOwners(m, old *metav1.ObjectMeta) {
	KeepReplaced(m, old)
	for _, key := range validation.OwnerLabels {
		value, ok := old.Labels[key]
		if !ok {
			continue
		}
		if is, ok := m.Labels[key]; ok && !Replaced(old, field.NewPath("metadata", "labels").Key(key), is) {
			continue
		}
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[key] = value
	}
}
