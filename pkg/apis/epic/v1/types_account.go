// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=accounts
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Account is one tenant of the gateway. An account called NAME is the object
// NAME in the namespace epic-NAME, and that namespace holds everything that the
// tenant owns.
type Account struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is epic- followed by the name.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the platform team grants the tenant.
	// +optional
	Spec AccountSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the server reports about the tenant.
	// +optional
	Status AccountStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// AccountSpec is what the platform team grants a tenant.
type AccountSpec struct {
	// How many load balancers and gateway proxies, counted together, the account
	// may have. Zero allows none. Lowering it below the number in use takes
	// nothing away: it only stops new ones. Default: 20.
	// +optional
	// +default=20
	ProxyLimit *int32 `json:"proxyLimit,omitempty" protobuf:"varint,1,opt,name=proxyLimit"`

	// The numeric ID of this account, from 1 to 2147483647, unique in
	// the installation. The server assigns it when the account is created; it
	// never changes. Leave it out. An account that is created from a backup keeps
	// its number if no other has it.
	// +optional
	GroupID int32 `json:"group-id,omitempty" protobuf:"varint,2,opt,name=groupId"`

	// How many objects of this API the account's namespace may hold, of all kinds
	// together except the Account itself. It stops new objects only. Writers on
	// several servers at once may exceed it by a few. Default: the server's flag
	// --account-object-limit, which is 20000 unless set.
	// +optional
	ObjectLimit *int32 `json:"objectLimit,omitempty" protobuf:"varint,3,opt,name=objectLimit"`

	// How many bytes the objects that objectLimit counts may take in the
	// database. It stops writes that make an object larger, except those of the
	// system's own programs to a status. Default: the server's flag
	// --account-storage-limit-bytes, which is 134217728 (128 MiB) unless set.
	// +optional
	StorageLimitBytes *int64 `json:"storageLimitBytes,omitempty" protobuf:"varint,4,opt,name=storageLimitBytes"`
}

// AccountStatus is what the server reports about a tenant.
type AccountStatus struct {
	// The service ID that was assigned most recently in this account, from 1 to
	// 2147483647. Absent until the account's first load balancer exists. Set by
	// the server.
	// It is exact in the answer to a get or list without resourceVersion. A watch,
	// or a read from a cache, shows what it was when the object was last written:
	// assigning an ID does not write the object.
	// +optional
	CurrentServiceID int32 `json:"current-service-id,omitempty" protobuf:"varint,1,opt,name=currentServiceId"`

	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,2,opt,name=observedGeneration"`

	// Conditions that the controller sets on the account, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,opt,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AccountList is a list of Account objects.
type AccountList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []Account `json:"items" protobuf:"bytes,2,rep,name=items"`
}
