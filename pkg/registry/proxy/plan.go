// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// parents are the objects that an object depends on.
type parents struct {
	account *epic.Account
	group   *epic.LBServiceGroup
	prefix  *epic.ServicePrefix
}

// write is one write of an object of either kind.
type write struct {
	*claims.Plan
	View
	// old is nil on creation.
	old    *View
	grants Grants
	up     parents
}

// rule handles something that the server assigns if the caller leaves it out, and checks
// if the caller sets it. Every rule applies to a creation.
type rule struct {
	// touched reports whether an update changes what the rule handles. It is nil if
	// validation rejects every change.
	touched func(old, v View) bool
	apply   func(ctx context.Context, w *write) error
}

// rules lists the rules of both kinds, in the order in which they depend on one another.
var rules = []rule{
	{nil, setLabels},
	{exceeds, checkGrants},
	{edgeTouched, checkEdge},
	{nil, copyFromGroup},
	{nil, takeSlot},
	{func(old, v View) bool { return *v.PublicAddress != *old.PublicAddress }, setPublicAddress},
	{func(old, v View) bool { return v.altAddress() != old.altAddress() }, setAltAddress},
	{recordsTouched, setRecords},
	{nil, setServiceID},
}

// Plan completes or rejects a write of an object of either kind. A creation gets labels,
// template and replica count, a quota slot, addresses, their DNS records, and IDs from
// its account, its group and the group's prefix. An update goes through the same rules
// for the fields that it changes, so setting a field that was empty does not bypass them.
func Plan(ctx context.Context, p *claims.Plan, g Grants, old *View, v View) error {
	w := &write{Plan: p, View: v, old: old, grants: g}
	for _, r := range rules {
		if old != nil && (r.touched == nil || !r.touched(*old, v)) {
			continue
		}
		if w.up.account == nil {
			if err := w.findParents(ctx); err != nil {
				return err
			}
		}
		if err := r.apply(ctx, w); err != nil {
			return err
		}
	}
	return assignTunnels(ctx, p, v.Status)
}

func (w *write) refuse(errs ...*field.Error) error {
	return tenancy.Invalid(w.Kind, w.Meta.Name, errs...)
}

// findParents reads the parents and makes the write depend on them.
func (w *write) findParents(ctx context.Context) error {
	ns := w.Meta.Namespace
	name := w.groupName()
	if name == "" {
		return w.refuse(field.Required(w.groupPath(), "set the LBServiceGroup of the object"))
	}
	account, candidates := tenancy.AccountRef(ns), w.groupRefs(name)
	objs, err := w.Read(ctx, account)
	if err != nil {
		return err
	}
	up := parents{}
	up.account, _ = objs[0].(*epic.Account)
	if e := tenancy.CheckAccount(up.account, ns); e != nil {
		return w.refuse(e)
	}
	found, which, err := w.ReadFirst(ctx, candidates...)
	if err != nil {
		return err
	}
	up.group, _ = found.(*epic.LBServiceGroup)
	switch {
	case up.group == nil:
		return w.refuse(field.NotFound(w.groupPath(), name+" (looked for in namespaces "+ns+" and "+epic.ConfigNamespace+": create the LBServiceGroup first, or name another)"))
	case up.group.DeletionTimestamp != nil:
		return w.refuse(field.Invalid(w.groupPath(), name, "the LBServiceGroup is being deleted: use another"))
	}
	prefix := tenancy.PrefixRef(up.group.Labels[epic.OwningServicePrefixLabel])
	if objs, err = w.Read(ctx, prefix); err != nil {
		return err
	}
	if up.prefix, _ = objs[0].(*epic.ServicePrefix); up.prefix == nil {
		return w.refuse(field.Invalid(w.groupPath(), name, "the group's ServicePrefix "+prefix.Name+" does not exist: ask the platform team"))
	}
	// The account's limit and the prefix's pools must be those that were read; the group
	// only has to exist.
	w.DependOnContent(account)
	w.DependOnExistence(candidates[which])
	w.DependOnContent(prefix)
	w.up = up
	return nil
}

