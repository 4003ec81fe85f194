// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// newAccounts returns the reconciler of accounts. It reports whether an account may have
// more proxies and whether it has a service group for them.
func newAccounts(c *caches, p *pace) *conditionReconciler {
	j := newConditionReconciler("accounts", p, statusWriter(c.client.EpicV1().Accounts))
	accounts, groups := c.kinds.Accounts(), c.kinds.LBServiceGroups()
	j.find = func(key cache.ObjectName) (*subject, error) {
		account, err := accounts.Lister().Accounts(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		has := accountHas{}
		for _, informer := range []cache.SharedIndexInformer{c.kinds.LoadBalancers().Informer(), c.kinds.GWProxies().Informer()} {
			n, err := countIn(informer.GetIndexer(), key.Namespace)
			if err != nil {
				return nil, err
			}
			has.proxies += n
		}
		for _, namespace := range []string{key.Namespace, epic.ConfigNamespace} {
			n, err := countIn(groups.Informer().GetIndexer(), namespace)
			if err != nil {
				return nil, err
			}
			has.groups += n
		}
		return &subject{
			meta: &account.ObjectMeta, observed: account.Status.ObservedGeneration, conditions: account.Status.Conditions,
			found: accountConditions(account, has),
		}, nil
	}
	// Only the number of objects in a namespace matters.
	ofNamespace := func(namespace string) []cache.ObjectName {
		return keysOf(lookUp[*epicv1.Account](accounts.Informer().GetIndexer(), cache.NamespaceIndex, namespace))
	}
	watch(j.reconciler, accounts.Informer(), itself[*epicv1.Account])
	watchThat(j.reconciler, c.kinds.LoadBalancers().Informer(), never, func(lb *epicv1.LoadBalancer) []cache.ObjectName { return ofNamespace(lb.Namespace) })
	watchThat(j.reconciler, c.kinds.GWProxies().Informer(), never, func(proxy *epicv1.GWProxy) []cache.ObjectName { return ofNamespace(proxy.Namespace) })
	// Events of one cache are handled sequentially.
	offered := false
	watchThat(j.reconciler, groups.Informer(), never, func(group *epicv1.LBServiceGroup) []cache.ObjectName {
		if group.Namespace != epic.ConfigNamespace {
			return ofNamespace(group.Namespace)
		}
		// A group that is offered to all accounts only matters to them if it is the first
		// or the last.
		n, err := countIn(groups.Informer().GetIndexer(), epic.ConfigNamespace)
		if err != nil || offered == (n > 0) {
			return nil
		}
		offered = n > 0
		var all []cache.ObjectName
		for _, account := range accounts.Informer().GetIndexer().ListKeys() {
			if key, err := cache.ParseObjectName(account); err == nil {
				all = append(all, key)
			}
		}
		return all
	})
	return j
}

// accountHas counts the objects of an account.
type accountHas struct {
	// proxies is the number of load balancers and gateway proxies, groups the number of
	// groups that the account may use.
	proxies, groups int
}

// accountConditions returns the conditions of an account. Messages contain no numbers
// that change with each proxy. An account whose quota is exhausted is still Ready.
func accountConditions(account *epicv1.Account, has accountHas) []metav1.Condition {
	limit := int(ptr.Deref(account.Spec.ProxyLimit, epic.DefaultProxyLimit))
	quota := condition(ConditionQuotaAvailable, true, ReasonAvailable, "The account can create more load balancers and gateway proxies")
	was := meta.FindStatusCondition(account.Status.Conditions, ConditionQuotaAvailable)
	scarce := was != nil && was.Reason != ReasonAvailable
	switch percent := has.proxies * 100 / max(limit, 1); { //nolint:mnd // percent
	case has.proxies >= limit:
		quota = condition(ConditionQuotaAvailable, false, ReasonQuotaExhausted,
			"The account has reached its limit of %d load balancers and gateway proxies: delete one, or raise spec.proxyLimit", limit)
	case percent >= addresspool.NearlyFullFrom, scarce && percent >= plentyBelow:
		quota = condition(ConditionQuotaAvailable, true, ReasonQuotaNearlyExhausted,
			"The account has nearly reached its limit of %d load balancers and gateway proxies: delete those that are not needed, or raise spec.proxyLimit", limit)
	}
	groups := condition(ConditionGroupsAvailable, true, ReasonAvailable, "The account may use at least one service group")
	if has.groups == 0 {
		groups = condition(ConditionGroupsAvailable, false, ReasonNoGroup,
			"There is no LBServiceGroup in the account's namespace or in %s, so the account can't create proxies: create one", epic.ConfigNamespace)
	}
	ready := withReady(groups)[1]
	return []metav1.Condition{quota, groups, ready}
}

// countIn returns the number of objects of a namespace in a cache.
func countIn(indexer cache.Indexer, namespace string) (int, error) {
	keys, err := indexer.IndexKeys(cache.NamespaceIndex, namespace)
	return len(keys), err
}
