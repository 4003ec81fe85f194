// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// Mappings from a changed object of one kind to the affected objects of another.

func namesOf[T metav1.Object](objects []T) []types.NamespacedName {
	names := make([]types.NamespacedName, len(objects))
	for i, o := range objects {
		names[i] = types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
	}
	return names
}

// allGateways returns the Gateways of all classes of the connector.
func allGateways(v *view, _ client.Object) []types.NamespacedName {
	var names []types.NamespacedName
	for _, class := range pointers(list[gatewayv1.GatewayClassList](v).Items) {
		if class.Spec.ControllerName == publish.ControllerName {
			names = append(names, gatewaysOfClass(v, class)...)
		}
	}
	return names
}

func gatewaysOfClass(v *view, o client.Object) []types.NamespacedName {
	return namesOf(pointers(list[gatewayv1.GatewayList](v, client.MatchingFields{classIndex: o.GetName()}).Items))
}

func classOfGateway(_ *view, o client.Object) []types.NamespacedName {
	gateway, ok := o.(*gatewayv1.Gateway)
	if !ok {
		return nil
	}
	return []types.NamespacedName{{Name: string(gateway.Spec.GatewayClassName)}}
}

func gatewayOfSet(_ *view, o client.Object) []types.NamespacedName {
	set, ok := o.(*gatewayv1.ListenerSet)
	if !ok {
		return nil
	}
	gateway, ok := publish.GatewayOf(set)
	if !ok {
		return nil
	}
	return []types.NamespacedName{gateway}
}

// gatewaysOfRoute returns the Gateways that a route may attach to.
func gatewaysOfRoute(v *view, o client.Object) []types.NamespacedName {
	route := publish.RouteOf(o)
	if route == nil {
		return nil
	}
	parents := route.Parents()
	// Its status names the parents to which it was attached before.
	for i := range route.Status.Parents {
		if parent, ok := publish.ParentOf(&route.Status.Parents[i].ParentRef, route.GetNamespace()); ok && !slices.Contains(parents, parent) {
			parents = append(parents, parent)
		}
	}
	var names []types.NamespacedName
	for _, parent := range parents {
		if parent.Kind == publish.GatewayKind {
			names = append(names, parent.NamespacedName)
		} else if set := v.ListenerSet(parent.NamespacedName); set != nil {
			names = append(names, gatewayOfSet(v, set)...)
		}
	}
	if route.WantsDefault() {
		names = append(names, namesOf(v.DefaultGateways())...)
	}
	return names
}

// gatewaysOfHolder returns a mapping to the Gateways that use an object with
// certificates.
func gatewaysOfHolder(kind string) mapping {
	return func(v *view, o client.Object) []types.NamespacedName {
		field := client.MatchingFields{secretIndex: publish.HolderKey(kind, o.GetNamespace(), o.GetName())}
		names := namesOf(pointers(list[gatewayv1.GatewayList](v, field).Items))
		for _, set := range pointers(list[gatewayv1.ListenerSetList](v, field).Items) {
			names = append(names, gatewayOfSet(v, set)...)
		}
		return names
	}
}

// routesOfGateway returns the routes of some kinds, or of all, that may attach to a
// Gateway.
func routesOfGateway(v *view, name types.NamespacedName, kinds ...gatewayv1.Kind) []*publish.Route {
	routes := v.RoutesOf(publish.Parent{Kind: publish.GatewayKind, NamespacedName: name}, kinds...)
	for _, set := range v.ListenerSetsOf(name) {
		routes = append(routes, v.RoutesOf(publish.Parent{Kind: publish.ListenerSetKind, NamespacedName: client.ObjectKeyFromObject(set)}, kinds...)...)
	}
	if gateway := v.Gateway(name); gateway != nil && publish.IsDefault(gateway) {
		routes = append(routes, v.DefaultRoutes()...)
	}
	return routes
}

