// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// plentyBelow is the percentage of a pool or quota in use below which it is no longer
// nearly exhausted. It is less than addresspool.NearlyFullFrom, so a few addresses or
// proxies that are added and removed do not change the condition.
const plentyBelow = 80

// newServicePrefixes returns the reconciler of service prefixes. It reports whether
// addresses of the pools are left.
func newServicePrefixes(c *caches, p *pace) *conditionReconciler {
	j := newConditionReconciler("serviceprefixes", p, statusWriter(c.client.EpicV1().ServicePrefixes))
	prefixes, lbs, proxies := c.kinds.ServicePrefixes(), c.kinds.LoadBalancers(), c.kinds.GWProxies()
	j.find = func(key cache.ObjectName) (*subject, error) {
		prefix, err := prefixes.Lister().ServicePrefixes(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		var used []netip.Addr
		note := func(addresses ...string) {
			for _, s := range addresses {
				if a, err := netip.ParseAddr(s); err == nil {
					used = append(used, a)
				}
			}
		}
		own, err := lookUp[*epicv1.LoadBalancer](lbs.Informer().GetIndexer(), byPrefix, prefix.Name)
		if err != nil {
			return nil, err
		}
		for _, lb := range own {
			note(lb.Spec.PublicAddress)
		}
		ownProxies, err := lookUp[*epicv1.GWProxy](proxies.Informer().GetIndexer(), byPrefix, prefix.Name)
		if err != nil {
			return nil, err
		}
		for _, proxy := range ownProxies {
			note(proxy.Spec.PublicAddress, proxy.Spec.AltAddress)
		}
		return &subject{
			meta: &prefix.ObjectMeta, observed: prefix.Status.ObservedGeneration, conditions: prefix.Status.Conditions,
			found: servicePrefix(prefix, used),
		}, nil
	}
	prefixKey := func(o metav1.Object) []cache.ObjectName {
		if name := prefixOf(o); name != "" {
			return []cache.ObjectName{cache.NewObjectName(epic.ConfigNamespace, name)}
		}
		return nil
	}
	watch(j.reconciler, prefixes.Informer(), itself[*epicv1.ServicePrefix])
	watchThat(j.reconciler, lbs.Informer(), func(old, lb *epicv1.LoadBalancer) bool {
		return prefixOf(old) != prefixOf(lb) || old.Spec.PublicAddress != lb.Spec.PublicAddress
	}, func(lb *epicv1.LoadBalancer) []cache.ObjectName { return prefixKey(lb) })
	watchThat(j.reconciler, proxies.Informer(), func(old, proxy *epicv1.GWProxy) bool {
		return prefixOf(old) != prefixOf(proxy) || old.Spec.PublicAddress != proxy.Spec.PublicAddress || old.Spec.AltAddress != proxy.Spec.AltAddress
	}, func(proxy *epicv1.GWProxy) []cache.ObjectName { return prefixKey(proxy) })
	return j
}

// servicePrefix returns the conditions of a prefix. used lists the addresses in use.
// Messages contain no numbers that change with each address.
func servicePrefix(prefix *epicv1.ServicePrefix, used []netip.Addr) []metav1.Condition {
	if prefix.Spec.PublicPool == nil {
		return withReady(condition(ConditionAddressesAvailable, false, ReasonNoPool, "spec.public-pool is missing, so no proxy can get an address: set it"))
	}
	was := meta.FindStatusCondition(prefix.Status.Conditions, ConditionAddressesAvailable)
	scarce := was != nil && (was.Reason == ReasonNearlyExhausted || was.Reason == ReasonExhausted)
	worst := condition(ConditionAddressesAvailable, true, ReasonAvailable, "Addresses are left")
	for _, p := range []struct {
		field string
		pool  *epicv1.AddressPool
	}{{"spec.public-pool", prefix.Spec.PublicPool}, {"spec.alt-pool", prefix.Spec.AltPool}} {
		if p.pool == nil {
			continue
		}
		c := poolCondition(p.field, p.pool.Pool, p.pool.Subnet, used, scarce)
		if rank(c.Reason) > rank(worst.Reason) {
			worst = c
		}
	}
	return withReady(worst)
}

// rank orders the reasons of a pool's condition by severity.
func rank(reason string) int {
	switch reason {
	case ReasonAvailable:
		return 0
	case ReasonNearlyExhausted:
		return 1
	case ReasonExhausted:
		return 2
	}
	return 3 // an invalid pool
}

func poolCondition(path, text, subnet string, used []netip.Addr, scarce bool) metav1.Condition {
	const remedy = "make the pool larger, or create another ServicePrefix for new groups"
	name := ConditionAddressesAvailable
	_, pool, err := addresspool.ParseAssignable(text, subnet)
	if err != nil {
		return condition(name, false, ReasonNoPool, "%s", fmt.Sprintf("%s can't be read: %v: correct it", path, err))
	}
	switch percent := pool.Percent(pool.InUse(used)); {
	case percent >= 100: //nolint:mnd // percent
		return condition(name, false, ReasonExhausted, "Every address of %s, %s, is in use: delete a load balancer or a gateway proxy, %s", path, text, remedy)
	case percent >= addresspool.NearlyFullFrom, scarce && percent >= plentyBelow:
		return condition(name, true, ReasonNearlyExhausted, "Few addresses of %s, %s, are left: %s", path, text, remedy)
	}
	return condition(name, true, ReasonAvailable, "Addresses are left")
}
