// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGP configures how gateway nodes announce public addresses by BGP. A node announces the
// route of an address, or the aggregate configured for the address's pool, while a proxy of
// that address is ready on the node. It withdraws the route before the proxy drains. A node
// imports no routes, and announces only addresses that belong to a pool.
type BGP struct {
	// Autonomous system number of the gateway nodes, from 1 to 4294967295.
	ASN int64

	// Port on which nodes accept connections from their peers. If absent, nodes accept none
	// and always open the connection themselves, which works with every peer that accepts
	// connections. Set it to 179 for peers that do not.
	ListenPort int32

	// Communities to attach to every route: two numbers such as 64512:100, three numbers
	// for a large community such as 64512:1:100, or one of no-export, no-advertise and
	// graceful-shutdown.
	Communities []string

	// Number of seconds for which peers keep a node's routes after its program ends without
	// closing its sessions, for example during an upgrade. Packets are forwarded while the
	// program is not running. 0 disables graceful restart, so peers drop the routes at
	// once. From 0 to 4095. Default: 120.
	GracefulRestartSeconds *int32

	// The routers to which nodes announce routes. Without peers, nothing is announced by
	// BGP.
	Peers []BGPPeer
}

// BGPPeer is a router to which gateway nodes announce routes. A session carries the address
// family of the peer's address. For a router that needs both families, configure two peers:
// one with its IPv4 address and one with its IPv6 address.
type BGPPeer struct {
	// Name of the peer, unique among the peers. It must be a DNS label.
	Name string

	// Address of the peer, IPv4 or IPv6, without a zone.
	Address string

	// Autonomous system number of the peer, from 1 to 4294967295. If it equals the nodes'
	// own number, the peer is internal (iBGP).
	ASN int64

	// Port on which the peer accepts connections. Default: 179.
	Port int32

	// Selects the gateway nodes that have a session with this peer, by the labels of their
	// Node objects. A node outside Kubernetes has the labels that its program was started
	// with. Every node has the label kubernetes.io/hostname. If absent or empty, every node
	// has a session.
	NodeSelector *metav1.LabelSelector

	// Name of the session's password (TCP MD5, RFC 2385): a key of the Secret
	// epic-bgp-passwords in the node program's namespace, or a file in the program's
	// password directory. EPIC objects never contain the password itself. The session stays
	// down until the node can read the password. If absent, the session has no password.
	PasswordName string

	// Number of seconds without a message after which the session ends, from 3 to 65535.
	// The peer may ask for less. Default: 90.
	HoldTimeSeconds int32

	// Time to live of packets to a peer that is more than one hop away, from 2 to 255. If
	// absent, an external peer must be on a network to which the node is directly attached.
	// An internal peer needs it only for BFD over several hops.
	MultihopTTL int32

	// Whether to send the session's packets with a time to live of 255 and drop received
	// packets with a lower one, so only a directly connected router can reach the session
	// (GTSM, RFC 5082). The peer must be configured the same way. Can't be combined with
	// multihop-ttl.
	TTLSecurity bool

	// Configures BFD with this peer, which detects the loss of a node or a peer within a
	// fraction of a second. If absent, BFD is not used.
	BFD *BFD

	// Maximum number of routes that the peer may send. Nodes use none of them. If a peer
	// sends more, the node closes the session and tries again after five minutes. From 1 to
	// 100000. Default: 10000.
	MaxPrefixes int32
}

// BFD configures a session of Bidirectional Forwarding Detection (RFC 5880): single-hop
// (RFC 5881, UDP port 3784) or, with multihop-ttl, multihop (RFC 5883, UDP port 4784).
type BFD struct {
	// Minimum interval between packets that the node sends, in milliseconds, from 10 to
	// 60000. Default: 100.
	TransmitMilliseconds int32

	// Minimum interval between packets that the node can receive, in milliseconds, from 10
	// to 60000. Default: 100.
	ReceiveMilliseconds int32

	// Number of consecutive packets that must be missing before the session is down, from 2
	// to 255. Default: 3.
	DetectMultiplier int32
}

// Layer2 makes gateway nodes answer ARP and neighbor discovery for public addresses, for
// networks without BGP. For each address, one node answers: a node on which a proxy of the
// address is ready. If that node fails, another takes over. The public addresses must
// belong to the network of the interfaces.
type Layer2 struct {
	// Interfaces on which nodes answer. A node uses those that it has. Default: the
	// interface of the node's default route.
	Interfaces []string

	// Selects the gateway nodes that may answer, in the same way as the node-selector of a
	// BGP peer. If absent or empty, every node may answer.
	NodeSelector *metav1.LabelSelector
}

// SessionState is the state of a session.
type SessionState string

const (
	// SessionUp means that the two sides exchange messages.
	SessionUp SessionState = "Up"
	// SessionDown means that they do not.
	SessionDown SessionState = "Down"
)

// BGPPeerStatus is the state of a node's session with a BGP peer.
type BGPPeerStatus struct {
	// Name of the peer in EPIC.spec.base.bgp.peers.
	Name string

	// Address of the peer.
	Address string

	// State of the session: Up or Down.
	State SessionState

	// State of the BFD session with the peer: Up or Down. Absent without BFD.
	BFD SessionState

	// Why the session is down, if the node knows.
	Message string
}
