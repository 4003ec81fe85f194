// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=Audit,verb=get,subresource=audit,result=github.com/acnodal/epic/pkg/apis/epic/v1.ClaimAudit
// +resourceName=epics
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EPIC is the configuration of an EPIC installation. There is exactly one: the object epic
// in the namespace epic.
type EPIC struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name and the namespace are both epic.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the platform team configures for the installation. Every field is optional, so
	// an empty spec is valid.
	// +optional
	Spec EPICSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the server and the controller report about the installation.
	// +optional
	Status EPICStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// EPICSpec is what the platform team configures for the installation.
type EPICSpec struct {
	// Image of a per-account endpoint server that this version does not run. The value is
	// stored but not used. Default: quay.io/epic-gateway/eds-server:latest.
	// +optional
	// +default="quay.io/epic-gateway/eds-server:latest"
	EDSImage string `json:"eds-image,omitempty" protobuf:"bytes,1,opt,name=edsImage"`

	// Envoy image of every proxy whose service group does not set one. Default: the image
	// in the operator's flag --envoy-image.
	// +optional
	EnvoyImage string `json:"envoy-image,omitempty" protobuf:"bytes,2,opt,name=envoyImage"`

	// Image of a per-account discovery server that this version does not run. The value is
	// stored but not used.
	// +optional
	XDSImage string `json:"xds-image,omitempty" protobuf:"bytes,3,opt,name=xdsImage"`

	// Service CIDRs of the gateway cluster, separated by commas. Proxy pods reach these
	// addresses through the cluster's network, not through their public interface.
	// +optional
	ServiceCIDR string `json:"service-cidr,omitempty" protobuf:"bytes,4,opt,name=serviceCidr"`

	// Settings of the gateway nodes.
	// +optional
	Base EPICNodeBase `json:"base,omitempty" protobuf:"bytes,5,opt,name=base"`

	// CIDRs that proxies must not reach without a tunnel. The server refuses an endpoint
	// that has one of these addresses and no node. It always refuses the service CIDRs in
	// service-cidr, the addresses and pod CIDRs of the gateway cluster's Nodes, the pools
	// of all service prefixes, and loopback, link-local, multicast and cloud metadata
	// addresses. List here the pod CIDRs of a network plugin that does not record them in
	// the Nodes, and other networks that gateway nodes can reach.
	// +optional
	// +listType=atomic
	DeniedEndpointCIDRs []string `json:"denied-endpoint-cidrs,omitempty" protobuf:"bytes,6,rep,name=deniedEndpointCidrs"`
}

// EPICNodeBase holds the settings that all gateway nodes share.
type EPICNodeBase struct {
	// Network interfaces of a gateway node that carry tunnel traffic. EPIC attaches its
	// encapsulation and decapsulation programs to each of them. The first address of the
	// first interface identifies the node. Default: enp1s0.
	// +optional
	// +listType=atomic
	GUEIngressNICs []string `json:"gue-ingress-nics,omitempty" protobuf:"bytes,1,opt,name=gueIngressNics"`

	// Template of new tunnel endpoints: a tunnel gets this port unless its own port is set.
	// An address or an ID here has no effect. Default: UDP port 6080.
	// +optional
	GUEEndpoint GUETunnelEndpoint `json:"gue-endpoint,omitempty" protobuf:"bytes,2,opt,name=gueEndpoint"`

	// How nodes announce public addresses by BGP. If absent, they do not; a routing daemon
	// on the node can announce the kernel routes of protocol 233 instead.
	// +optional
	BGP *BGP `json:"bgp,omitempty" protobuf:"bytes,3,opt,name=bgp"`

	// How nodes answer for public addresses on a network without BGP. If absent, they do
	// not. An empty object turns it on.
	// +optional
	Layer2 *Layer2 `json:"layer2,omitempty" protobuf:"bytes,4,opt,name=layer2"`
}

// EPICStatus is what the server and the controller report about the
// installation.
type EPICStatus struct {
	// The tunnel ID that was assigned most recently, from 1 to 2147483647. Set by the
	// server. Absent until the first tunnel exists. A get or list without a resourceVersion
	// returns the current value. A watch, or a read from a cache, returns the value as of
	// the object's last write, because assigning an ID does not write the object.
	// +optional
	CurrentTunnelID int32 `json:"current-tunnel-id,omitempty" protobuf:"varint,1,opt,name=currentTunnelId"`

	// The group ID that was assigned most recently to an account, from 1 to 2147483647. Set
	// by the server. Absent until the first account exists. A get or list without a
	// resourceVersion returns the current value. A watch, or a read from a cache, returns
	// the value as of the object's last write, because assigning an ID does not write the
	// object.
	// +optional
	CurrentGroupID int32 `json:"current-group-id,omitempty" protobuf:"varint,2,opt,name=currentGroupId"`

	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,3,opt,name=observedGeneration"`

	// Conditions that the controller sets on the installation, one per type. An update that
	// omits this field keeps the existing conditions; an empty list removes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,4,opt,name=conditions"`

	// Reports of gateway nodes of earlier releases, by the node's address. Each node
	// updates its own entry about once a minute. Nodes of this release have a GatewayNode
	// object instead, and the controller removes their entries here.
	// +optional
	Nodes map[string]EPICNodeStatus `json:"nodes,omitempty" protobuf:"bytes,5,rep,name=nodes"`

	// Number of gateway nodes when the controller last counted them: the GatewayNode
	// objects and the entries of nodes. An update that omits this field keeps its value.
	// +optional
	GatewayNodes *int32 `json:"gateway-nodes,omitempty" protobuf:"varint,6,opt,name=gatewayNodes"`
}

// EPICNodeStatus is the report of a gateway node of an earlier release.
type EPICNodeStatus struct {
	// Name of the node: that of its Node object, or the hostname.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// Version of the node program.
	// +optional
	Version string `json:"version,omitempty" protobuf:"bytes,2,opt,name=version"`

	// When the node last updated its entry, by the server's clock. A node sends its own
	// time; the server replaces every new value with the server's time.
	// +optional
	HeartbeatTime metav1.Time `json:"heartbeat-time,omitempty,omitzero" protobuf:"bytes,3,opt,name=heartbeatTime"`

	// Number of tunnels that end on the node.
	// +optional
	Tunnels int32 `json:"tunnels,omitempty" protobuf:"varint,4,opt,name=tunnels"`

	// Number of those tunnels whose far end answers.
	// +optional
	TunnelsUp int32 `json:"tunnels-up,omitempty" protobuf:"varint,5,opt,name=tunnelsUp"`

	// Conditions that the node sets, one per type. An update that omits this field keeps
	// the existing conditions; an empty list removes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,6,rep,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EPICList is a list of EPIC objects.
type EPICList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []EPIC `json:"items" protobuf:"bytes,2,rep,name=items"`
}
