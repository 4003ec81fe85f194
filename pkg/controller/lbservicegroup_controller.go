// SPDX-License-Identifier: Apache-2.0

package controller

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// newLBServiceGroups returns the reconciler of service groups. It reports whether a
// group's prefix has addresses, for tenants, who can't read the prefix. It copies the
// prefix's own conditions.
func newLBServiceGroups(c *caches, p *pace) *conditionReconciler {
	j := newConditionReconciler("lbservicegroups", p, statusWriter(c.client.EpicV1().LBServiceGroups))
	groups, prefixes := c.kinds.LBServiceGroups(), c.kinds.ServicePrefixes()
	j.find = func(key cache.ObjectName) (*subject, error) {
		group, err := groups.Lister().LBServiceGroups(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		prefix, err := prefixes.Lister().ServicePrefixes(epic.ConfigNamespace).Get(prefixOf(group))
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		return &subject{
			meta: &group.ObjectMeta, observed: group.Status.ObservedGeneration, conditions: group.Status.Conditions,
			found: lbServiceGroup(group, prefix),
		}, nil
	}
	watch(j.reconciler, groups.Informer(), itself[*epicv1.LBServiceGroup])
	// Many groups may use one prefix, so they wait for it to settle.
	later := &reconciler{name: j.name, queue: j.queue, settle: p.poolSettle}
	watchThat(later, prefixes.Informer(), availabilityChanged, func(prefix *epicv1.ServicePrefix) []cache.ObjectName {
		return keysOf(lookUp[*epicv1.LBServiceGroup](groups.Informer().GetIndexer(), byPrefix, prefix.Name))
	})
	j.sources = append(j.sources, later.sources...)
	return j
}

// availabilityChanged reports whether the condition of a prefix on its addresses changed
// in a way that concerns others.
func availabilityChanged(old, prefix *epicv1.ServicePrefix) bool {
	a, b := availability(old), availability(prefix)
	return a.Status != b.Status || a.Status == metav1.ConditionFalse && a.Reason != b.Reason
}

// availability returns the condition of a prefix on its addresses. Without the condition,
// addresses are assumed to be available.
func availability(prefix *epicv1.ServicePrefix) metav1.Condition {
	if c := meta.FindStatusCondition(prefix.Status.Conditions, ConditionAddressesAvailable); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionTrue}
}

// lbServiceGroup returns the conditions of a group, whose prefix is nil if it does not
// exist.
func lbServiceGroup(group *epicv1.LBServiceGroup, prefix *epicv1.ServicePrefix) []metav1.Condition {
	if prefix == nil {
		return withReady(condition(ConditionAddressesAvailable, false, ReasonNoPrefix,
			"ServicePrefix %q in the label %s does not exist: create it, or change the label", prefixOf(group), epic.OwningServicePrefixLabel))
	}
	c := availability(prefix)
	switch {
	case c.Status == metav1.ConditionTrue:
		c = condition(ConditionAddressesAvailable, true, ReasonAvailable, "ServicePrefix %s has addresses left", prefix.Name)
	case c.Reason == ReasonNoPool:
		c = condition(ConditionAddressesAvailable, false, ReasonNoPool, "ServicePrefix %s has no public-pool: ask the platform team, or use another group", prefix.Name)
	default:
		c = condition(ConditionAddressesAvailable, false, ReasonExhausted,
			"ServicePrefix %s has no address left: delete a load balancer or a gateway proxy, ask the platform team for a larger pool, or use another group", prefix.Name)
	}
	return withReady(c)
}

// prefixOf returns the name of the prefix that a load balancer, a gateway proxy or a
// service group belongs to.
func prefixOf(o metav1.Object) string { return o.GetLabels()[epic.OwningServicePrefixLabel] }
