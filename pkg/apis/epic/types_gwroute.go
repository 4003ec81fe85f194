// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRoute is one HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or UDPRoute of a client cluster:
// it selects requests that arrive at a GWProxy and names the Services that they go to. The
// name in each of its parent references is the name of a GWProxy. The name in each of its
// backend references is the UID of a Service, which GWEndpointSlices name as their parent.
type GWRoute struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// The route, as the tenant's cluster has it.
	Spec GWRouteSpec

	// What the controller reports about the route.
	Status GWRouteStatus
}

// GWRouteSpec is a route copied from the client cluster.
type GWRouteSpec struct {
	// The route in the tenant's cluster that this object stands for.
	ClientRef ClientRef

	// The spec of the tenant's HTTPRoute, when that is what this stands for.
	HTTP *HTTPRouteSpec

	// The spec of the tenant's TCPRoute, when that is what this stands for.
	TCP *TCPRouteSpec

	// The spec of the tenant's GRPCRoute, when that is what this stands for.
	GRPC *GRPCRouteSpec

	// The spec of the tenant's TLSRoute, when that is what this stands for.
	TLS *TLSRouteSpec

	// The spec of the tenant's UDPRoute, when that is what this stands for.
	UDP *UDPRouteSpec

	// How proxies connect to backends that need more than an address.
	Backends []RouteBackend
}

// RouteBackend configures how proxies connect to one backend of a route.
type RouteBackend struct {
	// The uid of the Service.
	Name string

	// The port of the Service to which this applies; 0 for all of its ports.
	Port int32

	// If set, proxies connect by TLS and verify the certificate of the backend so.
	TLS *BackendTLSValidation
}

// GWRouteStatus is what the controller and the operator report about a route.
type GWRouteStatus struct {
	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the route, one for each type.
	Conditions []metav1.Condition

	// The state of the route at each of its parents.
	Parents []RouteParentStatus
}

// RouteParentStatus is the state of a route at one of its parents.
type RouteParentStatus struct {
	// The parent, as in the parentRefs of the route.
	ParentRef RouteParentReference

	// The conditions of the route at this parent.
	Conditions []metav1.Condition
}

// RouteParentReference names a gateway proxy, and one of its listeners if the route names
// one.
type RouteParentReference struct {
	// The name of the gateway proxy.
	Name string

	// The name of the listener, if the route names one.
	SectionName string

	// The port of the listeners, if the route names one.
	Port int32
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRouteList is a list of GWRoute objects.
type GWRouteList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []GWRoute
}
