// SPDX-License-Identifier: Apache-2.0

package publish

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Parent is an object that routes attach to: a Gateway or a ListenerSet.
type Parent struct {
	// Kind is GatewayKind or ListenerSetKind.
	Kind gatewayv1.Kind
	types.NamespacedName
}

// Kinds of the Gateway API.
const (
	GatewayKind     gatewayv1.Kind = "Gateway"
	ListenerSetKind gatewayv1.Kind = "ListenerSet"
	HTTPRouteKind   gatewayv1.Kind = "HTTPRoute"
	GRPCRouteKind   gatewayv1.Kind = "GRPCRoute"
	TLSRouteKind    gatewayv1.Kind = "TLSRoute"
	TCPRouteKind    gatewayv1.Kind = "TCPRoute"
	UDPRouteKind    gatewayv1.Kind = "UDPRoute"
)

// View is the client cluster at one moment. A getter returns nil for an object that does
// not exist. Results must not be modified, and lists are in any order.
type View interface {
	Class(name string) *gatewayv1.GatewayClass
	Gateway(name types.NamespacedName) *gatewayv1.Gateway
	ListenerSet(name types.NamespacedName) *gatewayv1.ListenerSet
	Namespace(name string) *corev1.Namespace
	Node(name string) *corev1.Node
	Service(name types.NamespacedName) *corev1.Service
	Secret(name types.NamespacedName) *corev1.Secret
	ConfigMap(name types.NamespacedName) *corev1.ConfigMap

	// ListenerSetsOf returns the ListenerSets whose parentRef names a Gateway.
	ListenerSetsOf(gateway types.NamespacedName) []*gatewayv1.ListenerSet
	// RoutesOf returns the routes of some kinds, or of all, that have a parentRef to a parent.
	RoutesOf(parent Parent, kinds ...gatewayv1.Kind) []*Route
	// RoutesTo returns the routes that have a reference to a Service.
	RoutesTo(service types.NamespacedName) []*Route
	// DefaultRoutes returns the routes that request the default Gateways.
	DefaultRoutes() []*Route
	// DefaultGateways returns the Gateways that are a default for such routes.
	DefaultGateways() []*gatewayv1.Gateway
	// SlicesOf returns the EndpointSlices of a Service.
	SlicesOf(service types.NamespacedName) []*discoveryv1.EndpointSlice
	// PoliciesOf returns the BackendTLSPolicies that target a Service.
	PoliciesOf(service types.NamespacedName) []*gatewayv1.BackendTLSPolicy
	// GrantsIn returns the ReferenceGrants of a namespace.
	GrantsIn(namespace string) []*gatewayv1.ReferenceGrant
}
