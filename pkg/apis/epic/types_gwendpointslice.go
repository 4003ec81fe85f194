// SPDX-License-Identifier: Apache-2.0

package epic

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWEndpointSlice is one EndpointSlice of a client cluster: endpoints to which the routes
// of the account's gateway proxies may send requests.
type GWEndpointSlice struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// The slice, as the tenant's cluster has it.
	Spec GWEndpointSliceSpec

	// What the controller reports about the slice.
	Status GWEndpointSliceStatus
}

// GWEndpointSliceSpec is an EndpointSlice copied from the client cluster, together with the
// addresses of the cluster's nodes.
type GWEndpointSliceSpec struct {
	// The EndpointSlice in the tenant's cluster that this object stands for.
	ClientRef ClientRef

	// The Service in the tenant's cluster to which the slice belongs.
	ParentRef ClientRef

	// The IP address of each node that the endpoints name, by node name: the
	// tenant's ends of the tunnels.
	NodeAddresses map[string]string

	// The API version of the tenant's EndpointSlice, as clients send it along.
	APIVersion string

	// The kind of the tenant's EndpointSlice, as clients send it along.
	Kind string

	// The metadata of the tenant's EndpointSlice.
	Metadata *DroppedMetadata

	// What the addresses of the endpoints are: IPv4, IPv6 or FQDN.
	AddressType discoveryv1.AddressType

	// The endpoints.
	Endpoints []discoveryv1.Endpoint

	// The ports on which each endpoint listens.
	Ports []discoveryv1.EndpointPort
}

// GWEndpointSliceStatus is what the controller reports about a slice.
type GWEndpointSliceStatus struct {
	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the slice, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWEndpointSliceList is a list of GWEndpointSlice objects.
type GWEndpointSliceList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []GWEndpointSlice
}
