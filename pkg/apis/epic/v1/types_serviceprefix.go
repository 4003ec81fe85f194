// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=serviceprefixes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServicePrefix is a pool of public addresses that service groups hand out to
// their proxies. It lives in the namespace epic.
type ServicePrefix struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is epic.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The addresses in the pool.
	// +optional
	Spec ServicePrefixSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the server and the controller report about the pool.
	// +optional
	Status ServicePrefixStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ServicePrefixSpec is the addresses in a pool.
type ServicePrefixSpec struct {
	// The addresses from which each proxy gets its public address.
	// +optional
	PublicPool *AddressPool `json:"public-pool,omitempty" protobuf:"bytes,1,opt,name=publicPool"`

	// A second pool, of IPv4 addresses, for proxies whose public address is an
	// IPv6 one: each gateway proxy gets an address from both.
	// +optional
	AltPool *AddressPool `json:"alt-pool,omitempty" protobuf:"bytes,2,opt,name=altPool"`
}

// AddressPool is a run of addresses and how the gateway nodes announce them.
type AddressPool struct {
	// The addresses that may be assigned: a CIDR such as 192.0.2.0/28, or a
	// first and a last address with a dash between, such as
	// 192.0.2.5-192.0.2.9. IPv4 or IPv6. Every address lies in the subnet, and
	// in no other pool. Of a CIDR, the network and broadcast addresses of the subnet
	// and its IPv6 subnet-router anycast address are assigned only to an object that
	// asks for them. A range, and a CIDR of one or two addresses, are taken as given.
	Pool string `json:"pool" protobuf:"bytes,1,opt,name=pool"`

	// The subnet in which the addresses lie, in CIDR form.
	Subnet string `json:"subnet" protobuf:"bytes,2,opt,name=subnet"`

	// The mask that is announced for an assigned address: a slash and a number
	// of bits, such as /32, or the word default for the subnet's own. It is not
	// wider than the subnet.
	Aggregation string `json:"aggregation" protobuf:"bytes,3,opt,name=aggregation"`

	// The name of the bridge on each gateway node to which the public
	// interfaces of this pool's proxies are attached. Default: multus0.
	// +optional
	// +default="multus0"
	MultusBridge string `json:"multus-bridge,omitempty" protobuf:"bytes,4,opt,name=multusBridge"`
}

// ServicePrefixStatus is what the server and the controller report about a
// pool.
type ServicePrefixStatus struct {
	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Conditions that the controller sets on the pool, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,2,rep,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServicePrefixList is a list of ServicePrefix objects.
type ServicePrefixList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []ServicePrefix `json:"items" protobuf:"bytes,2,rep,name=items"`
}
