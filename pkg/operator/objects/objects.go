// SPDX-License-Identifier: Apache-2.0

// Package objects stores EPIC's objects for the operator, with indexes for every relation
// between objects. Reads never query the API server.
//
// Returned objects are shared and must not be modified.
package objects

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
)

// Indexes. A value is NAMESPACE/NAME or NAMESPACE/UID, so objects of one account only
// lead to objects of the same account; the value for groups has the group's namespace.
const (
	byLoadBalancer = "load-balancer"
	byProxy        = "proxy"
	byService      = "service"
	byGroup        = "group"
	byHostname     = "hostname"
)

// Store caches all objects.
type Store struct {
	factory externalversions.SharedInformerFactory

	// The informers, for adding handlers.
	EPICs, Prefixes, Groups, LoadBalancers, RemoteEndpoints, GWProxies, GWRoutes, GWEndpointSlices, GatewayNodes cache.SharedIndexInformer
}

// New returns a store that has not been started.
func New(client versioned.Interface, resync time.Duration) (*Store, error) {
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, resync, externalversions.WithTransform(trim))
	kinds := factory.Epic().V1()
	s := &Store{
		factory: factory,
		EPICs:   kinds.EPICs().Informer(), Prefixes: kinds.ServicePrefixes().Informer(), Groups: kinds.LBServiceGroups().Informer(),
		LoadBalancers: kinds.LoadBalancers().Informer(), RemoteEndpoints: kinds.RemoteEndpoints().Informer(),
		GWProxies: kinds.GWProxies().Informer(), GWRoutes: kinds.GWRoutes().Informer(), GWEndpointSlices: kinds.GWEndpointSlices().Informer(),
		GatewayNodes: kinds.GatewayNodes().Informer(),
	}
	for _, add := range []struct {
		informer cache.SharedIndexInformer
		indexers cache.Indexers
	}{
		{s.LoadBalancers, cache.Indexers{byGroup: groupIndex}},
		{s.GWProxies, cache.Indexers{
			byGroup:    groupIndex,
			byHostname: index(func(gw *epicv1.GWProxy) []string { return in(gw.Namespace, listenerHostnames(gw)...) }),
		}},
		{s.RemoteEndpoints, cache.Indexers{byLoadBalancer: index(func(rep *epicv1.RemoteEndpoint) []string {
			return in(rep.Namespace, endpoints.LoadBalancerOf(rep))
		})}},
		{s.GWRoutes, cache.Indexers{
			byProxy:    index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ProxiesOf(route)...) }),
			byService:  index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ServicesOf(route)...) }),
			byHostname: index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, routeHostnames(route)...) }),
		}},
		{s.GWEndpointSlices, cache.Indexers{byService: index(func(slice *epicv1.GWEndpointSlice) []string {
			return in(slice.Namespace, endpoints.ServiceOf(slice))
		})}},
	} {
		if err := add.informer.AddIndexers(add.indexers); err != nil {
			return nil, fmt.Errorf("add indexes to a cache: %w", err)
		}
	}
	return s, nil
}

// Start fills the store and keeps it up to date until done is closed.
func (s *Store) Start(done <-chan struct{}) { s.factory.Start(done) }

// Shutdown waits until the goroutines of the store have ended after its channel was
// closed.
func (s *Store) Shutdown() { s.factory.Shutdown() }

// Informers returns all informers of the store.
func (s *Store) Informers() []cache.SharedIndexInformer {
	return []cache.SharedIndexInformer{s.EPICs, s.Prefixes, s.Groups, s.LoadBalancers, s.RemoteEndpoints, s.GWProxies, s.GWRoutes, s.GWEndpointSlices, s.GatewayNodes}
}

// Synced reports whether all existing objects are in the store.
func (s *Store) Synced() bool {
	return !slices.ContainsFunc(s.Informers(), func(i cache.SharedIndexInformer) bool { return !i.HasSynced() })
}

// trim removes fields that the operator does not read.
func trim(obj any) (any, error) {
	if m, ok := obj.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		o.Spec.GUETunnelEndpoints, o.Spec.ProxyIfInfo = nil, nil
	case *epicv1.GWProxy:
		o.Spec.GUETunnelEndpoints, o.Spec.ProxyIfInfo = nil, nil
	}
	return obj, nil
}

// Config returns the EPIC object, or nil if there is none.
func (s *Store) Config() *epicv1.EPIC {
	return get[*epicv1.EPIC](s.EPICs, epic.ConfigNamespace, epic.ConfigName)
}

// Prefix returns a service prefix, or nil if it does not exist.
func (s *Store) Prefix(name string) *epicv1.ServicePrefix {
	return get[*epicv1.ServicePrefix](s.Prefixes, epic.ConfigNamespace, name)
}

// LoadBalancer returns a load balancer, or nil if it does not exist.
func (s *Store) LoadBalancer(namespace, name string) *epicv1.LoadBalancer {
	return get[*epicv1.LoadBalancer](s.LoadBalancers, namespace, name)
}

// GWProxy returns a gateway proxy, or nil if it does not exist.
func (s *Store) GWProxy(namespace, name string) *epicv1.GWProxy {
	return get[*epicv1.GWProxy](s.GWProxies, namespace, name)
}

// GWRoute returns a route, or nil if it does not exist.
func (s *Store) GWRoute(namespace, name string) *epicv1.GWRoute {
	return get[*epicv1.GWRoute](s.GWRoutes, namespace, name)
}

// GroupOf returns the service group of a load balancer or gateway proxy, or nil if it
// does not exist.
func (s *Store) GroupOf(obj metav1.Object) *epicv1.LBServiceGroup {
	namespace, name := groupOf(obj)
	return get[*epicv1.LBServiceGroup](s.Groups, namespace, name)
}

// LoadBalancersIn returns the load balancers of a service group.
func (s *Store) LoadBalancersIn(group metav1.Object) []*epicv1.LoadBalancer {
	return find[*epicv1.LoadBalancer](s.LoadBalancers, byGroup, group.GetNamespace(), group.GetName())
}

// GWProxiesIn returns the gateway proxies of a service group.
func (s *Store) GWProxiesIn(group metav1.Object) []*epicv1.GWProxy {
	return find[*epicv1.GWProxy](s.GWProxies, byGroup, group.GetNamespace(), group.GetName())
}

// RemoteEndpointsOf returns the remote endpoints whose label names the load balancer.
func (s *Store) RemoteEndpointsOf(namespace, name string) []*epicv1.RemoteEndpoint {
	return find[*epicv1.RemoteEndpoint](s.RemoteEndpoints, byLoadBalancer, namespace, name)
}

// RoutesOf returns the routes that name the gateway proxy as a parent.
func (s *Store) RoutesOf(namespace, name string) []*epicv1.GWRoute {
	return find[*epicv1.GWRoute](s.GWRoutes, byProxy, namespace, name)
}

// RoutesTo returns the routes that lead to a Service.
func (s *Store) RoutesTo(namespace, service string) []*epicv1.GWRoute {
	return find[*epicv1.GWRoute](s.GWRoutes, byService, namespace, service)
}

// SlicesOf returns the endpoint slices of a Service.
func (s *Store) SlicesOf(namespace, service string) []*epicv1.GWEndpointSlice {
	return find[*epicv1.GWEndpointSlice](s.GWEndpointSlices, byService, namespace, service)
}
