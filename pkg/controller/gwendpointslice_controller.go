// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// newGWEndpointSlices returns the reconciler of endpoint slices. It reports whether a
// route leads to a slice and whether its endpoints can be reached.
func newGWEndpointSlices(c *caches, p *pace, tunnels stateFunc) *conditionReconciler {
	j := newConditionReconciler("gwendpointslices", p, statusWriter(c.client.EpicV1().GWEndpointSlices))
	all := c.kinds.GWEndpointSlices()
	j.find = func(key cache.ObjectName) (*subject, error) {
		slice, err := all.Lister().GWEndpointSlices(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		routes, err := routesTo(c.kinds.GWRoutes().Informer().GetIndexer(), slice)
		if err != nil {
			return nil, err
		}
		parents, err := parentsOf(c, routes)
		if err != nil {
			return nil, err
		}
		return &subject{
			meta: &slice.ObjectMeta, observed: slice.Status.ObservedGeneration, conditions: slice.Status.Conditions,
			found: gwEndpointSlice(slice, len(routes) > 0, tunnels, parents),
		}, nil
	}
	watch(j.reconciler, all.Informer(), itself[*epicv1.GWEndpointSlice])
	watchThat(j.reconciler, c.kinds.GWRoutes().Informer(), specChanged, func(route *epicv1.GWRoute) []cache.ObjectName {
		return keysOf(slicesOf(all.Informer().GetIndexer(), []*epicv1.GWRoute{route}))
	})
	return j
}

// parentsOf returns the statuses of the distinct gateway proxies of some routes.
func parentsOf(c *caches, routes []*epicv1.GWRoute) ([]*epicv1.ProxyStatus, error) {
	var parents []*epicv1.ProxyStatus
	seen := map[string]bool{}
	for _, route := range routes {
		for _, name := range endpoints.ProxiesOf(route) {
			if seen[name] {
				continue
			}
			seen[name] = true
			proxy, err := c.kinds.GWProxies().Lister().GWProxies(route.Namespace).Get(name)
			if err == nil {
				parents = append(parents, &proxy.Status)
			} else if !apierrors.IsNotFound(err) {
				return nil, err
			}
		}
	}
	return parents, nil
}

// gwEndpointSlice returns the conditions of a slice.
func gwEndpointSlice(slice *epicv1.GWEndpointSlice, used bool, tunnels stateFunc, parents []*epicv1.ProxyStatus) []metav1.Condition {
	found, problems := endpoints.OfGWEndpointSlice(slice)
	// The first of several nodes with the same address is used.
	problems = slices.DeleteFunc(problems, func(p endpoints.Problem) bool { return p.Reason == endpoints.ReasonAddressOnSeveralNodes })
	inUse := condition(ConditionInUse, true, ReasonReferenced, "A GWRoute refers to its Service")
	switch {
	case endpoints.ServiceOf(slice) == "":
		inUse = condition(ConditionInUse, false, ReasonNoService, "spec.parentRef.uid is empty: set it to the UID of the slice's Service")
	case !used:
		inUse = condition(ConditionInUse, false, ReasonNotReferenced, "No GWRoute refers to its Service %q: set this UID as the name of a backendRef", endpoints.ServiceOf(slice))
	}
	known := condition(ConditionNodesKnown, true, ReasonKnown, "The addresses of all ready endpoints and their nodes are known")
	if len(problems) > 0 {
		known = condition(ConditionNodesKnown, false, problems[0].Reason, "%s", tellProblems(problems))
	}
	all := withReady(inUse, known)
	if isReady(all) && len(found) == 0 {
		all[len(all)-1] = condition(ConditionReady, false, ReasonNoEndpoints, "No endpoint of the slice is ready")
	}
	all = withLinks(all, linksTo(endpoints.Nodes(found), tunnels, parents...), found, slice.Status.Conditions)
	ports := parts{condition: ConditionPortsUsable}
	ports.usable, ports.skipped = endpoints.PortsOfSlice(slice)
	return withParts(all, ports, slice.Status.Conditions)
}
