// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServicePrefix is a pool of public addresses for the proxies of service groups. It must be
// in the namespace epic.
type ServicePrefix struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// The addresses in the pool.
	Spec ServicePrefixSpec

	// What the server and the controller report about the pool.
	Status ServicePrefixStatus
}

// ServicePrefixSpec describes the addresses in a pool.
type ServicePrefixSpec struct {
	// The addresses from which each proxy gets its public address.
	PublicPool *AddressPool

	// A second pool, of IPv4 addresses, for proxies whose public address is an
	// IPv6 one: each gateway proxy gets an address from both.
	AltPool *AddressPool
}

// AddressPool is a range of addresses and how gateway nodes announce them.
type AddressPool struct {
	// The addresses that may be assigned: a CIDR such as 192.0.2.0/28, or a
	// first and a last address with a dash between, such as
	// 192.0.2.5-192.0.2.9.
	Pool string

	// The subnet in which the addresses lie, in CIDR form.
	Subnet string

	// The mask that is announced for an assigned address: a slash and a number
	// of bits, such as /32, or the word default for the subnet's own.
	Aggregation string

	// The name of the bridge on each gateway node to which the public
	// interfaces of this pool's proxies are attached.
	MultusBridge string
}

// ServicePrefixStatus is what the server and the controller report about a
// pool.
type ServicePrefixStatus struct {
	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the pool, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServicePrefixList is a list of ServicePrefix objects.
type ServicePrefixList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []ServicePrefix
}
