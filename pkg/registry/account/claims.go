// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

var groupID = field.NewPath("spec", "group-id")

// Rules implements claims.Rules for accounts: each has a unique group ID and depends on
// the EPIC object.
type Rules struct{}

var (
	_ claims.Rules        = Rules{}
	_ claims.Checker      = Rules{}
	_ claims.LastIDShower = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	a, s := obj.(*epic.Account), &claims.Set{}
	s.AddID(claims.GroupIDs, a.Spec.GroupID)
	s.AddParent(tenancy.EPICRef(), string(a.UID))
	return s
}

// LastIDs implements claims.LastIDShower.
func (Rules) LastIDs(obj runtime.Object) []claims.LastID {
	a := obj.(*epic.Account)
	return []claims.LastID{{Space: claims.ServiceIDs(tenancy.AccountRef(a.Namespace)), ID: &a.Status.CurrentServiceID}}
}

// Plan implements claims.Rules.
func (Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if old != nil {
		return nil
	}
	a := obj.(*epic.Account)
	objs, err := p.Read(ctx, tenancy.EPICRef())
	if err != nil {
		return err
	}
	if system, _ := objs[0].(*epic.EPIC); system == nil || system.DeletionTimestamp != nil {
		return tenancy.Invalid("Account", a.Name, field.Invalid(field.NewPath("metadata", "name"), a.Name,
			"an account requires the EPIC object "+epic.ConfigNamespace+"/"+epic.ConfigName+": create that first"))
	}
	p.DependOnExistence(tenancy.EPICRef())
	id, err := p.KeepOrAssignID(ctx, claims.GroupIDs, a.Spec.GroupID)
	if err != nil {
		return err
	}
	if brought := a.Spec.GroupID; brought != 0 && brought != id {
		kind.Replace(ctx, a, groupID, fmt.Sprint(brought), "another account has it, or it is out of range, so the server assigns one")
	}
	a.Spec.GroupID = id
	return nil
}

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(_ context.Context, p *claims.Plan, obj runtime.Object) error {
	p.ForgetSpace(claims.ServiceIDs(tenancy.AccountRef(obj.(*epic.Account).Namespace)))
	return nil
}

// Taken implements claims.Rules. If another account holds the group ID of a new account,
// the new account gets a different ID, so no account loses its ID to another.
func (Rules) Taken(obj runtime.Object, c claims.Claim, _ claims.Owner) error {
	return tenancy.Invalid("Account", obj.(*epic.Account).Name,
		field.Invalid(groupID, c.Number(), "another account has it: leave it out, so the server assigns one"))
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(obj runtime.Object, child claims.Owner) error {
	return tenancy.InUse("Account", obj.(*epic.Account).Name, child)
}

// Check implements claims.Checker: the EPIC object must exist, and the account must be in
// the namespace that its name requires.
func (Rules) Check(obj runtime.Object, find claims.Find) field.ErrorList {
	a := obj.(*epic.Account)
	var errs field.ErrorList
	switch system, err := find(tenancy.EPICRef()); {
	case err != nil:
		errs = append(errs, field.InternalError(field.NewPath("metadata", "name"), err))
	case system == nil:
		errs = append(errs, field.NotFound(field.NewPath("metadata", "name"), tenancy.EPICRef().String()))
	}
	if a.Namespace != epic.AccountNamespace(a.Name) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), a.Namespace, "should be "+epic.AccountNamespace(a.Name)))
	}
	if a.Spec.GroupID == 0 {
		errs = append(errs, field.Required(groupID, "every account must have one"))
	}
	return errs
}
