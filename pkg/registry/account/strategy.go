// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// strategy is for writes of the objects. It does what needs nothing but the
// object, new and old; what needs others is done where claims are made.
type strategy struct{ kind.BaseStrategy }

func newStrategy(typer runtime.ObjectTyper) strategy {
	return strategy{kind.NewBaseStrategy(typer)}
}

// PrepareForCreate drops the status, which only the server and its controllers
// write.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	a := obj.(*epic.Account)
	a.Status = epic.AccountStatus{}
	kind.Created(&a.ObjectMeta)
}

// Validate implements rest.RESTCreateStrategy.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateAccount(obj.(*epic.Account))
}

// PrepareForUpdate keeps the status, and what was left out but can't be taken
// back.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.Account), old.(*epic.Account)
	a.Status = o.Status
	kind.KeepReplaced(&a.ObjectMeta, &o.ObjectMeta)
	if a.Spec.GroupID == 0 || kind.Replaced(o, groupID, fmt.Sprint(a.Spec.GroupID)) {
		// The number was left out, or is one that the account could not have.
		a.Spec.GroupID = o.Spec.GroupID
	}
	kind.Bump(&a.ObjectMeta, a.Spec, o.Spec)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateAccountUpdate(obj.(*epic.Account), old.(*epic.Account))
}

// statusStrategy is for writes of the status.
type statusStrategy struct{ kind.BaseStrategy }

func newStatusStrategy(typer runtime.ObjectTyper) statusStrategy {
	return statusStrategy{kind.NewBaseStatusStrategy(typer, fieldpath.MakePathOrDie("status", "current-service-id"))}
}

// PrepareForUpdate keeps everything but the status, and the parts of the status
// that the write leaves out and its writer may not know.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.Account), old.(*epic.Account)
	a.Spec = o.Spec
	kind.KeepMeta(&a.ObjectMeta, &o.ObjectMeta)
	kind.KeepConditions(&a.Status.Conditions, o.Status.Conditions)
	kind.KeepObserved(&a.Status.ObservedGeneration, o.Status.ObservedGeneration)
	// The store sets it.
	a.Status.CurrentServiceID = o.Status.CurrentServiceID
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateAccountStatusUpdate(obj.(*epic.Account), old.(*epic.Account))
}
