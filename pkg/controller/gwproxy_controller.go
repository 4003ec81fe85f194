// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// newGWProxies returns the reconciler of gateway proxies, whose endpoints are in the
// slices of the Services to which their routes lead.
func newGWProxies(c *caches, lost func(netip.Addr) bool, tunnels stateFunc) *tunnelReconciler {
	proxies, routes, slices := c.kinds.GWProxies(), c.kinds.GWRoutes().Informer(), c.kinds.GWEndpointSlices().Informer()
	k := newTunnelReconciler("gwproxies", func(ctx context.Context, key cache.ObjectName, data []byte) (*epicv1.ProxyStatus, string, error) {
		proxy, err := c.client.EpicV1().GWProxies(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		if err != nil {
			return nil, "", err
		}
		return &proxy.Status, proxy.ResourceVersion, nil
	})
	k.find = func(key cache.ObjectName) (*state, error) {
		proxy, err := proxies.Lister().GWProxies(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		own, err := lookUp[*epicv1.GWRoute](routes.GetIndexer(), byProxy, key.String())
		if err != nil {
			return nil, err
		}
		reached, err := slicesOf(slices.GetIndexer(), own)
		if err != nil {
			return nil, err
		}
		s := &state{meta: &proxy.ObjectMeta, status: &proxy.Status, lost: lost, tunnels: tunnels, portless: len(proxy.Spec.PublicPorts) == 0}
		s.endpoints, s.problems = endpoints.OfGWProxy(proxy, own, reached)
		s.listeners.condition = ConditionListenersUsable
		s.listeners.usable, s.listeners.skipped = endpoints.ListenersOf(proxy)
		return s, nil
	}
	watchThat(k.reconciler, proxies.Informer(), notOwnWrite[*epicv1.GWProxy](k), itself[*epicv1.GWProxy])
	watchInto(k.reconciler, k.addLater, routes, specChanged, proxiesOf)
	watchInto(k.reconciler, k.addLater, slices, specChanged, func(slice *epicv1.GWEndpointSlice) []cache.ObjectName {
		var concerned []cache.ObjectName
		for _, service := range in(slice.Namespace, endpoints.ServiceOf(slice)) {
			leading, err := lookUp[*epicv1.GWRoute](routes.GetIndexer(), byService, service)
			if err != nil {
				utilruntime.HandleError(err)
			}
			for _, route := range leading {
				concerned = append(concerned, proxiesOf(route)...)
			}
		}
		return concerned
	})
	return k
}

// proxiesOf returns the gateway proxies of a route.
func proxiesOf(route *epicv1.GWRoute) []cache.ObjectName {
	var keys []cache.ObjectName
	for _, name := range endpoints.ProxiesOf(route) {
		keys = append(keys, cache.NewObjectName(route.Namespace, name))
	}
	return keys
}

// slicesOf returns the distinct slices of all Services to which routes lead.
func slicesOf(indexer cache.Indexer, routes []*epicv1.GWRoute) ([]*epicv1.GWEndpointSlice, error) {
	var all []*epicv1.GWEndpointSlice
	seen := map[string]bool{}
	for _, route := range routes {
		for _, service := range in(route.Namespace, endpoints.ServicesOf(route)...) {
			if seen[service] {
				continue
			}
			seen[service] = true
			found, err := lookUp[*epicv1.GWEndpointSlice](indexer, byService, service)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}
