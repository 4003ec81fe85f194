// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGP sets how gateway nodes announce public addresses by BGP. A node announces
// the route of an address, or the aggregate that the address's pool asks for,
// while a proxy of the address on that node is ready. It withdraws the route
// before the proxy drains. It imports no route. Only what a pool holds is ever
// announced.
type BGP struct {
	// The autonomous system number of the gateway nodes, from 1 to 4294967295.
	ASN int64

	// The port on which nodes accept connections of their peers. Absent, nodes
	// accept none and only connect themselves, which is enough for every peer that
	// accepts connections. Set it to 179 for peers that do not.
	ListenPort int32

	// Communities of every route: two numbers such as 64512:100, three numbers for
	// a large community such as 64512:1:100, or one of no-export, no-advertise and
	// graceful-shutdown.
	Communities []string

	// How many seconds peers keep the routes of a node whose program ends without
	// closing its sessions, as in an upgrade: packets are forwarded without the
	// program. 0 turns graceful restart off: peers then drop the routes at once.
	// From 0 to 4095. Default: 120.
	GracefulRestartSeconds *int32

	// The routers to which nodes announce. Without peers, nothing is announced by
	// BGP.
	Peers []BGPPeer
}

// BGPPeer is a router to which gateway nodes announce. A session carries the
// address family of the peer's address: a router that takes both families is two
// peers, one with its IPv4 address and one with its IPv6 address.
type BGPPeer struct {
	// The name of the peer, unique among the peers. It is a DNS label.
	Name string

	// The address of the peer, IPv4 or IPv6, without a zone.
	Address string

	// The autonomous system number of the peer, from 1 to 4294967295. The nodes'
	// own number makes it an internal peer (iBGP).
	ASN int64

	// The port on which the peer accepts connections. Default: 179.
	Port int32

	// The gateway nodes that have a session with this peer, by the labels of their
	// Node objects. A node outside Kubernetes has the labels that its program was
	// started with. Every node has the label kubernetes.io/hostname. Absent or
	// empty, all nodes have one.
	NodeSelector *metav1.LabelSelector

	// The name of the password of the session (TCP MD5, RFC 2385): the key in the
	// Secret epic-bgp-passwords in the namespace of the node program, or the name
	// of a file in the program's password folder. The password is not in any
	// object of EPIC. Until the node has it, the session stays down. Absent, the
	// session has no password.
	PasswordName string

	// How many seconds without a message end the session, from 3 to 65535; the peer may
	// ask for less. Default: 90.
	HoldTimeSeconds int32

	// The time to live of packets to a peer that is more than one hop away, from 2 to 255.
	// Without it external peers have to be on a network of the node. Internal peers need it
	// only for BFD over several hops.
	MultihopTTL int32

	// Whether packets of the session have a time to live of 255 and those that arrive
	// with less are dropped, so nobody beyond the next hop can reach it (GTSM, RFC
	// 5082). The peer has to be set up the same. It excludes multihop-ttl.
	TTLSecurity bool

	// Detects the loss of a node or a peer within a fraction of a second. Absent, there
	// is no BFD with this peer.
	BFD *BFD

	// How many routes the peer may send. Nodes use none of them, and drop the session
	// of a peer that sends more; they try again after five minutes. From 1 to 100000.
	// Default: 10000.
	MaxPrefixes int32
}

// BFD sets a session of Bidirectional Forwarding Detection (RFC 5880): single-hop
// (RFC 5881, UDP port 3784) or, with multihop-ttl, multihop (RFC 5883, UDP port
// 4784).
type BFD struct {
	// The least number of milliseconds between packets that the node sends, from 10
	// to 60000. Default: 100.
	TransmitMilliseconds int32

	// The least number of milliseconds between packets that the node wants to
	// receive, from 10 to 60000. Default: 100.
	ReceiveMilliseconds int32

	// How many packets in a row have to be missing before the session is down, from 2
	// to 255. Default: 3.
	DetectMultiplier int32
}

// Layer2 has gateway nodes answer ARP and neighbor discovery for public addresses, for
// networks without BGP. One node answers for each address: one on which a proxy of
// the address is ready. When it fails, another takes over. The public addresses
// have to belong to the network of the interfaces.
type Layer2 struct {
	// The interfaces on which nodes answer. Each that a node has is used. Default:
	// the interface of the node's default route.
	Interfaces []string

	// The gateway nodes that answer, as the node-selector of a BGP peer. Absent or empty,
	// all nodes may.
	NodeSelector *metav1.LabelSelector
}

// SessionState is the state of a session.
type SessionState string

const (
	// SessionUp is a session over which the two sides exchange messages.
	SessionUp SessionState = "Up"
	// SessionDown is every other.
	SessionDown SessionState = "Down"
)

// BGPPeerStatus is the state of a node's session with a BGP peer.
type BGPPeerStatus struct {
	// The name of the peer in EPIC.spec.base.bgp.peers.
	Name string

	// The address of the peer.
	Address string

	// Whether the session is up: Up or Down.
	State SessionState

	// Whether the BFD session with the peer is up: Up or Down. Absent without BFD.
	BFD SessionState

	// Why the session is down, as far as the node knows.
	Message string
}
