// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GatewayNode is the report of one gateway node: its heartbeat, its health and the state of
// its tunnels. The node program creates the object and writes its status. The object may be
// deleted at any time: a running node creates it again within a minute. The controller
// deletes the object of a node that has stopped sending heartbeats, by default after an
// hour.
type GatewayNode struct {
	metav1.TypeMeta
	// Standard object metadata. The namespace is epic. The name is the node's
	// address, with dashes in place of the colons of an IPv6 address.
	metav1.ObjectMeta

	// Which node the object describes.
	Spec GatewayNodeSpec

	// What the node reports.
	Status GatewayNodeStatus
}

// GatewayNodeSpec names the node that the object describes.
type GatewayNodeSpec struct {
	// Address by which tunnels and proxy interfaces refer to the node, in epic-address and
	// epic-node-address. It can't be changed. Default: the address in the object's name.
	Address string
}

// GatewayNodeStatus is what a gateway node reports. An update replaces the whole status,
// except that conditions it omits are kept.
type GatewayNodeStatus struct {
	// Name of the node: that of its Node object, or the hostname.
	NodeName string

	// Version of the node program.
	Version string

	// When the node last wrote its status, by the server's clock. A node writes about once
	// a minute, and whenever something changes. After three minutes without a write, the
	// state of its tunnels is unknown.
	HeartbeatTime metav1.Time

	// Number of tunnels that end on the node.
	Tunnels int32

	// Number of those tunnels that are up: the far end answers.
	TunnelsUp int32

	// Number of those tunnels that are down: the far end has never answered, or has stopped
	// answering. The state of the remaining tunnels is not known yet.
	TunnelsDown int32

	// Which tunnels are up and which are down, in a compact form for programs. Absent if
	// the node program does not report it.
	TunnelStates *TunnelStates

	// The first 50 tunnels that are down, sorted by ID, for people.
	DownTunnels []DownTunnel

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the node sets, one per type. An update that omits this field keeps
	// the existing conditions; an empty list removes them.
	Conditions []metav1.Condition

	// The node's sessions with BGP peers. At most 64.
	BGPPeers []BGPPeerStatus

	// Number of routes to public addresses that the node announces by BGP.
	AnnouncedRoutes int32

	// Number of public addresses for which the node answers ARP and neighbor discovery.
	Layer2Addresses int32
}

// TunnelStates is the state of a node's tunnels as two sets of tunnel IDs. The state of a
// tunnel in neither set is unknown.
//
// A set is a sequence of ranges in ascending order. Each range is two unsigned varints, as
// in protobuf: the first ID of the range minus the last ID of the previous range (or minus
// 0), and the number of IDs in the range minus 1.
type TunnelStates struct {
	// The tunnels whose far end answers.
	Up []byte

	// The tunnels whose far end does not answer or has never answered.
	Down []byte
}

// DownTunnel is a tunnel that is down.
type DownTunnel struct {
	// ID of the tunnel.
	TunnelID int32

	// Address of the client node at the far end.
	TenantNode string

	// When the far end last answered. Absent if it has not answered since the node program
	// started.
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
