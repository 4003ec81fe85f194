// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/endpoints"
)

// Indexes of the caches.
const (
	gatewayIndex = "gateway"
	classIndex   = "class"
	parentIndex  = "parent"
	serviceIndex = "service"
	nodeIndex    = "node"
	defaultIndex = "default"
	secretIndex  = "secret"
	// clientNameIndex indexes by the local object that an object in EPIC represents,
	// lbIndex by the load balancer of an endpoint or of a Service of the connector.
	clientNameIndex = "client"
	lbIndex         = "loadbalancer"

	yes = "yes"
)

func parentKey(p publish.Parent) string { return string(p.Kind) + "/" + p.String() }

// routeKind is one of the five kinds of routes.
type routeKind struct {
	kind   gatewayv1.Kind
	object func() client.Object
	list   func(v *view, options ...client.ListOption) []*publish.Route
	// of reports whether a gateway route in EPIC represents a route of this kind.
	of func(*epicv1.GWRouteSpec) bool
}

func routesIn[T any, P interface {
	*T
	client.Object
}](items []T) []*publish.Route {
	routes := make([]*publish.Route, len(items))
	for i := range items {
		routes[i] = publish.RouteOf(P(&items[i]))
	}
	return routes
}

var routeKinds = []routeKind{
	{
		publish.HTTPRouteKind, func() client.Object { return &gatewayv1.HTTPRoute{} },
		func(v *view, o ...client.ListOption) []*publish.Route {
			return routesIn[gatewayv1.HTTPRoute](list[gatewayv1.HTTPRouteList](v, o...).Items)
		},
		func(s *epicv1.GWRouteSpec) bool { return s.HTTP != nil },
	},
	{
		publish.GRPCRouteKind, func() client.Object { return &gatewayv1.GRPCRoute{} },
		func(v *view, o ...client.ListOption) []*publish.Route {
			return routesIn[gatewayv1.GRPCRoute](list[gatewayv1.GRPCRouteList](v, o...).Items)
		},
		func(s *epicv1.GWRouteSpec) bool { return s.GRPC != nil },
	},
	{
		publish.TLSRouteKind, func() client.Object { return &gatewayv1.TLSRoute{} },
		func(v *view, o ...client.ListOption) []*publish.Route {
			return routesIn[gatewayv1.TLSRoute](list[gatewayv1.TLSRouteList](v, o...).Items)
		},
		func(s *epicv1.GWRouteSpec) bool { return s.TLS != nil },
	},
	{
		publish.TCPRouteKind, func() client.Object { return &gatewayv1.TCPRoute{} },
		func(v *view, o ...client.ListOption) []*publish.Route {
			return routesIn[gatewayv1.TCPRoute](list[gatewayv1.TCPRouteList](v, o...).Items)
		},
		func(s *epicv1.GWRouteSpec) bool { return s.TCP != nil },
	},
	{
		publish.UDPRouteKind, func() client.Object { return &gatewayv1.UDPRoute{} },
		func(v *view, o ...client.ListOption) []*publish.Route {
			return routesIn[gatewayv1.UDPRoute](list[gatewayv1.UDPRouteList](v, o...).Items)
		},
		func(s *epicv1.GWRouteSpec) bool { return s.UDP != nil },
	},
}

// index is one index of a cache.
type index struct {
	object client.Object
	name   string
	keys   func(client.Object) []string
}