// routesConcerned returns the routes that a change of an object may affect.
func routesConcerned(v *view, o client.Object) []*publish.Route {
	switch o := o.(type) {
	case *gatewayv1.GatewayClass:
		var routes []*publish.Route
		for _, gateway := range gatewaysOfClass(v, o) {
			routes = append(routes, routesOfGateway(v, gateway)...)
		}
		return routes
	case *gatewayv1.Gateway:
		return routesOfGateway(v, client.ObjectKeyFromObject(o))
	case *gatewayv1.ListenerSet:
		routes := v.RoutesOf(publish.Parent{Kind: publish.ListenerSetKind, NamespacedName: client.ObjectKeyFromObject(o)})
		// Its listeners may take precedence over those of other sets.
		for _, gateway := range gatewayOfSet(v, o) {
			routes = append(routes, routesOfGateway(v, gateway)...)
		}
		return routes
	case *gatewayv1.ReferenceGrant:
		return v.routes()
	case *gatewayv1.BackendTLSPolicy:
		return routesOfPolicy(v, o)
	case *corev1.Service:
		return v.RoutesTo(client.ObjectKeyFromObject(o))
	case *corev1.Namespace:
		return v.routes(client.InNamespace(o.Name))
	case *corev1.ConfigMap:
		return routesOfHolder(v, "ConfigMap", o)
	case *corev1.Secret:
		return routesOfHolder(v, "Secret", o)
	}
	route := publish.RouteOf(o)
	if route == nil {
		return nil
	}
	// A route of the other HTTP kind may gain or lose priority over it.
	other, ok := map[gatewayv1.Kind]gatewayv1.Kind{
		publish.HTTPRouteKind: publish.GRPCRouteKind, publish.GRPCRouteKind: publish.HTTPRouteKind,
	}[route.Kind]
	if !ok {
		return nil
	}
	var routes []*publish.Route
	for _, gateway := range gatewaysOfRoute(v, o) {
		for _, candidate := range routesOfGateway(v, gateway, other) {
			if candidate.Kind == other {
				routes = append(routes, candidate)
			}
		}
	}
	return routes
}

func routesOfPolicy(v *view, policy *gatewayv1.BackendTLSPolicy) []*publish.Route {
	var routes []*publish.Route
	for _, service := range publish.TargetsOf(policy) {
		routes = append(routes, v.RoutesTo(service)...)
	}
	return routes
}

func policiesOfHolder(kind string) mapping {
	return func(v *view, o client.Object) []types.NamespacedName {
		field := client.MatchingFields{secretIndex: publish.HolderKey(kind, o.GetNamespace(), o.GetName())}
		return namesOf(pointers(list[gatewayv1.BackendTLSPolicyList](v, field).Items))
	}
}

func routesOfHolder(v *view, kind string, o client.Object) []*publish.Route {
	var routes []*publish.Route
	field := client.MatchingFields{secretIndex: publish.HolderKey(kind, o.GetNamespace(), o.GetName())}
	for _, policy := range pointers(list[gatewayv1.BackendTLSPolicyList](v, field).Items) {
		routes = append(routes, routesOfPolicy(v, policy)...)
	}
	return routes
}

// servicesOfRoutes returns the Services to which routes lead.
func servicesOfRoutes(routes []*publish.Route) []types.NamespacedName {
	var names []types.NamespacedName
	for _, route := range routes {
		names = append(names, route.Services()...)
	}
	return names
}

// watchesOfServices returns watches of the objects that determine to which Services
// routes lead. of maps the Services to the affected objects.
func watchesOfServices(of func(v *view, services []types.NamespacedName) []types.NamespacedName) []watch {
	var watches []watch
	for _, o := range []client.Object{&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, &gatewayv1.ReferenceGrant{}, &corev1.Namespace{}} {
		watches = append(watches, watch{object: o, of: func(v *view, o client.Object) []types.NamespacedName {
			return of(v, servicesOfRoutes(routesConcerned(v, o)))
		}})
	}
	for i := range routeKinds {
		watches = append(watches, watch{object: routeKinds[i].object(), of: func(v *view, o client.Object) []types.NamespacedName {
			route := publish.RouteOf(o)
			if route == nil {
				return nil
			}
			return of(v, servicesOfRoutes(append(routesConcerned(v, o), route)))
		}})
	}
	return watches
}

// slicesOfServices returns the EndpointSlices of Services.
func slicesOfServices(v *view, services []types.NamespacedName) []types.NamespacedName {
	var names []types.NamespacedName
	seen := map[types.NamespacedName]bool{}
	for _, service := range services {
		if !seen[service] {
			seen[service] = true
			names = append(names, namesOf(v.SlicesOf(service))...)
		}
	}
	return names
}

func slicesOfNode(v *view, o client.Object) []types.NamespacedName {
	return namesOf(pointers(list[discoveryv1.EndpointSliceList](v, client.MatchingFields{nodeIndex: o.GetName()}).Items))
}

// clientName returns the local object that an object in EPIC represents.
func clientName(_ *view, o client.Object) []types.NamespacedName {
	ref := clientRef(o)
	return []types.NamespacedName{{Namespace: ref.Namespace, Name: ref.Name}}
}

// gatewaysOfProxy returns the Gateway that a proxy in EPIC represents, even if it no
// longer exists. A shared proxy names the Gateway of the cluster that created it; the one
// in this cluster may have another name.
func gatewaysOfProxy(v *view, o client.Object) []types.NamespacedName {
	names := clientName(v, o)
	proxy, ok := o.(*epicv1.GWProxy)
	if !ok || owners(proxy) == nil {
		return names
	}
	for _, gateway := range pointers(list[gatewayv1.GatewayList](v).Items) {
		if name := client.ObjectKeyFromObject(gateway); publish.ProxyName(gateway) == proxy.Name && name != names[0] {
			names = append(names, name)
		}
	}
	return names
}
