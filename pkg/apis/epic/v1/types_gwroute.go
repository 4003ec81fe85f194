// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=gwroutes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRoute is one HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or UDPRoute of a client cluster:
// it selects requests that arrive at a GWProxy and names the Services that they go to. The
// name in each of its parent references is the name of a GWProxy. The name in each of its
// backend references is the UID of a Service, which GWEndpointSlices name as their parent.
type GWRoute struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The route, copied from the client cluster.
	// +optional
	Spec GWRouteSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller and the operator report about the route.
	// +optional
	Status GWRouteStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GWRouteSpec is a route copied from the client cluster.
type GWRouteSpec struct {
	// The route in the client cluster that this object represents.
	// +optional
	ClientRef ClientRef `json:"clientRef,omitempty" protobuf:"bytes,1,opt,name=clientRef"`

	// The spec of the HTTPRoute, if this object represents one.
	// +optional
	HTTP *HTTPRouteSpec `json:"http,omitempty" protobuf:"bytes,2,opt,name=http"`

	// The spec of the TCPRoute, if this object represents one.
	// +optional
	TCP *TCPRouteSpec `json:"tcp,omitempty" protobuf:"bytes,3,opt,name=tcp"`

	// The spec of the GRPCRoute, if this object represents one.
	// +optional
	GRPC *GRPCRouteSpec `json:"grpc,omitempty" protobuf:"bytes,4,opt,name=grpc"`

	// The spec of the TLSRoute, if this object represents one.
	// +optional
	TLS *TLSRouteSpec `json:"tls,omitempty" protobuf:"bytes,5,opt,name=tls"`

	// The spec of the UDPRoute, if this object represents one.
	// +optional
	UDP *UDPRouteSpec `json:"udp,omitempty" protobuf:"bytes,6,opt,name=udp"`

	// How proxies connect to backends of this route, as policies of the client cluster such
	// as a BackendTLSPolicy configure it for a Service or one of its ports. If several
	// entries match a backend, the first one with the backend's port applies, and otherwise
	// the first one without a port.
	// +optional
	// +listType=atomic
	Backends []RouteBackend `json:"backends,omitempty" protobuf:"bytes,7,rep,name=backends"`
}

// RouteBackend configures how proxies connect to one backend of a route.
type RouteBackend struct {
	// UID of the Service, as in the name of the route's backend references.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Port of the Service to which this entry applies. If absent, it applies to all ports
	// of the Service.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,2,opt,name=port"`

	// If set, proxies connect with TLS and verify the backend's certificate as this
	// BackendTLSPolicy validation specifies. Each reference in caCertificateRefs names a
	// Secret in the route's namespace that holds the certificates in its key ca.crt. The
	// kind of a reference defaults to Secret.
	// +optional
	TLS *BackendTLSValidation `json:"tls,omitempty" protobuf:"bytes,3,opt,name=tls"`
}

// GWRouteStatus is what the controller and the operator report about a route.
type GWRouteStatus struct {
	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Conditions that the controller sets on the route, one per type. An update that omits
	// this field keeps the existing conditions; an empty list removes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`

	// State of the route at each gateway proxy, or listener of a gateway proxy, that its
	// parentRefs name. Set by the operator. A parent that does not exist has no entry.
	// +optional
	// +listType=atomic
	Parents []RouteParentStatus `json:"parents,omitempty" protobuf:"bytes,3,rep,name=parents"`
}

// RouteParentStatus is the state of a route at one of its parents.
type RouteParentStatus struct {
	// The parent, as in the parentRefs of the route.
	ParentRef RouteParentReference `json:"parentRef" protobuf:"bytes,1,opt,name=parentRef"`

	// Conditions of the route at this parent, with the types and reasons of the Gateway
	// API: Accepted, ResolvedRefs, PartiallyInvalid if a part of the route is left out, and
	// Programmed, which is True once Envoys have accepted the route. Their
	// observedGeneration is that of the route.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`
}

// RouteParentReference names a gateway proxy, and one of its listeners if the route names
// one.
type RouteParentReference struct {
	// Name of the gateway proxy.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Name of the listener, if the route names one.
	// +optional
	SectionName string `json:"sectionName,omitempty" protobuf:"bytes,2,opt,name=sectionName"`

	// Port of the listeners, if the route names one.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,3,opt,name=port"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRouteList is a list of GWRoute objects.
type GWRouteList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []GWRoute `json:"items" protobuf:"bytes,2,rep,name=items"`
}
