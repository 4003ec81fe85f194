// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=lbservicegroups
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LBServiceGroup is a class of service that an account's load balancers and
// gateway proxies choose by name: it determines from which pool they get an address
// and how their Envoy is run. In an account's namespace it belongs to that
// account; in the namespace epic it is offered to every account. Its label
// epic.acnodal.io/owning-serviceprefix names the pool.
type LBServiceGroup struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// How the group's proxies are made.
	// +optional
	Spec LBServiceGroupSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller reports about the group.
	// +optional
	Status LBServiceGroupStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// LBServiceGroupSpec says how a group's proxies are made.
type LBServiceGroupSpec struct {
	// Whether one load balancer may serve several of the tenant's clusters under
	// one address. When false, each service gets a load balancer of its own.
	// Default: false.
	// +optional
	// +default=false
	CanBeShared bool `json:"can-be-shared" protobuf:"varint,1,opt,name=canBeShared"`

	// The Envoy image of this group's proxies. When absent, the image that the
	// EPIC object names.
	// +optional
	EnvoyImage string `json:"envoy-image,omitempty" protobuf:"bytes,2,opt,name=envoyImage"`

	// How many Envoy pods a load balancer or gateway proxy of this group runs,
	// unless it asks for another number itself. Default: 1.
	// +optional
	// +default=1
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,3,opt,name=envoyReplicaCount"`

	// The Envoy configuration of the group's proxies, in templates. It is copied
	// into each load balancer and gateway proxy that brings none. When there is
	// none here either, the controller writes the configuration by itself.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,4,opt,name=envoyTemplate"`

	// The DNS record from which each proxy's own record is made. The name is a
	// Go template. Two accounts can't have the same DNS name, so the name of a
	// group that is offered to every account should contain {{.Account}}. Default
	// of a new group: the name
	// {{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.client.acnodal.io, type A,
	// with a time to live of 180 seconds. An update that leaves it out keeps it.
	// +optional
	EndpointTemplate *DNSEndpoint `json:"endpoint-template,omitempty" protobuf:"bytes,5,opt,name=endpointTemplate"`

	// How the Envoys of the group's load balancers and gateway proxies treat clients and
	// endpoints. A change holds for those that exist as well.
	// +optional
	Edge *EdgeSpec `json:"edge,omitempty" protobuf:"bytes,6,opt,name=edge"`

	// Which parts of edge a load balancer or gateway proxy of the group may set itself.
	// Limits need not be listed: each may lower its own. When absent, none.
	// +optional
	// +listType=set
	// +patchStrategy=merge
	EdgeOverrides []EdgePart `json:"edge-overrides,omitempty" patchStrategy:"merge" protobuf:"bytes,7,rep,name=edgeOverrides,casttype=EdgePart"`
}

// LBServiceGroupStatus is what the controller reports about a group.
type LBServiceGroupStatus struct {
	// A counter for each proxy's configuration, by proxy name, in which an
	// endpoint server that this version does not run kept its place. It is
	// accepted and kept, and nothing uses it. Default: an empty map.
	// +optional
	ProxySnapshotVersions map[string]int32 `json:"proxy-snapshot-versions" protobuf:"bytes,1,opt,name=proxySnapshotVersions"`

	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,2,opt,name=observedGeneration"`

	// Conditions that the controller sets on the group, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,opt,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LBServiceGroupList is a list of LBServiceGroup objects.
type LBServiceGroupList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []LBServiceGroup `json:"items" protobuf:"bytes,2,rep,name=items"`
}
