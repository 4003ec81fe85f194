// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=gwroutes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWRoute is one HTTPRoute or TCPRoute of a tenant's cluster: it says which
// requests that arrive at a GWProxy go to which endpoint slices. The name in
// each of its parent references is a GWProxy's name; the name in each of its
// backend references is the uid of the Service that a GWEndpointSlice names as
// its parent.
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
}

// GWRouteStatus is what the controller reports about a route.
type GWRouteStatus struct {
	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// What the controller found out about the route, one entry a type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`
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
