// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// newGWRoutes returns the reconciler of routes. It reports whether the gateway proxies of
// a route exist and whether its backends lead to endpoints.
func newGWRoutes(c *caches, p *pace, tunnels stateFunc) *conditionReconciler {
	j := newConditionReconciler("gwroutes", p, statusWriter(c.client.EpicV1().GWRoutes))
	routes, proxies := c.kinds.GWRoutes(), c.kinds.GWProxies()
	j.find = func(key cache.ObjectName) (*subject, error) {
		route, err := routes.Lister().GWRoutes(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		var missing []string
		var parents []*epicv1.ProxyStatus
		for _, name := range endpoints.ProxiesOf(route) {
			proxy, err := proxies.Lister().GWProxies(key.Namespace).Get(name)
			switch {
			case apierrors.IsNotFound(err):
				missing = append(missing, name)
			case err != nil:
				return nil, err
			default:
				parents = append(parents, &proxy.Status)
			}
		}
		reached, err := slicesOf(c.kinds.GWEndpointSlices().Informer().GetIndexer(), []*epicv1.GWRoute{route})
		if err != nil {
			return nil, err
		}
		return &subject{
			meta: &route.ObjectMeta, observed: route.Status.ObservedGeneration, conditions: route.Status.Conditions,
			found: gwRoute(route, missing, reached, tunnels, parents),
		}, nil
	}
	watch(j.reconciler, routes.Informer(), itself[*epicv1.GWRoute])
	watchThat(j.reconciler, proxies.Informer(), never, func(proxy *epicv1.GWProxy) []cache.ObjectName {
		return keysOf(lookUp[*epicv1.GWRoute](routes.Informer().GetIndexer(), byProxy, key(proxy)))
	})
	watchThat(j.reconciler, c.kinds.GWEndpointSlices().Informer(), specChanged, func(slice *epicv1.GWEndpointSlice) []cache.ObjectName {
		return keysOf(routesTo(routes.Informer().GetIndexer(), slice))
	})
	return j
}

// routesTo returns the routes that lead to the Service of a slice.
func routesTo(indexer cache.Indexer, slice *epicv1.GWEndpointSlice) ([]*epicv1.GWRoute, error) {
	for _, service := range in(slice.Namespace, endpoints.ServiceOf(slice)) {
		return lookUp[*epicv1.GWRoute](indexer, byService, service)
	}
	return nil, nil
}

// gwRoute returns the conditions of a route, some of whose gateway proxies may be
// missing.
func gwRoute(route *epicv1.GWRoute, missing []string, reached []*epicv1.GWEndpointSlice, tunnels stateFunc, parents []*epicv1.ProxyStatus) []metav1.Condition {
	found, problems := endpoints.OfGWRoute(route, reached)
	// The conditions of the slice report problems of its endpoints.
	problems = slices.DeleteFunc(problems, func(p endpoints.Problem) bool {
		return p.Reason == endpoints.ReasonAddressUnusable || p.Reason == endpoints.ReasonEndpointWithoutNode || p.Reason == endpoints.ReasonAddressOnSeveralNodes
	})
	accepted, resolved := routeAccepted(route, missing), condition(ConditionResolvedRefs, true, ReasonResolved, "Each backend has slices")
	if len(problems) > 0 {
		resolved = condition(ConditionResolvedRefs, false, problems[0].Reason, "%s", tellProblems(problems))
	}
	all := withReady(accepted, resolved)
	if isReady(all) && len(found) == 0 && len(endpoints.ServicesOf(route)) > 0 {
		all[len(all)-1] = condition(ConditionReady, false, ReasonNoEndpoints, "No endpoint is ready in the slices of its backends")
	}
	return withLinks(all, linksTo(endpoints.Nodes(found), tunnels, parents...), found, route.Status.Conditions)
}

func routeAccepted(route *epicv1.GWRoute, missing []string) metav1.Condition {
	switch {
	case len(endpoints.ProxiesOf(route)) == 0:
		return condition(ConditionAccepted, false, ReasonNoParents, "parentRefs is empty: add the name of a GWProxy")
	case len(missing) > 0:
		var told []string
		for _, name := range missing {
			told = append(told, shorten(fmt.Sprintf("%q", name), maxProblem))
		}
		return condition(ConditionAccepted, false, ReasonParentNotFound, "parentRefs names GWProxies that do not exist in this namespace: %s: create them, or remove the references", tell(told))
	}
	return condition(ConditionAccepted, true, ReasonAccepted, "Each GWProxy in parentRefs exists")
}
