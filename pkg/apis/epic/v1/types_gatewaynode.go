// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=gatewaynodes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNode is the report of one gateway node: its heartbeat, its health and the
// state of the tunnels that end on it. The node program creates the object and
// writes its status. The object may be deleted at any time: a node that is alive
// creates it again within a minute. The controller deletes the object of a node
// that stopped sending heartbeats, after an hour unless it is told otherwise.
type GatewayNode struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is epic. The name is the node's
	// address, with dashes in place of the colons of an IPv6 address.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// Which node the object is for.
	// +optional
	Spec GatewayNodeSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the node reports.
	// +optional
	Status GatewayNodeStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GatewayNodeSpec says which node the object is for.
type GatewayNodeSpec struct {
	// The address by which tunnels and interfaces of proxies name the node:
	// epic-address and epic-node-address have it. It can't be changed. Default:
	// the address in the object's name.
	// +optional
	Address string `json:"address,omitempty" protobuf:"bytes,1,opt,name=address"`
}

// GatewayNodeStatus is what a gateway node reports. A write of the status replaces
// everything but the conditions that it leaves out.
type GatewayNodeStatus struct {
	// The name of the node: that of its Node object, or of the host.
	// +optional
	NodeName string `json:"node-name,omitempty" protobuf:"bytes,1,opt,name=nodeName"`

	// The version of the node program.
	// +optional
	Version string `json:"version,omitempty" protobuf:"bytes,2,opt,name=version"`

	// When the node last wrote its status, by the server's clock. A node writes
	// about once a minute, and when something changes. After three minutes without
	// a write, the state of its tunnels is unknown.
	// +optional
	HeartbeatTime metav1.Time `json:"heartbeat-time,omitempty,omitzero" protobuf:"bytes,3,opt,name=heartbeatTime"`

	// How many tunnels end on the node.
	// +optional
	Tunnels int32 `json:"tunnels,omitempty" protobuf:"varint,4,opt,name=tunnels"`

	// How many of those are up: the far end answers.
	// +optional
	TunnelsUp int32 `json:"tunnels-up,omitempty" protobuf:"varint,5,opt,name=tunnelsUp"`

	// How many of those are down: the far end has never answered, or does not
	// answer anymore. The state of the others is not known yet.
	// +optional
	TunnelsDown int32 `json:"tunnels-down,omitempty" protobuf:"varint,6,opt,name=tunnelsDown"`

	// Which tunnels are up and which are down, in a form for programs. Absent on a
	// node whose program does not report it.
	// +optional
	TunnelStates *TunnelStates `json:"tunnel-states,omitempty" protobuf:"bytes,7,opt,name=tunnelStates"`

	// The first tunnels that are down, by ID, for people. At most 50.
	// +optional
	// +listType=atomic
	DownTunnels []DownTunnel `json:"down-tunnels,omitempty" protobuf:"bytes,8,rep,name=downTunnels"`

	// The generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,9,opt,name=observedGeneration"`

	// Conditions that the node sets, one for each type. A write that leaves
	// this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,10,rep,name=conditions"`

	// The node's sessions with BGP peers. At most 64.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	BGPPeers []BGPPeerStatus `json:"bgp-peers,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,11,rep,name=bgpPeers"`

	// How many routes of public addresses the node announces by BGP.
	// +optional
	AnnouncedRoutes int32 `json:"announced-routes,omitempty" protobuf:"varint,12,opt,name=announcedRoutes"`

	// For how many public addresses the node answers ARP and neighbor discovery.
	// +optional
	Layer2Addresses int32 `json:"layer2-addresses,omitempty" protobuf:"varint,13,opt,name=layer2Addresses"`
}

// TunnelStates is the state of a node's tunnels as two sets of tunnel IDs. The state
// of a tunnel that is in neither is unknown.
//
// A set is a sequence of ranges in ascending order. Each range is two unsigned
// varints, as in protobuf: the first ID of the range less the last one of the range
// before (or less 0), and the number of IDs in the range less 1.
type TunnelStates struct {
	// The tunnels whose far end answers.
	// +optional
	Up []byte `json:"up,omitempty" protobuf:"bytes,1,opt,name=up"`

	// The tunnels whose far end does not answer, or has never answered.
	// +optional
	Down []byte `json:"down,omitempty" protobuf:"bytes,2,opt,name=down"`
}

// DownTunnel is a tunnel that is down.
type DownTunnel struct {
	// The ID of the tunnel.
	TunnelID int32 `json:"tunnel-id" protobuf:"varint,1,opt,name=tunnelId"`

	// The address of the client node at the far end.
	// +optional
	TenantNode string `json:"tenant-node,omitempty" protobuf:"bytes,2,opt,name=tenantNode"`

	// When the far end last answered. Absent if it has not answered since the
	// node started.
	// +optional
	LastAnswer metav1.Time `json:"last-answer,omitempty,omitzero" protobuf:"bytes,3,opt,name=lastAnswer"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNodeList is a list of GatewayNode objects.
type GatewayNodeList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []GatewayNode `json:"items" protobuf:"bytes,2,rep,name=items"`
}
