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

// The indexes of the caches. A value is a namespace and a name, or a uid, so
// what one account writes leads to that account's objects only.
const (
	byLoadBalancer = "load-balancer"
	byProxy        = "proxy"
	byService      = "service"
	// byPrefix is the name of a prefix, which has no namespace next to it.
	byPrefix = "prefix"
	// byEndpointNode is a load balancer, and the address of the client node of an
	// endpoint of it.
	byEndpointNode = "endpoint-node"
	// byGatewayNode is the address of a gateway node on which a proxy runs.
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

// endpointNode is a value of the index byEndpointNode.
func endpointNode(loadBalancer, node string) string { return loadBalancer + " " + node }

// index is the function of an index of one type of objects.
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

// gatewayNodesOf are the gateway nodes on which proxies are said to run, each
// once.
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

// reporting are the objects of a cache of which gateway nodes report proxies.
func reporting[T metav1.Object](indexer cache.Indexer) []cache.ObjectName {
	var keys []cache.ObjectName
	for _, node := range indexer.ListIndexFuncValues(byGatewayNode) {
		keys = append(keys, keysOf(lookUp[T](indexer, byGatewayNode, node))...)
	}
	return keys
}

// in is what names are called across namespaces. An empty name is none.
func in(namespace string, names ...string) []string {
	var all []string
	for _, name := range names {
		if name != "" {
			all = append(all, cache.NewObjectName(namespace, name).String())
		}
	}
	return all
}

// lookUp finds the objects that an index has for a value.
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

// key is what an object is called across namespaces.
func key(o metav1.Object) string { return cache.NewObjectName(o.GetNamespace(), o.GetName()).String() }

// keysOf are the names of objects that were looked up for an event.
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

// specChanged reports whether more of an object changed than its status.
func specChanged[T metav1.Object](old, obj T) bool {
	return old.GetGeneration() != obj.GetGeneration() || !maps.Equal(old.GetAnnotations(), obj.GetAnnotations()) ||
		!maps.Equal(old.GetLabels(), obj.GetLabels()) || (old.GetDeletionTimestamp() == nil) != (obj.GetDeletionTimestamp() == nil)
}
