// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=accounts
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Account is one tenant of the gateway. The Account NAME is in the namespace epic-NAME,
// which holds everything that the tenant owns.
type Account struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace must be epic- followed by the name.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the platform team grants the tenant.
	// +optional
	Spec AccountSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the server and the controller report about the tenant.
	// +optional
	Status AccountStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// AccountSpec is what the platform team grants a tenant.
type AccountSpec struct {
	// Maximum number of load balancers and gateway proxies, counted together, that the
	// account may have. Zero allows none. If it is lowered below the number in use,
	// existing proxies stay and new ones are refused. Default: 20.
	// +optional
	// +default=20
	ProxyLimit *int32 `json:"proxyLimit,omitempty" protobuf:"varint,1,opt,name=proxyLimit"`

	// Numeric ID of this account, from 1 to 2147483647, unique in the installation. Leave
	// it out: the server assigns it when the account is created, and it never changes. An
	// account that is created from a backup keeps its ID unless another account has it.
	// +optional
	GroupID int32 `json:"group-id,omitempty" protobuf:"varint,2,opt,name=groupId"`

	// Maximum number of objects of this API in the account's namespace, all kinds together
	// except the Account itself. The limit applies when objects are created; existing
	// objects stay. Concurrent writes through several servers may exceed it by a few
	// objects. Default: the server's flag --account-object-limit, which is 20000 unless
	// set.
	// +optional
	ObjectLimit *int32 `json:"objectLimit,omitempty" protobuf:"varint,3,opt,name=objectLimit"`

	// Maximum number of bytes that the objects counted by objectLimit may occupy in the
	// database. Writes that make an object larger are refused above the limit, except
	// status updates by EPIC's own programs. Default: the server's flag
	// --account-storage-limit-bytes, which is 134217728 (128 MiB) unless set.
	// +optional
	StorageLimitBytes *int64 `json:"storageLimitBytes,omitempty" protobuf:"varint,4,opt,name=storageLimitBytes"`
}

// AccountStatus is what the server and the controller report about a tenant.
type AccountStatus struct {
	// The service ID that was assigned most recently in this account, from 1 to 2147483647.
	// Set by the server. Absent until the account's first load balancer exists. A get or
	// list without a resourceVersion returns the current value. A watch, or a read from a
	// cache, returns the value as of the object's last write, because assigning an ID does
	// not write the object.
	// +optional
	CurrentServiceID int32 `json:"current-service-id,omitempty" protobuf:"varint,1,opt,name=currentServiceId"`

	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,2,opt,name=observedGeneration"`

	// Conditions that the controller sets on the account, one per type. An update that
	// omits this field keeps the existing conditions; an empty list removes them.
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