// groupRefs returns the groups that the name may refer to: one in the object's own
// namespace takes precedence over one that is offered to all accounts. For an existing
// object, it returns the group chosen before.
func (w *write) groupRefs(name string) []claims.Ref {
	if w.old != nil {
		return []claims.Ref{tenancy.GroupRef(w.Meta.Labels[epic.OwningLBServiceGroupNamespaceLabel], name)}
	}
	return []claims.Ref{tenancy.GroupRef(w.Meta.Namespace, name), tenancy.GroupRef(epic.ConfigNamespace, name)}
}

// setLabels sets the labels that name the object's owners. The server determines the
// labels that follow from the group: an object from a backup may refer to a group of the
// same name that has been created again elsewhere, or with another prefix.
func setLabels(ctx context.Context, w *write) error {
	for _, l := range []struct{ name, value, why string }{
		{epic.OwningLBServiceGroupNamespaceLabel, w.up.group.Namespace, "the group is in namespace " + w.up.group.Namespace},
		{epic.OwningServicePrefixLabel, w.up.prefix.Name, "the group's ServicePrefix is " + w.up.prefix.Name},
	} {
		if have := w.Meta.Labels[l.name]; have != "" && have != l.value {
			kind.Replace(ctx, w.Meta, tenancy.Label(l.name), have, l.why)
		}
		if w.Meta.Labels == nil {
			w.Meta.Labels = map[string]string{}
		}
		w.Meta.Labels[l.name] = l.value
	}
	if w.ServiceGroup != nil {
		*w.ServiceGroup = w.up.group.Name
	}
	var errs field.ErrorList
	for _, l := range []struct{ name, value, why string }{
		{epic.OwningAccountLabel, w.up.account.Name, "it is the Account of the namespace"},
		{epic.OwningLBServiceGroupLabel, w.up.group.Name, "it is the group"},
	} {
		if e := tenancy.SetLabel(w.Meta, l.name, l.value, l.why); e != nil {
			errs = append(errs, e)
		}
	}
	if len(errs) > 0 {
		return w.refuse(errs...)
	}
	return nil
}

// copyFromGroup copies the settings that the object leaves to its group.
func copyFromGroup(_ context.Context, w *write) error {
	if *w.EnvoyTemplate == nil {
		*w.EnvoyTemplate = w.up.group.Spec.EnvoyTemplate
	}
	if *w.ReplicaCount == nil || **w.ReplicaCount < 1 {
		*w.ReplicaCount = w.up.group.Spec.EnvoyReplicaCount
	}
	return nil
}

// takeSlot takes one of the account's quota slots for the object.
func takeSlot(ctx context.Context, w *write) error {
	limit := epic.DefaultProxyLimit
	if w.up.account.Spec.ProxyLimit != nil {
		limit = *w.up.account.Spec.ProxyLimit
	}
	ref := tenancy.AccountRef(w.Meta.Namespace)
	var err error
	if w.Preview() {
		var left bool
		if left, err = w.PlaceLeft(ctx, ref, limit); err == nil && !left {
			err = claims.ErrExhausted
		}
	} else {
		w.Status.QuotaPlace, err = w.PickSlot(ctx, ref, limit)
	}
	if errors.Is(err, claims.ErrExhausted) {
		// Existing clients recognize the error by the beginning of its text.
		return apierrors.NewForbidden(schema.GroupResource{Group: epic.GroupName, Resource: w.Resource}, w.Meta.Name,
			fmt.Errorf("Account proxy limit exceeded: account %s may have %d load balancers and gateway proxies together: delete one, or ask the platform team for a higher spec.proxyLimit", w.up.account.Name, limit))
	}
	return err
}

// setServiceID assigns a load balancer an ID that is unique in its account. A load
// balancer that brings one along keeps it if possible.
func setServiceID(ctx context.Context, w *write) error {
	if w.ServiceID == nil {
		return nil
	}
	id, err := w.KeepOrAssignID(ctx, claims.ServiceIDs(tenancy.AccountRef(w.Meta.Namespace)), *w.ServiceID)
	if err != nil {
		return err
	}
	if brought := *w.ServiceID; brought != 0 && brought != id {
		kind.Replace(ctx, w.Meta, spec.Child("service-id"), fmt.Sprint(brought), "another load balancer of the account has it, or it is out of range, so the server assigns one")
	}
	*w.ServiceID = id
	return nil
}
