// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// parents are the objects that a new one depends on.
type parents struct {
	account *epic.Account
	group   *epic.LBServiceGroup
	prefix  *epic.ServicePrefix
}

// PlanCreate completes a new object of either kind from its account, its group
// and the group's prefix: labels, template and replica count, place in the
// quota, addresses, and the DNS records of those.
func PlanCreate(ctx context.Context, p *claims.Plan, v View, g Grants) error {
	up, err := findParents(ctx, p, v)
	if err != nil {
		return err
	}
	if err := label(v, up); err != nil {
		return err
	}
	if err := g.checkCreate(ctx, v, up.group); err != nil {
		return err
	}
	if *v.EnvoyTemplate == nil {
		*v.EnvoyTemplate = up.group.Spec.EnvoyTemplate
	}
	if *v.ReplicaCount == nil || **v.ReplicaCount < 1 {
		*v.ReplicaCount = up.group.Spec.EnvoyReplicaCount
	}
	if err := takePlace(ctx, p, v, up.account); err != nil {
		return err
	}
	if err := setAddresses(ctx, p, v, up.prefix); err != nil {
		return err
	}
	return setRecords(v, up)
}

// findParents reads the parents and makes the write depend on them. A group in
// the object's own namespace goes before one that is offered to all.
func findParents(ctx context.Context, p *claims.Plan, v View) (parents, error) {
	refuse := func(e *field.Error) (parents, error) { return parents{}, tenancy.Invalid(v.Kind, v.Meta.Name, e) }
	ns, name := v.Meta.Namespace, v.groupName()
	if name == "" {
		return refuse(field.Required(v.groupPath(), "name the LBServiceGroup that the object belongs to"))
	}
	account, own, offered := tenancy.AccountRef(ns), tenancy.GroupRef(ns, name), tenancy.GroupRef(epic.ConfigNamespace, name)
	objs, err := p.Read(ctx, account)
	if err != nil {
		return parents{}, err
	}
	var up parents
	up.account, _ = objs[0].(*epic.Account)
	if e := tenancy.CheckAccount(up.account, ns); e != nil {
		return refuse(e)
	}
	candidates := []claims.Ref{own, offered}
	found, which, err := p.ReadFirst(ctx, candidates...)
	if err != nil {
		return parents{}, err
	}
	up.group, _ = found.(*epic.LBServiceGroup)
	switch {
	case up.group == nil:
		return refuse(field.NotFound(v.groupPath(), name+" (looked for in namespaces "+ns+" and "+epic.ConfigNamespace+": create the LBServiceGroup first, or name another)"))
	case up.group.DeletionTimestamp != nil:
		return refuse(field.Invalid(v.groupPath(), name, "the LBServiceGroup is being deleted: name another"))
	}
	prefix := tenancy.PrefixRef(up.group.Labels[epic.OwningServicePrefixLabel])
	if objs, err = p.Read(ctx, prefix); err != nil {
		return parents{}, err
	}
	if up.prefix, _ = objs[0].(*epic.ServicePrefix); up.prefix == nil {
		return refuse(field.Invalid(v.groupPath(), name, "the group's ServicePrefix "+prefix.Name+" is not there: ask the platform team"))
	}
	// The account's limit and the prefix's pools must be those that were read;
	// of the group it is enough that it is there.
	p.DependOnContent(account)
	p.DependOnExistence(candidates[which])
	p.DependOnContent(prefix)
	return up, nil
}

