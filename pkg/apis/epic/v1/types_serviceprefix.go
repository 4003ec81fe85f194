// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=serviceprefixes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServicePrefix is a pool of public addresses for the proxies of service groups. It must be
// in the namespace epic.
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

// ServicePrefixSpec describes the addresses in a pool.
type ServicePrefixSpec struct {
	// The addresses from which each proxy gets its public address.
	// +optional
	PublicPool *AddressPool `json:"public-pool,omitempty" protobuf:"bytes,1,opt,name=publicPool"`

	// A second pool, of IPv4 addresses, for proxies whose public address is an IPv6
	// address: each gateway proxy gets an address from both pools.
	// +optional
	AltPool *AddressPool `json:"alt-pool,omitempty" protobuf:"bytes,2,opt,name=altPool"`
}

// AddressPool is a range of addresses and how gateway nodes announce them.
type AddressPool struct {
	// Addresses that may be assigned: a CIDR such as 192.0.2.0/28, or a first and a last
	// address separated by a dash, such as 192.0.2.5-192.0.2.9. IPv4 or IPv6. Every address
	// must be in the subnet and in no other pool. If the pool is a CIDR, the subnet's
	// network and broadcast addresses and its IPv6 subnet-router anycast address are
	// assigned only to an object that requests them. In a range, or a CIDR of one or two
	// addresses, every address is assigned.
	Pool string `json:"pool" protobuf:"bytes,1,opt,name=pool"`

	// Subnet that contains the addresses, in CIDR form.
	Subnet string `json:"subnet" protobuf:"bytes,2,opt,name=subnet"`

	// Mask with which an assigned address is announced: a slash and a number of bits, such
	// as /32, or the word default for the subnet's mask. It can't be wider than the subnet.
	Aggregation string `json:"aggregation" protobuf:"bytes,3,opt,name=aggregation"`

	// Name of the bridge on each gateway node to which the public interfaces of this pool's
	// proxies are attached. Default: multus0.
	// +optional
	// +default="multus0"
	MultusBridge string `json:"multus-bridge,omitempty" protobuf:"bytes,4,opt,name=multusBridge"`
}

// ServicePrefixStatus is what the server and the controller report about a
// pool.
type ServicePrefixStatus struct {
	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Conditions that the controller sets on the pool, one per type. An update that omits
	// this field keeps the existing conditions; an empty list removes them.
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
