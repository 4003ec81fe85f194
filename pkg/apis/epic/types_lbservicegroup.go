// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LBServiceGroup is a class of service that load balancers and gateway proxies select by
// name. It determines the pool from which they get an address and how their Envoys run. A
// group in an account's namespace belongs to that account; a group in the namespace epic is
// available to every account. Its label epic.acnodal.io/owning-serviceprefix names the
// pool.
type LBServiceGroup struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// How the group's proxies are made.
	Spec LBServiceGroupSpec

	// What the controller reports about the group.
	Status LBServiceGroupStatus
}

// LBServiceGroupSpec configures how a group's proxies run.
type LBServiceGroupSpec struct {
	// Whether one load balancer may serve several of the tenant's clusters
	// under one address.
	CanBeShared bool

	// The Envoy image of this group's proxies.
	EnvoyImage string

	// How many Envoy pods a load balancer or gateway proxy of this group runs,
	// unless it asks for another number itself.
	EnvoyReplicaCount *int32

	// The Envoy configuration of the group's proxies, in templates.
	EnvoyTemplate *EnvoyConfigSpec

	// The DNS record from which each proxy's own record is made.
	EndpointTemplate *DNSEndpoint

	// How the Envoys of the group's load balancers and gateway proxies treat clients and
	// endpoints.
	Edge *EdgeSpec

	// Which parts of edge a load balancer or gateway proxy of the group may set itself.
	EdgeOverrides []EdgePart
}

// LBServiceGroupStatus is what the controller reports about a group.
type LBServiceGroupStatus struct {
	// A counter for each proxy's configuration, by proxy name, in which an
	// endpoint server that this version does not run kept its place.
	ProxySnapshotVersions map[string]int32

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the group, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LBServiceGroupList is a list of LBServiceGroup objects.
type LBServiceGroupList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []LBServiceGroup
}
