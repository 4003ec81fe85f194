// SPDX-License-Identifier: Apache-2.0

package v1

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +resourceName=gwendpointslices
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWEndpointSlice is one EndpointSlice of a client cluster: endpoints to which the routes
// of the account's gateway proxies may send requests.
type GWEndpointSlice struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The EndpointSlice, copied from the client cluster.
	// +optional
	Spec GWEndpointSliceSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller reports about the slice.
	// +optional
	Status GWEndpointSliceStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GWEndpointSliceSpec is an EndpointSlice copied from the client cluster, together with the
// addresses of the cluster's nodes.
type GWEndpointSliceSpec struct {
	// The EndpointSlice in the client cluster that this object represents.
	// +optional
	ClientRef ClientRef `json:"clientRef,omitempty" protobuf:"bytes,1,opt,name=clientRef"`

	// The Service in the client cluster to which the slice belongs. Routes refer to it by
	// its UID.
	// +optional
	ParentRef ClientRef `json:"parentRef,omitempty" protobuf:"bytes,2,opt,name=parentRef"`

	// IP addresses of the nodes that the endpoints name, by node name. They are the far
	// ends of the tunnels. An endpoint whose node has no address here gets no tunnel.
	NodeAddresses map[string]string `json:"nodeAddresses" protobuf:"bytes,3,rep,name=nodeAddresses"`

	// API version of the EndpointSlice, as clients send it. It is stored but not used.
	// +optional
	APIVersion string `json:"apiVersion,omitempty" protobuf:"bytes,4,opt,name=apiVersion"`

	// Kind of the EndpointSlice, as clients send it. It is stored but not used.
	// +optional
	Kind string `json:"kind,omitempty" protobuf:"bytes,5,opt,name=kind"`

	// Metadata of the EndpointSlice. Any object is accepted, and none of its content is
	// stored: it reads back as an empty object.
	// +optional
	Metadata *DroppedMetadata `json:"metadata,omitempty" protobuf:"bytes,6,opt,name=metadata"`

	// Type of the endpoints' addresses: IPv4, IPv6 or FQDN.
	AddressType discoveryv1.AddressType `json:"addressType" protobuf:"bytes,7,opt,name=addressType,casttype=k8s.io/api/discovery/v1.AddressType"`

	// The endpoints. An endpoint without a node name gets no tunnel.
	// +listType=atomic
	Endpoints []discoveryv1.Endpoint `json:"endpoints" protobuf:"bytes,8,rep,name=endpoints"`

	// Ports on which each endpoint listens. May be empty.
	// +optional
	// +listType=atomic
	Ports []discoveryv1.EndpointPort `json:"ports,omitempty" protobuf:"bytes,9,rep,name=ports"`
}

// GWEndpointSliceStatus is what the controller reports about a slice.
type GWEndpointSliceStatus struct {
	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Conditions that the controller sets on the slice, one per type. An update that omits
	// this field keeps the existing conditions; an empty list removes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWEndpointSliceList is a list of GWEndpointSlice objects.
type GWEndpointSliceList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []GWEndpointSlice `json:"items" protobuf:"bytes,2,rep,name=items"`
}
