// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Check returns the violations that an audit finds in an object of either kind: its
// labels must name its account, its group and the group's prefix, all of which must
// exist, and its addresses must be in the prefix's pools.
func Check(v View, find claims.Find) field.ErrorList {
	c := &check{View: v, find: find}
	c.parents()
	return c.errs
}

type check struct {
	View
	find claims.Find
	errs field.ErrorList
}

// look returns an object to which a label of this one refers.
func look[T any](c *check, path *field.Path, ref claims.Ref) (found T, ok bool) {
	obj, err := c.find(ref)
	if err != nil {
		c.errs = append(c.errs, field.InternalError(path, err))
		return found, false
	}
	if found, ok = any(obj).(T); !ok {
		c.errs = append(c.errs, field.NotFound(path, ref.String()))
	}
	return found, ok
}

func (c *check) parents() {
	labels := c.Meta.Labels
	if _, ok := look[*epic.Account](c, field.NewPath("metadata", "namespace"), tenancy.AccountRef(c.Meta.Namespace)); ok {
		c.equal(tenancy.Label(epic.OwningAccountLabel), labels[epic.OwningAccountLabel], tenancy.AccountRef(c.Meta.Namespace).Name)
	}
	if c.ServiceGroup != nil {
		c.equal(spec.Child("service-group"), *c.ServiceGroup, labels[epic.OwningLBServiceGroupLabel])
	}
	namespace := labels[epic.OwningLBServiceGroupNamespaceLabel]
	if namespace != c.Meta.Namespace && namespace != epic.ConfigNamespace {
		c.errs = append(c.errs, field.Invalid(tenancy.Label(epic.OwningLBServiceGroupNamespaceLabel), namespace, "is another account's namespace"))
		return
	}
	group, ok := look[*epic.LBServiceGroup](c, tenancy.Label(epic.OwningLBServiceGroupLabel), tenancy.GroupRef(namespace, labels[epic.OwningLBServiceGroupLabel]))
	if !ok {
		return
	}
	label := tenancy.Label(epic.OwningServicePrefixLabel)
	c.equal(label, labels[epic.OwningServicePrefixLabel], group.Labels[epic.OwningServicePrefixLabel])
	prefix, ok := look[*epic.ServicePrefix](c, label, tenancy.PrefixRef(group.Labels[epic.OwningServicePrefixLabel]))
	if !ok {
		return
	}
	c.address(spec.Child("public-address"), *c.PublicAddress, prefix.Spec.PublicPool, "public-pool", prefix.Name)
	if c.altAddress() != "" {
		c.address(spec.Child("alt-address"), c.altAddress(), prefix.Spec.AltPool, "alt-pool", prefix.Name)
	}
}

func (c *check) equal(path *field.Path, is, should string) {
	if is != should {
		c.errs = append(c.errs, field.Invalid(path, is, "should be "+should))
	}
}

func (c *check) address(path *field.Path, s string, pool *epic.AddressPool, name, prefix string) {
	outside := field.Invalid(path, s, "is not in the "+name+" of ServicePrefix "+prefix)
	if pool == nil {
		c.errs = append(c.errs, outside)
		return
	}
	p, err := addresspool.Parse(pool.Pool)
	if err != nil {
		c.errs = append(c.errs, field.InternalError(path, err))
		return
	}
	if a, err := netip.ParseAddr(s); err != nil || !p.Contains(a) {
		c.errs = append(c.errs, outside)
	}
}
