// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNode is the report of one gateway node: its heartbeat, its health and the
// state of the tunnels that end on it. The node program creates the object and
// writes its status. The object may be deleted at any time: a node that is alive
// creates it again within a minute. The controller deletes the object of a node
// that stopped sending heartbeats, by default after an hour.
type GatewayNode struct {
	metav1.TypeMeta
	// Standard object metadata. The namespace is epic. The name is the node's
	// address, with dashes in place of the colons of an IPv6 address.
	metav1.ObjectMeta

	// Which node the object is for.
	Spec GatewayNodeSpec

	// What the node reports.
	Status GatewayNodeStatus
}

// GatewayNodeSpec specifies which node the object is for.
type GatewayNodeSpec struct {
	// The address by which tunnels and interfaces of proxies name the node:
	// epic-address and epic-node-address have it. It can't be changed. Default:
	// the address in the object's name.
	Address string
}

// GatewayNodeStatus is what a gateway node reports. A write of the status replaces
// everything but the conditions that it leaves out.
type GatewayNodeStatus struct {
	// The name of the node: that of its Node object, or of the host.
	NodeName string

	// The version of the node program.
	Version string

	// When the node last wrote its status, by the server's clock. A node writes
	// about once a minute, and when something changes. After three minutes without
	// a write, the state of its tunnels is unknown.
	HeartbeatTime metav1.Time

	// How many tunnels end on the node.
	Tunnels int32

	// How many of those are up: the far end answers.
	TunnelsUp int32

	// How many of those are down: the far end has never answered, or no longer
	// answers. The state of the others is not known yet.
	TunnelsDown int32

	// Which tunnels are up and which are down, in a form for programs. Absent on a
	// node whose program does not report it.
	TunnelStates *TunnelStates

	// The first tunnels that are down, by ID, for people. At most 50.
	DownTunnels []DownTunnel

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the node sets, one for each type. A write that leaves this
	// out keeps what is there; an empty list removes it.
	Conditions []metav1.Condition

	// The node's sessions with BGP peers. At most 64.
	BGPPeers []BGPPeerStatus

	// How many routes of public addresses the node announces by BGP.
	AnnouncedRoutes int32

	// For how many public addresses the node answers ARP and neighbor discovery.
	Layer2Addresses int32
}

// TunnelStates is the state of a node's tunnels as two sets of tunnel IDs. The state
// of a tunnel that is in neither is unknown.
//
// A set is a sequence of ranges in ascending order. Each range is two unsigned
// varints, as in protobuf: the first ID of the range less the last one of the range
// before (or less 0), and the number of IDs in the range less 1.
type TunnelStates struct {
	// The tunnels whose far end answers.
	Up []byte

	// The tunnels whose far end does not answer, or has never answered.
	Down []byte
}

// DownTunnel is a tunnel that is down.
type DownTunnel struct {
	// The ID of the tunnel.
	TunnelID int32

	// The address of the client node at the far end.
	TenantNode string

	// When the far end last answered. Absent if it has not answered since the
	// node started.
	LastAnswer metav1.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNodeList is a list of GatewayNode objects.
type GatewayNodeList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []GatewayNode
}
