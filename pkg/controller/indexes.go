// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// Indexes of the caches. A value is a namespace and a name, or a UID, so objects of one
// account only lead to objects of the same account.
const (
	byLoadBalancer = "load-balancer"
	byProxy        = "proxy"
	byService      = "service"
	// byPrefix indexes by the name of a prefix, without a namespace.
	byPrefix = "prefix"
	// byEndpointNode indexes endpoints by load balancer and the address of their client
	// node.
	byEndpointNode = "endpoint-node"
	// byGatewayNode indexes by the addresses of the gateway nodes on which proxies run.
	byGatewayNode = "gateway-node"
)

var (
	remoteEndpointIndexes = cache.Indexers{
		byLoadBalancer: index(func(rep *epicv1.RemoteEndpoint) []string {
			return in(rep.Namespace, endpoints.LoadBalancerOf(rep))
		}),
		byEndpointNode: index(func(rep *epicv1.RemoteEndpoint) []string {
			node, ok := address(rep.Spec.NodeAddress)
			if name := endpoints.LoadBalancerOf(rep); ok && name != "" {
				return []string{endpointNode(cache.NewObjectName(rep.Namespace, name).String(), node.String())}
			}
			return nil
		}),
	}
	routeIndexes = cache.Indexers{
		byProxy:   index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ProxiesOf(route)...) }),
		byService: index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ServicesOf(route)...) }),
	}
	loadBalancerIndexes = cache.Indexers{
		byPrefix:      index(func(lb *epicv1.LoadBalancer) []string { return prefixIndex(lb) }),
		byGatewayNode: index(func(lb *epicv1.LoadBalancer) []string { return gatewayNodesOf(&lb.Status) }),
	}
	proxyIndexes = cache.Indexers{
		byPrefix:      index(func(proxy *epicv1.GWProxy) []string { return prefixIndex(proxy) }),
		byGatewayNode: index(func(proxy *epicv1.GWProxy) []string { return gatewayNodesOf(&proxy.Status) }),
	}
	groupIndexes = cache.Indexers{byPrefix: index(func(group *epicv1.LBServiceGroup) []string { return prefixIndex(group) })}
	sliceIndexes = cache.Indexers{byService: index(func(slice *epicv1.GWEndpointSlice) []string {
		return in(slice.Namespace, endpoints.ServiceOf(slice))
	})}
)

// endpointNode returns a value of the index byEndpointNode.
func endpointNode(loadBalancer, node string) string { return loadBalancer + " " + node }

// index returns the index function for one type of object.
func index[T any](values func(T) []string) cache.IndexFunc {
	return func(obj any) ([]string, error) {
		if o, ok := obj.(T); ok {
			return values(o), nil
		}
		return nil, nil
	}
}

func prefixIndex(o metav1.Object) []string {
	if name := prefixOf(o); name != "" {
		return []string{name}
	}
	return nil
}

// gatewayNodesOf returns the distinct gateway nodes on which a status lists proxies.
func gatewayNodesOf(status *epicv1.ProxyStatus) []string {
	var nodes []string
	for _, info := range status.ProxyIfInfo {
		if node, ok := address(info.EPICNodeAddress); ok {
			nodes = append(nodes, node.String())
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// reporting returns the objects of a cache for which gateway nodes report proxies.
func reporting[T metav1.Object](indexer cache.Indexer) []cache.ObjectName {
	var keys []cache.ObjectName
	for _, node := range indexer.ListIndexFuncValues(byGatewayNode) {
		keys = append(keys, keysOf(lookUp[T](indexer, byGatewayNode, node))...)
	}
	return keys
}

// in returns names qualified with the namespace. It omits empty names.
func in(namespace string, names ...string) []string {
	var all []string
	for _, name := range names {
		if name != "" {
			all = append(all, cache.NewObjectName(namespace, name).String())
		}
	}
	return all
}

// lookUp returns the objects that an index has for a value.
func lookUp[T any](indexer cache.Indexer, name, value string) ([]T, error) {
	found, err := indexer.ByIndex(name, value)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(found))
	for _, obj := range found {
		if o, ok := obj.(T); ok {
			all = append(all, o)
		}
	}
	return all, nil
}

// key returns the qualified name of an object.
func key(o metav1.Object) string { return cache.NewObjectName(o.GetNamespace(), o.GetName()).String() }

// keysOf returns the names of objects that were looked up for an event.
func keysOf[T metav1.Object](all []T, err error) []cache.ObjectName {
	if err != nil {
		utilruntime.HandleError(err)
	}
	keys := make([]cache.ObjectName, 0, len(all))
	for _, o := range all {
		keys = append(keys, cache.NewObjectName(o.GetNamespace(), o.GetName()))
	}
	return keys
}

// specChanged reports whether an update changed more than the status.
func specChanged[T metav1.Object](old, obj T) bool {
	return old.GetGeneration() != obj.GetGeneration() || !maps.Equal(old.GetAnnotations(), obj.GetAnnotations()) ||
		!maps.Equal(old.GetLabels(), obj.GetLabels()) || (old.GetDeletionTimestamp() == nil) != (obj.GetDeletionTimestamp() == nil)
}
