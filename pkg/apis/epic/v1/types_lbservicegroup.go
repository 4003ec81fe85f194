// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=lbservicegroups
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LBServiceGroup is a class of service that load balancers and gateway proxies select by
// name. It determines the pool from which they get an address and how their Envoys run. A
// group in an account's namespace belongs to that account; a group in the namespace epic is
// available to every account. Its label epic.acnodal.io/owning-serviceprefix names the
// pool.
type LBServiceGroup struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// How the group's proxies run.
	// +optional
	Spec LBServiceGroupSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the controller reports about the group.
	// +optional
	Status LBServiceGroupStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// LBServiceGroupSpec configures how a group's proxies run.
type LBServiceGroupSpec struct {
	// Whether one load balancer may serve several of the tenant's clusters on one address.
	// If false, each service gets its own load balancer. Default: false.
	// +optional
	// +default=false
	CanBeShared bool `json:"can-be-shared" protobuf:"varint,1,opt,name=canBeShared"`

	// Envoy image of this group's proxies. Default: the image that the EPIC object sets.
	// +optional
	EnvoyImage string `json:"envoy-image,omitempty" protobuf:"bytes,2,opt,name=envoyImage"`

	// Number of Envoy pods for each load balancer or gateway proxy of this group that does
	// not set a number of its own. Default: 1.
	// +optional
	// +default=1
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,3,opt,name=envoyReplicaCount"`

	// Envoy configuration of the group's proxies, in templates. It is copied into each load
	// balancer and gateway proxy that has none of its own. Without a template, the operator
	// generates the configuration.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,4,opt,name=envoyTemplate"`

	// Template of each proxy's DNS record. The name is a Go template. Two accounts can't
	// have the same DNS name, so the name in a group that is available to every account
	// should contain {{.Account}}. Default for a new group: the name
	// {{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.client.acnodal.io, type A, with a
	// time to live of 180 seconds. An update that omits this field keeps its value.
	// +optional
	EndpointTemplate *DNSEndpoint `json:"endpoint-template,omitempty" protobuf:"bytes,5,opt,name=endpointTemplate"`

	// How the Envoys of the group's load balancers and gateway proxies treat clients and
	// endpoints. Changes also apply to existing ones.
	// +optional
	Edge *EdgeSpec `json:"edge,omitempty" protobuf:"bytes,6,opt,name=edge"`

	// Parts of edge that the group's load balancers and gateway proxies may set themselves.
	// Limits do not need to be listed: each of them can lower its own. Default: none.
	// +optional
	// +listType=set
	// +patchStrategy=merge
	EdgeOverrides []EdgePart `json:"edge-overrides,omitempty" patchStrategy:"merge" protobuf:"bytes,7,rep,name=edgeOverrides,casttype=EdgePart"`
}

// LBServiceGroupStatus is what the controller reports about a group.
type LBServiceGroupStatus struct {
	// A counter for each proxy's configuration, by proxy name, that an endpoint server used
	// which this version does not run. It is stored but not used. Default: an empty map.
	// +optional
	ProxySnapshotVersions map[string]int32 `json:"proxy-snapshot-versions" protobuf:"bytes,1,opt,name=proxySnapshotVersions"`

	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,2,opt,name=observedGeneration"`

	// Conditions that the controller sets on the group, one per type. An update that omits
	// this field keeps the existing conditions; an empty list removes them.
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
