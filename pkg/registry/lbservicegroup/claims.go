// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for service groups: each depends on its prefix and,
// unless it is offered to all accounts, on the account of its namespace.
type Rules struct{ claims.NoRules }

var (
	_ claims.Rules   = Rules{}
	_ claims.Checker = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	g, s := obj.(*epic.LBServiceGroup), &claims.Set{}
	if prefix := g.Labels[epic.OwningServicePrefixLabel]; prefix != "" {
		s.AddParent(tenancy.PrefixRef(prefix), string(g.UID))
	}
	if g.Namespace != epic.ConfigNamespace {
		s.AddParent(tenancy.AccountRef(g.Namespace), string(g.UID))
	}
	return s
}

// Plan implements claims.Rules. Existing clients look for the texts "error getting owning
// SP" and "error getting owning Account".
func (Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if old != nil {
		return nil
	}
	g := obj.(*epic.LBServiceGroup)
	refuse := func(errs ...*field.Error) error { return tenancy.Invalid("LBServiceGroup", g.Name, errs...) }

	name := g.Labels[epic.OwningServicePrefixLabel]
	label := tenancy.Label(epic.OwningServicePrefixLabel)
	if name == "" {
		return refuse(field.Required(label, "error getting owning SP: the label names the ServicePrefix from which the group's addresses come"))
	}
	if strings.ContainsAny(name, "/.") {
		return refuse(field.Invalid(label, name, "error getting owning SP: no ServicePrefix can have this name"))
	}
	ref := tenancy.PrefixRef(name)
	objs, err := p.Read(ctx, ref)
	if err != nil {
		return err
	}
	prefix, _ := objs[0].(*epic.ServicePrefix)
	if prefix == nil || prefix.DeletionTimestamp != nil {
		return refuse(field.Invalid(label, name, "error getting owning SP: there is no such ServicePrefix in namespace "+epic.ConfigNamespace+": create it first, or name another"))
	}
	p.DependOnExistence(ref)

	if g.Namespace == epic.ConfigNamespace {
		if owner, ok := g.Labels[epic.OwningAccountLabel]; ok {
			return refuse(field.Invalid(tenancy.Label(epic.OwningAccountLabel), owner,
				"error getting owning Account: a group in namespace "+epic.ConfigNamespace+" is available to every account and belongs to no account: leave it out"))
		}
		return nil
	}
	account, problem, err := tenancy.RequireAccount(ctx, p, g.Namespace)
	if err != nil {
		return err
	}
	if problem != nil {
		problem.Detail = "error getting owning Account: " + problem.Detail
		return refuse(problem)
	}
	if e := tenancy.SetLabel(&g.ObjectMeta, epic.OwningAccountLabel, account.Name, "error getting owning Account: a group belongs to the Account of its namespace"); e != nil {
		return refuse(e)
	}
	return nil
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(obj runtime.Object, child claims.Owner) error {
	return tenancy.InUse("LBServiceGroup", obj.(*epic.LBServiceGroup).Name, child)
}

// Check implements claims.Checker: the prefix and the account that the labels name must
// exist.
func (Rules) Check(obj runtime.Object, find claims.Find) field.ErrorList {
	g := obj.(*epic.LBServiceGroup)
	var errs field.ErrorList
	exists := func(label string, ref claims.Ref) {
		parent, err := find(ref)
		switch {
		case err != nil:
			errs = append(errs, field.InternalError(tenancy.Label(label), err))
		case parent == nil:
			errs = append(errs, field.NotFound(tenancy.Label(label), ref.String()))
		}
	}
	exists(epic.OwningServicePrefixLabel, tenancy.PrefixRef(g.Labels[epic.OwningServicePrefixLabel]))
	owner, owned := g.Labels[epic.OwningAccountLabel]
	if g.Namespace == epic.ConfigNamespace {
		if owned {
			errs = append(errs, field.Invalid(tenancy.Label(epic.OwningAccountLabel), owner, "a group that is available to every account belongs to no account"))
		}
		return errs
	}
	account := tenancy.AccountRef(g.Namespace)
	exists(epic.OwningAccountLabel, account)
	if owner != account.Name {
		errs = append(errs, field.Invalid(tenancy.Label(epic.OwningAccountLabel), owner, "should be "+account.Name))
	}
	return errs
}
