// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=gwroutes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRoute is one HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or UDPRoute of a tenant's
// cluster: it selects the requests that arrive at a GWProxy and names the endpoint
// slices they go to. The name in each of its parent references is a GWProxy's name;
// the name in each of its backend references is the uid of the Service that a
// GWEndpointSlice names as its parent.
type GWRoute struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The route, as the tenant's cluster has it.
	// +optional
	Spec GWRouteSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller reports about the route.
	// +optional
	Status GWRouteStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GWRouteSpec is a route as the tenant's cluster has it.
type GWRouteSpec struct {
	// The route in the tenant's cluster that this object stands for.
	// +optional
	ClientRef ClientRef `json:"clientRef,omitempty" protobuf:"bytes,1,opt,name=clientRef"`

	// The spec of the tenant's HTTPRoute, when that is what this stands for.
	// +optional
	HTTP *HTTPRouteSpec `json:"http,omitempty" protobuf:"bytes,2,opt,name=http"`

	// The spec of the tenant's TCPRoute, when that is what this stands for.
	// +optional
	TCP *TCPRouteSpec `json:"tcp,omitempty" protobuf:"bytes,3,opt,name=tcp"`

	// The spec of the tenant's GRPCRoute, when that is what this stands for.
	// +optional
	GRPC *GRPCRouteSpec `json:"grpc,omitempty" protobuf:"bytes,4,opt,name=grpc"`

	// The spec of the tenant's TLSRoute, when that is what this stands for.
	// +optional
	TLS *TLSRouteSpec `json:"tls,omitempty" protobuf:"bytes,5,opt,name=tls"`

	// The spec of the tenant's UDPRoute, when that is what this stands for.
	// +optional
	UDP *UDPRouteSpec `json:"udp,omitempty" protobuf:"bytes,6,opt,name=udp"`

	// How proxies connect to backends of this route, for those that need more than
	// an address: what policies of the tenant's cluster, such as a BackendTLSPolicy,
	// set for a Service or for one of its ports. If several entries match a backend,
	// the first that names its port applies, and otherwise the first without a port.
	// +optional
	// +listType=atomic
	Backends []RouteBackend `json:"backends,omitempty" protobuf:"bytes,7,rep,name=backends"`
}

// RouteBackend sets how proxies connect to one backend of a route.
type RouteBackend struct {
	// The uid of the Service, as in the name of the route's backend references.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The port of the Service to which this applies. When absent, it applies to all
	// of its ports.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,2,opt,name=port"`

	// If set, proxies connect by TLS and verify the certificate of the backend as the
	// validation of a BackendTLSPolicy says. Each reference in caCertificateRefs names
	// a Secret in the route's own namespace with the certificates in its key ca.crt.
	// A reference without a kind is one to a Secret.
	// +optional
	TLS *BackendTLSValidation `json:"tls,omitempty" protobuf:"bytes,3,opt,name=tls"`
}

// GWRouteStatus is what the controller reports about a route.
type GWRouteStatus struct {
	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Conditions that the controller sets on the route, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`

	// The state of the route at each gateway proxy, or listener of one, that its
	// parentRefs name. The operator writes it. A parent that is not there has no
	// entry.
	// +optional
	// +listType=atomic
	Parents []RouteParentStatus `json:"parents,omitempty" protobuf:"bytes,3,rep,name=parents"`
}

// RouteParentStatus is the state of a route at one of its parents.
type RouteParentStatus struct {
	// The parent, as in the parentRefs of the route.
	ParentRef RouteParentReference `json:"parentRef" protobuf:"bytes,1,opt,name=parentRef"`

	// The conditions of the route at this parent, with the types and reasons of the
	// Gateway API: Accepted, ResolvedRefs, and PartiallyInvalid if a part of the
	// route is left out; and Programmed, which is True once Envoys have accepted
	// the route. Their observedGeneration is that of the route.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`
}

// RouteParentReference names a gateway proxy, and a listener of it where the route
// does so.
type RouteParentReference struct {
	// The name of the gateway proxy.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The name of the listener, if the route names one.
	// +optional
	SectionName string `json:"sectionName,omitempty" protobuf:"bytes,2,opt,name=sectionName"`

	// The port of the listeners, if the route names one.
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
