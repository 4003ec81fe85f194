// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Account is one tenant of the gateway. The Account NAME is in the namespace epic-NAME,
// which holds everything that the tenant owns.
type Account struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// What the platform team grants the tenant.
	Spec AccountSpec

	// What the server reports about the tenant.
	Status AccountStatus
}

// AccountSpec is what the platform team grants a tenant.
type AccountSpec struct {
	// How many load balancers and gateway proxies, counted together, the
	// account may have.
	ProxyLimit *int32

	// The numeric ID of this account, from 1 to 2147483647, unique in the
	// installation.
	GroupID int32

	// How many objects the account's namespace may hold.
	ObjectLimit *int32

	// How many bytes these objects may take in the database.
	StorageLimitBytes *int64
}

// AccountStatus is what the server and the controller report about a tenant.
type AccountStatus struct {
	// The service ID that was assigned most recently in this account, from 1
	// to 2147483647.
	CurrentServiceID int32

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the account, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AccountList is a list of Account objects.
type AccountList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []Account
}
