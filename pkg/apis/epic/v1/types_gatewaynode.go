// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +resourceName=gatewaynodes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNode is the report of one gateway node: its heartbeat, its health and the state of
// its tunnels. The node program creates the object and writes its status. The object may be
// deleted at any time: a running node creates it again within a minute. The controller
// deletes the object of a node that has stopped sending heartbeats, by default after an
// hour.
type GatewayNode struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is epic. The name is the node's
	// address, with dashes in place of the colons of an IPv6 address.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// Which node the object describes.
	// +optional
	Spec GatewayNodeSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// What the node reports.
	// +optional
	Status GatewayNodeStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GatewayNodeSpec names the node that the object describes.
type GatewayNodeSpec struct {
	// Address by which tunnels and proxy interfaces refer to the node, in epic-address and
	// epic-node-address. It can't be changed. Default: the address in the object's name.
	// +optional
	Address string `json:"address,omitempty" protobuf:"bytes,1,opt,name=address"`
}

// GatewayNodeStatus is what a gateway node reports. An update replaces the whole status,
// except that conditions it omits are kept.
type GatewayNodeStatus struct {
	// Name of the node: that of its Node object, or the hostname.
	// +optional
	NodeName string `json:"node-name,omitempty" protobuf:"bytes,1,opt,name=nodeName"`

	// Version of the node program.
	// +optional
	Version string `json:"version,omitempty" protobuf:"bytes,2,opt,name=version"`

	// When the node last wrote its status, by the server's clock. A node writes about once
	// a minute, and whenever something changes. After three minutes without a write, the
	// state of its tunnels is unknown.
	// +optional
	HeartbeatTime metav1.Time `json:"heartbeat-time,omitempty,omitzero" protobuf:"bytes,3,opt,name=heartbeatTime"`

	// Number of tunnels that end on the node.
	// +optional
	Tunnels int32 `json:"tunnels,omitempty" protobuf:"varint,4,opt,name=tunnels"`

	// Number of those tunnels that are up: the far end answers.
	// +optional
	TunnelsUp int32 `json:"tunnels-up,omitempty" protobuf:"varint,5,opt,name=tunnelsUp"`

	// Number of those tunnels that are down: the far end has never answered, or has stopped
	// answering. The state of the remaining tunnels is not known yet.
	// +optional
	TunnelsDown int32 `json:"tunnels-down,omitempty" protobuf:"varint,6,opt,name=tunnelsDown"`

	// Which tunnels are up and which are down, in a compact form for programs. Absent if
	// the node program does not report it.
	// +optional
	TunnelStates *TunnelStates `json:"tunnel-states,omitempty" protobuf:"bytes,7,opt,name=tunnelStates"`

	// The first 50 tunnels that are down, sorted by ID, for people.
	// +optional
	// +listType=atomic
	DownTunnels []DownTunnel `json:"down-tunnels,omitempty" protobuf:"bytes,8,rep,name=downTunnels"`

	// The generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,9,opt,name=observedGeneration"`

	// Conditions that the node sets, one per type. An update that omits this field keeps
	// the existing conditions; an empty list removes them.
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

	// Number of routes to public addresses that the node announces by BGP.
	// +optional
	AnnouncedRoutes int32 `json:"announced-routes,omitempty" protobuf:"varint,12,opt,name=announcedRoutes"`

	// Number of public addresses for which the node answers ARP and neighbor discovery.
	// +optional
	Layer2Addresses int32 `json:"layer2-addresses,omitempty" protobuf:"varint,13,opt,name=layer2Addresses"`
}

// TunnelStates is the state of a node's tunnels as two sets of tunnel IDs. The state of a
// tunnel in neither set is unknown.
//
// A set is a sequence of ranges in ascending order. Each range is two unsigned varints, as
// in protobuf: the first ID of the range minus the last ID of the previous range (or minus
// 0), and the number of IDs in the range minus 1.
type TunnelStates struct {
	// The tunnels whose far end answers.
	// +optional
	Up []byte `json:"up,omitempty" protobuf:"bytes,1,opt,name=up"`

	// The tunnels whose far end does not answer or has never answered.
	// +optional
	Down []byte `json:"down,omitempty" protobuf:"bytes,2,opt,name=down"`
}

// DownTunnel is a tunnel that is down.
type DownTunnel struct {
	// ID of the tunnel.
	TunnelID int32 `json:"tunnel-id" protobuf:"varint,1,opt,name=tunnelId"`

	// Address of the client node at the far end.
	// +optional
	TenantNode string `json:"tenant-node,omitempty" protobuf:"bytes,2,opt,name=tenantNode"`

	// When the far end last answered. Absent if it has not answered since the node program
	// started.
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