// label records to whom the object belongs.
func label(v View, up parents) error {
	var errs field.ErrorList
	for _, l := range []struct{ name, value, why string }{
		{epic.OwningAccountLabel, up.account.Name, "it is the Account of the namespace"},
		{epic.OwningLBServiceGroupLabel, up.group.Name, "it is the group"},
		{epic.OwningLBServiceGroupNamespaceLabel, up.group.Namespace, "it is where the group was found"},
		{epic.OwningServicePrefixLabel, up.prefix.Name, "it is the ServicePrefix of the group"},
	} {
		if e := tenancy.SetLabel(v.Meta, l.name, l.value, l.why); e != nil {
			errs = append(errs, e)
		}
	}
	if v.ServiceGroup != nil {
		*v.ServiceGroup = up.group.Name
	}
	if len(errs) > 0 {
		return tenancy.Invalid(v.Kind, v.Meta.Name, errs...)
	}
	return nil
}

// takePlace finds the object a place among those that the account may have.
func takePlace(ctx context.Context, p *claims.Plan, v View, account *epic.Account) error {
	limit := epic.DefaultProxyLimit
	if account.Spec.ProxyLimit != nil {
		limit = *account.Spec.ProxyLimit
	}
	ref := tenancy.AccountRef(v.Meta.Namespace)
	var err error
	if p.Preview() {
		var left bool
		if left, err = p.PlaceLeft(ctx, ref, limit); err == nil && !left {
			err = claims.ErrExhausted
		}
	} else {
		v.Status.QuotaPlace, err = p.PickPlace(ctx, ref, limit)
	}
	if errors.Is(err, claims.ErrExhausted) {
		// Existing clients know it by its first words.
		return apierrors.NewForbidden(schema.GroupResource{Group: epic.GroupName, Resource: v.Resource}, v.Meta.Name,
			fmt.Errorf("Account proxy limit exceeded: account %s may have %d load balancers and gateway proxies together: delete one, or ask the platform team for a higher spec.proxyLimit", account.Name, limit))
	}
	return err
}

// setAddresses checks the addresses that were asked for and assigns those that
// were not.
func setAddresses(ctx context.Context, p *claims.Plan, v View, prefix *epic.ServicePrefix) error {
	if prefix.Spec.PublicPool == nil {
		return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(spec.Child("public-address"), *v.PublicAddress,
			"IP address allocation failed: ServicePrefix "+prefix.Name+" has no public-pool: ask the platform team, or use another group"))
	}
	if err := setAddress(ctx, p, v, spec.Child("public-address"), v.PublicAddress, prefix.Name, prefix.Spec.PublicPool); err != nil {
		return err
	}
	if v.AltAddress == nil {
		return nil
	}
	if prefix.Spec.AltPool == nil {
		if *v.AltAddress != "" {
			return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(spec.Child("alt-address"), *v.AltAddress,
				"ServicePrefix "+prefix.Name+" has no alt-pool: leave it out"))
		}
		return nil
	}
	return setAddress(ctx, p, v, spec.Child("alt-address"), v.AltAddress, prefix.Name, prefix.Spec.AltPool)
}

func setAddress(ctx context.Context, p *claims.Plan, v View, path *field.Path, address *string, prefix string, pool *epic.AddressPool) error {
	refuse := func(why string) error {
		return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(path, *address, why))
	}
	from, err := claims.ParsePool(pool.Pool)
	if err != nil {
		return refuse("IP address allocation failed: the pool of ServicePrefix " + prefix + " can't be read: ask the platform team")
	}
	if *address != "" {
		asked, err := netip.ParseAddr(*address)
		if err != nil {
			return refuse("not an IP address: leave it out to have one assigned")
		}
		if !from.Contains(asked) {
			return refuse("it is not in pool " + pool.Pool + " of ServicePrefix " + prefix + ": leave it out to have one assigned, or ask for one of the pool")
		}
		return nil
	}
	if p.Preview() {
		return nil
	}
	picked, err := p.PickAddress(ctx, from)
	if errors.Is(err, claims.ErrExhausted) {
		return refuse("IP address allocation failed: every address of pool " + pool.Pool + " of ServicePrefix " + prefix + " is in use: delete a load balancer or proxy, or ask the platform team for a larger pool")
	}
	if err != nil {
		return err
	}
	*address = picked.String()
	return nil
}
