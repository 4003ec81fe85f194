// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=remoteendpoints
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RemoteEndpoint is one address and port in a tenant's cluster to which a load
// balancer sends requests: usually a pod. Its label
// epic.acnodal.io/owning-loadbalancer names the load balancer.
type RemoteEndpoint struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// Where the endpoint is.
	// +optional
	Spec RemoteEndpointSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller reports about the endpoint.
	// +optional
	Status RemoteEndpointStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RemoteEndpointSpec says where an endpoint is.
type RemoteEndpointSpec struct {
	// The ID of the tenant's cluster in which the endpoint runs. The load
	// balancer lists it in upstream-clusters.
	Cluster string `json:"cluster" protobuf:"bytes,1,opt,name=cluster"`

	// The IP address of the endpoint.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// The IP address of the node on which the endpoint runs: the tenant's end of
	// the tunnel. When absent, no tunnel is made and the gateway's nodes reach
	// the address by themselves.
	// +optional
	NodeAddress string `json:"node-address,omitempty" protobuf:"bytes,3,opt,name=nodeAddress"`

	// The port of the endpoint.
	Port EndpointPort `json:"port" protobuf:"bytes,4,opt,name=port"`
}

// RemoteEndpointStatus is what the controller reports about an endpoint.
type RemoteEndpointStatus struct {
	// The index of a network interface of the load balancer's proxy. The load
	// balancer's own status has the current one; this copy is accepted and kept,
	// and nothing uses it.
	// +optional
	ProxyIfIndex int32 `json:"proxy-ifindex,omitempty" protobuf:"varint,1,opt,name=proxyIfindex"`

	// The ID of a tunnel to the endpoint's node. The load balancer's own status
	// has the current one; this copy is accepted and kept, and nothing uses it.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,2,opt,name=tunnelId"`

	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,3,opt,name=observedGeneration"`

	// Conditions that the controller sets on the endpoint, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,4,opt,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RemoteEndpointList is a list of RemoteEndpoint objects.
type RemoteEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []RemoteEndpoint `json:"items" protobuf:"bytes,2,rep,name=items"`
}
