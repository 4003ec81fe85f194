// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=Audit,verb=get,subresource=audit,result=github.com/acnodal/epic/pkg/apis/epic/v1.ClaimAudit
// +resourceName=epics
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EPIC is the configuration of one whole EPIC installation. There is exactly
// one: the object named epic in the namespace epic.
type EPIC struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name and the namespace are both epic.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the platform team sets for the installation. Every field has a
	// default or may be absent, so an empty spec is a complete one.
	// +optional
	Spec EPICSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the server and the controller report about the installation.
	// +optional
	Status EPICStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// EPICSpec is what the platform team sets for the installation.
type EPICSpec struct {
	// The image of a per-account endpoint server that this version does not
	// run. The value is accepted and kept, and nothing uses it.
	// Default: quay.io/epic-gateway/eds-server:latest.
	// +optional
	// +default="quay.io/epic-gateway/eds-server:latest"
	EDSImage string `json:"eds-image,omitempty" protobuf:"bytes,1,opt,name=edsImage"`

	// The Envoy image of every proxy whose service group does not name another.
	// When neither names one, the controller uses the image it was built for.
	// +optional
	EnvoyImage string `json:"envoy-image,omitempty" protobuf:"bytes,2,opt,name=envoyImage"`

	// The image of a per-account discovery server that this version does not
	// run. The value is accepted and kept, and nothing uses it.
	// +optional
	XDSImage string `json:"xds-image,omitempty" protobuf:"bytes,3,opt,name=xdsImage"`

	// The service addresses of the gateway cluster in CIDR form, several of
	// them separated by commas. Proxy pods reach these over the cluster's own
	// network rather than over their public interface.
	// +optional
	ServiceCIDR string `json:"service-cidr,omitempty" protobuf:"bytes,4,opt,name=serviceCidr"`

	// Settings of the gateway nodes.
	// +optional
	Base EPICNodeBase `json:"base,omitempty" protobuf:"bytes,5,opt,name=base"`

	// Addresses, in CIDR form, that proxies must not reach without a tunnel: the
	// server refuses tenants' endpoints that have one of them and no node. The
	// service addresses in service-cidr, the addresses and pod CIDRs of the
	// gateway cluster's Nodes, the pools of all service prefixes, and loopback,
	// link-local, multicast and cloud metadata addresses are refused without
	// being listed here. List the pod addresses of a network plugin that does not
	// record them in the Nodes, and other networks that gateway nodes can reach.
	// +optional
	// +listType=atomic
	DeniedEndpointCIDRs []string `json:"denied-endpoint-cidrs,omitempty" protobuf:"bytes,6,rep,name=deniedEndpointCidrs"`
}

// EPICNodeBase holds the settings that all gateway nodes share.
type EPICNodeBase struct {
	// The network interfaces of a gateway node that carry tunnel traffic. Each
	// of them gets the programs that wrap and unwrap packets; the first address
	// of the first one identifies the node. Default: enp1s0.
	// +optional
	// +listType=atomic
	GUEIngressNICs []string `json:"gue-ingress-nics,omitempty" protobuf:"bytes,1,opt,name=gueIngressNics"`

	// The tunnel endpoint from which new ones are made: a tunnel gets this port
	// unless it is given one of its own. An address or an ID here has no effect.
	// Default: UDP port 6080.
	// +optional
	GUEEndpoint GUETunnelEndpoint `json:"gue-endpoint,omitempty" protobuf:"bytes,2,opt,name=gueEndpoint"`

	// How nodes announce public addresses by BGP. Absent, they do not: a routing
	// daemon on the node can announce the kernel's routes of protocol 233 instead.
	// +optional
	BGP *BGP `json:"bgp,omitempty" protobuf:"bytes,3,opt,name=bgp"`

	// How nodes answer for public addresses on a network without BGP. Absent, they
	// do not. An empty object is enough to turn it on.
	// +optional
	Layer2 *Layer2 `json:"layer2,omitempty" protobuf:"bytes,4,opt,name=layer2"`
}

// EPICStatus is what the server and the controller report about the
// installation.
type EPICStatus struct {
	// The tunnel ID that was assigned most recently, from 1 to 2147483647.
	// Absent until the first tunnel exists. Set by the server; written by
	// nobody else.
	// It is exact in the answer to a get or list without resourceVersion. A watch,
	// or a read from a cache, shows what it was when the object was last written:
	// assigning an ID does not write the object.
	// +optional
	CurrentTunnelID int32 `json:"current-tunnel-id,omitempty" protobuf:"varint,1,opt,name=currentTunnelId"`

	// The group ID that was assigned most recently to an account, from 1 to
	// 2147483647. Absent until the first account exists. Set by the server.
	// It is exact in the answer to a get or list without resourceVersion. A watch,
	// or a read from a cache, shows what it was when the object was last written:
	// assigning an ID does not write the object.
	// +optional
	CurrentGroupID int32 `json:"current-group-id,omitempty" protobuf:"varint,2,opt,name=currentGroupId"`

	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,3,opt,name=observedGeneration"`

	// Conditions that the controller sets on the installation, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,4,opt,name=conditions"`

	// What gateway nodes of earlier releases report, by the node's address. Each
	// writes its own entry, about once a minute. Nodes of this release have a
	// GatewayNode object each, and the controller removes their entries here.
	// +optional
	Nodes map[string]EPICNodeStatus `json:"nodes,omitempty" protobuf:"bytes,5,rep,name=nodes"`

	// How many gateway nodes there are, as the controller last counted them: the
	// GatewayNode objects, and the entries of nodes. A write that leaves this out
	// keeps what is there.
	// +optional
	GatewayNodes *int32 `json:"gateway-nodes,omitempty" protobuf:"varint,6,opt,name=gatewayNodes"`
}

// EPICNodeStatus is the report of a gateway node.
type EPICNodeStatus struct {
	// The name of the node: that of its Node object, or of the host.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// The version of the node's program.
	// +optional
	Version string `json:"version,omitempty" protobuf:"bytes,2,opt,name=version"`

	// When the node wrote its entry last, by the server's clock. A node writes
	// its own time here; the server puts its own in place of any that is new.
	// +optional
	HeartbeatTime metav1.Time `json:"heartbeat-time,omitempty,omitzero" protobuf:"bytes,3,opt,name=heartbeatTime"`

	// How many tunnels end on the node.
	// +optional
	Tunnels int32 `json:"tunnels,omitempty" protobuf:"varint,4,opt,name=tunnels"`

	// How many of those have a far end that answers.
	// +optional
	TunnelsUp int32 `json:"tunnels-up,omitempty" protobuf:"varint,5,opt,name=tunnelsUp"`

	// Conditions that the node sets, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
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
