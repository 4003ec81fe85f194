// SPDX-License-Identifier: Apache-2.0

package tenancy

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// Member has the rules of kinds whose objects only have to belong to the account of their
// namespace.
type Member struct {
	claims.NoRules
	// Kind names the kind in errors.
	Kind string
}

var (
	_ claims.Rules   = Member{}
	_ claims.Checker = Member{}
)

// Plan implements claims.Rules.
func (r Member) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if old != nil {
		return nil
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	account, problem, err := RequireAccount(ctx, p, m.GetNamespace())
	if err != nil {
		return err
	}
	if problem != nil {
		return Invalid(r.Kind, m.GetName(), problem)
	}
	if e := SetLabel(m, epic.OwningAccountLabel, account.Name, "it is the Account of the namespace"); e != nil {
		return Invalid(r.Kind, m.GetName(), e)
	}
	return nil
}

// Check implements claims.Checker. It does not require the account to exist: an account
// may be deleted before the routes and slices of its namespace.
func (Member) Check(obj runtime.Object, _ claims.Find) field.ErrorList {
	m, err := meta.Accessor(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	is, should := m.GetLabels()[epic.OwningAccountLabel], AccountRef(m.GetNamespace()).Name
	if is != should {
		return field.ErrorList{field.Invalid(Label(epic.OwningAccountLabel), is, "should be "+should)}
	}
	return nil
}
