// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RemoteEndpoint is one address and port in a client cluster to which a load balancer sends
// requests, usually a pod. Its label epic.acnodal.io/owning-loadbalancer names the load
// balancer.
type RemoteEndpoint struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// Where the endpoint is.
	Spec RemoteEndpointSpec

	// What the controller reports about the endpoint.
	Status RemoteEndpointStatus
}

// RemoteEndpointSpec describes where an endpoint is.
type RemoteEndpointSpec struct {
	// The ID of the tenant's cluster in which the endpoint runs.
	Cluster string

	// The IP address of the endpoint.
	Address string

	// The IP address of the node on which the endpoint runs: the far end of the
	// tunnel.
	NodeAddress string

	// The port of the endpoint.
	Port EndpointPort
}

// RemoteEndpointStatus is what the controller reports about an endpoint.
type RemoteEndpointStatus struct {
	// The index of a network interface of the load balancer's proxy.
	ProxyIfIndex int32

	// The ID of a tunnel to the endpoint's node.
	TunnelID int32

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the endpoint, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RemoteEndpointList is a list of RemoteEndpoint objects.
type RemoteEndpointList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []RemoteEndpoint
}
