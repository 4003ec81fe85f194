// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// The indexes of the caches. A value is a namespace and a name, or a uid, so
// that what one account writes leads to that account's objects only.
const (
	byLoadBalancer = "load-balancer"
	byProxy        = "proxy"
	byService      = "service"
)

var (
	remoteEndpointIndexes = cache.Indexers{byLoadBalancer: index(func(rep *epicv1.RemoteEndpoint) []string {
		return in(rep.Namespace, endpoints.LoadBalancerOf(rep))
	})}
	routeIndexes = cache.Indexers{
		byProxy:   index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ProxiesOf(route)...) }),
		byService: index(func(route *epicv1.GWRoute) []string { return in(route.Namespace, endpoints.ServicesOf(route)...) }),
	}
	sliceIndexes = cache.Indexers{byService: index(func(slice *epicv1.GWEndpointSlice) []string {
		return in(slice.Namespace, endpoints.ServiceOf(slice))
	})}
)

// index is the function of an index of one type of objects.
func index[T any](values func(T) []string) cache.IndexFunc {
	return func(obj any) ([]string, error) {
		if o, ok := obj.(T); ok {
			return values(o), nil
		}
		return nil, nil
	}
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
