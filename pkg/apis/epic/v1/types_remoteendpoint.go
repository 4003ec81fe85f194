// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=remoteendpoints
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RemoteEndpoint is one address and port in a client cluster to which a load balancer sends
// requests, usually a pod. Its label epic.acnodal.io/owning-loadbalancer names the load
// balancer.
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

// RemoteEndpointSpec describes where an endpoint is.
type RemoteEndpointSpec struct {
	// ID of the client cluster in which the endpoint runs. The load balancer must list it
	// in upstream-clusters.
	Cluster string `json:"cluster" protobuf:"bytes,1,opt,name=cluster"`

	// IP address of the endpoint.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// IP address of the node on which the endpoint runs, which is the far end of the
	// tunnel. If absent, no tunnel is created and gateway nodes reach the endpoint
	// directly.
	// +optional
	NodeAddress string `json:"node-address,omitempty" protobuf:"bytes,3,opt,name=nodeAddress"`

	// Port of the endpoint.
	Port EndpointPort `json:"port" protobuf:"bytes,4,opt,name=port"`
}

// RemoteEndpointStatus is what the controller reports about an endpoint.
type RemoteEndpointStatus struct {
	// Index of a network interface of the load balancer's proxy. It is stored but not used:
	// the load balancer's status has the current value.
	// +optional
	ProxyIfIndex int32 `json:"proxy-ifindex,omitempty" protobuf:"varint,1,opt,name=proxyIfindex"`

	// ID of a tunnel to the endpoint's node. It is stored but not used: the load balancer's
	// status has the current value.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,2,opt,name=tunnelId"`

	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,3,opt,name=observedGeneration"`

	// Conditions that the controller sets on the endpoint, one per type. An update that
	// omits this field keeps the existing conditions; an empty list removes them.
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