func localIndexes() []index {
	all := []index{
		{&gatewayv1.ListenerSet{}, gatewayIndex, func(o client.Object) []string {
			if set, ok := o.(*gatewayv1.ListenerSet); ok {
				if gateway, ok := publish.GatewayOf(set); ok {
					return []string{gateway.String()}
				}
			}
			return nil
		}},
		{&gatewayv1.ListenerSet{}, secretIndex, func(o client.Object) []string {
			if set, ok := o.(*gatewayv1.ListenerSet); ok {
				return publish.HoldersOfSet(set)
			}
			return nil
		}},
		{&gatewayv1.Gateway{}, secretIndex, func(o client.Object) []string {
			if gateway, ok := o.(*gatewayv1.Gateway); ok {
				return publish.HoldersOf(gateway)
			}
			return nil
		}},
		{&gatewayv1.Gateway{}, classIndex, func(o client.Object) []string {
			if gateway, ok := o.(*gatewayv1.Gateway); ok {
				return []string{string(gateway.Spec.GatewayClassName)}
			}
			return nil
		}},
		{&gatewayv1.Gateway{}, defaultIndex, func(o client.Object) []string {
			if gateway, ok := o.(*gatewayv1.Gateway); ok && publish.IsDefault(gateway) {
				return []string{yes}
			}
			return nil
		}},
		{&corev1.Service{}, lbIndex, func(o client.Object) []string {
			if service, ok := o.(*corev1.Service); ok && publish.Balanced(service) {
				return []string{publish.LoadBalancerName(service)}
			}
			return nil
		}},
		{&discoveryv1.EndpointSlice{}, serviceIndex, func(o client.Object) []string {
			if slice, ok := o.(*discoveryv1.EndpointSlice); ok {
				return []string{publish.ServiceOfSlice(slice).String()}
			}
			return nil
		}},
		{&discoveryv1.EndpointSlice{}, nodeIndex, func(o client.Object) []string {
			slice, ok := o.(*discoveryv1.EndpointSlice)
			if !ok {
				return nil
			}
			seen := map[string]bool{}
			var names []string
			for i := range slice.Endpoints {
				if name := ptr.Deref(slice.Endpoints[i].NodeName, ""); name != "" && !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
			return names
		}},
		{&gatewayv1.BackendTLSPolicy{}, serviceIndex, func(o client.Object) []string {
			if policy, ok := o.(*gatewayv1.BackendTLSPolicy); ok {
				return texts(publish.TargetsOf(policy))
			}
			return nil
		}},
		{&gatewayv1.BackendTLSPolicy{}, secretIndex, func(o client.Object) []string {
			if policy, ok := o.(*gatewayv1.BackendTLSPolicy); ok {
				return publish.HoldersOfPolicy(policy)
			}
			return nil
		}},
	}
	for i := range routeKinds {
		all = append(all,
			index{routeKinds[i].object(), parentIndex, func(o client.Object) []string {
				route := publish.RouteOf(o)
				if route == nil {
					return nil
				}
				var keys []string
				for _, parent := range route.Parents() {
					keys = append(keys, parentKey(parent))
				}
				return keys
			}},
			index{routeKinds[i].object(), serviceIndex, func(o client.Object) []string {
				if route := publish.RouteOf(o); route != nil {
					return texts(route.Services())
				}
				return nil
			}},
			index{routeKinds[i].object(), defaultIndex, func(o client.Object) []string {
				if route := publish.RouteOf(o); route != nil && route.WantsDefault() {
					return []string{yes}
				}
				return nil
			}},
		)
	}
	return all
}

func texts(names []types.NamespacedName) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name.String()
	}
	return out
}

func remoteIndexes() []index {
	return []index{
		{&epicv1.GWProxy{}, clientNameIndex, func(o client.Object) []string { return append(clientKeys(o), ownerKeys(o)...) }},
		{&epicv1.LoadBalancer{}, clientNameIndex, func(o client.Object) []string { return append(clientKeys(o), ownerKeys(o)...) }},
		{&epicv1.GWRoute{}, clientNameIndex, clientKeys},
		{&epicv1.GWEndpointSlice{}, clientNameIndex, clientKeys},
		{&epicv1.RemoteEndpoint{}, lbIndex, func(o client.Object) []string {
			if e, ok := o.(*epicv1.RemoteEndpoint); ok {
				return []string{endpoints.LoadBalancerOf(e)}
			}
			return nil
		}},
	}
}

// clientKeys returns the name of the local object that an object represents.
func clientKeys(o client.Object) []string {
	ref := clientRef(o)
	return []string{types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}.String()}
}

// clientRef returns the local object that an object in EPIC represents.
func clientRef(o client.Object) epicv1.ClientRef {
	switch o := o.(type) {
	case *epicv1.GWProxy:
		return o.Spec.ClientRef
	case *epicv1.GWRoute:
		return o.Spec.ClientRef
	case *epicv1.GWEndpointSlice:
		return o.Spec.ClientRef
	case *epicv1.LoadBalancer:
		return epicv1.ClientRef{Namespace: o.Annotations[publish.ClientNamespaceAnnotation], Name: o.Annotations[publish.ClientNameAnnotation]}
	}
	return epicv1.ClientRef{}
}

// ownerKeys returns the UIDs of the local objects, in any cluster, that own a shared
// object.
func ownerKeys(o client.Object) []string {
	var keys []string
	for key, uid := range o.GetAnnotations() {
		if strings.HasPrefix(key, epic.OwnerAnnotationPrefix) {
			keys = append(keys, ownerKey(uid))
		}
	}
	return keys
}

func ownerKey(uid string) string { return "uid/" + uid }

func addIndexes(ctx context.Context, indexer client.FieldIndexer, all []index) error {
	for _, i := range all {
		err := indexer.IndexField(ctx, i.object, i.name, i.keys)
		if meta.IsNoMatchError(err) {
			return fmt.Errorf("this cluster does not serve %s: install the Gateway API v1.6, experimental channel, and start the connector again: %w", kindOf(i.object), err)
		}
		if err != nil {
			return fmt.Errorf("index %T by %s: %w", i.object, i.name, err)
		}
	}
	return nil
}
