// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGP configures how gateway nodes announce public addresses by BGP. A node announces the
// route of an address, or the aggregate configured for the address's pool, while a proxy of
// that address is ready on the node. It withdraws the route before the proxy drains. A node
// imports no routes, and announces only addresses that belong to a pool.
type BGP struct {
	// Autonomous system number of the gateway nodes, from 1 to 4294967295.
	ASN int64 `json:"asn" protobuf:"varint,1,opt,name=asn"`

	// Port on which nodes accept connections from their peers. If absent, nodes accept none
	// and always open the connection themselves, which works with every peer that accepts
	// connections. Set it to 179 for peers that do not.
	// +optional
	ListenPort int32 `json:"listen-port,omitempty" protobuf:"varint,2,opt,name=listenPort"`

	// Communities to attach to every route: two numbers such as 64512:100, three numbers
	// for a large community such as 64512:1:100, or one of no-export, no-advertise and
	// graceful-shutdown.
	// +optional
	// +listType=atomic
	Communities []string `json:"communities,omitempty" protobuf:"bytes,3,rep,name=communities"`

	// Number of seconds for which peers keep a node's routes after its program ends without
	// closing its sessions, for example during an upgrade. Packets are forwarded while the
	// program is not running. 0 disables graceful restart, so peers drop the routes at
	// once. From 0 to 4095. Default: 120.
	// +optional
	// +default=120
	GracefulRestartSeconds *int32 `json:"graceful-restart-seconds,omitempty" protobuf:"varint,4,opt,name=gracefulRestartSeconds"`

	// The routers to which nodes announce routes. Without peers, nothing is announced by
	// BGP.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Peers []BGPPeer `json:"peers,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,5,rep,name=peers"`
}

// BGPPeer is a router to which gateway nodes announce routes. A session carries the address
// family of the peer's address. For a router that needs both families, configure two peers:
// one with its IPv4 address and one with its IPv6 address.
type BGPPeer struct {
	// Name of the peer, unique among the peers. It must be a DNS label.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Address of the peer, IPv4 or IPv6, without a zone.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// Autonomous system number of the peer, from 1 to 4294967295. If it equals the nodes'
	// own number, the peer is internal (iBGP).
	ASN int64 `json:"asn" protobuf:"varint,3,opt,name=asn"`

	// Port on which the peer accepts connections. Default: 179.
	// +optional
	// +default=179
	Port int32 `json:"port,omitempty" protobuf:"varint,4,opt,name=port"`

	// Selects the gateway nodes that have a session with this peer, by the labels of their
	// Node objects. A node outside Kubernetes has the labels that its program was started
	// with. Every node has the label kubernetes.io/hostname. If absent or empty, every node
	// has a session.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"node-selector,omitempty" protobuf:"bytes,5,opt,name=nodeSelector"`

	// Name of the session's password (TCP MD5, RFC 2385): a key of the Secret
	// epic-bgp-passwords in the node program's namespace, or a file in the program's
	// password directory. EPIC objects never contain the password itself. The session stays
	// down until the node can read the password. If absent, the session has no password.
	// +optional
	PasswordName string `json:"password-name,omitempty" protobuf:"bytes,6,opt,name=passwordName"`

	// Number of seconds without a message after which the session ends, from 3 to 65535.
	// The peer may ask for less. Default: 90.
	// +optional
	// +default=90
	HoldTimeSeconds int32 `json:"hold-time-seconds,omitempty" protobuf:"varint,7,opt,name=holdTimeSeconds"`

	// Time to live of packets to a peer that is more than one hop away, from 2 to 255. If
	// absent, an external peer must be on a network to which the node is directly attached.
	// An internal peer needs it only for BFD over several hops.
	// +optional
	MultihopTTL int32 `json:"multihop-ttl,omitempty" protobuf:"varint,8,opt,name=multihopTtl"`

	// Whether to send the session's packets with a time to live of 255 and drop received
	// packets with a lower one, so only a directly connected router can reach the session
	// (GTSM, RFC 5082). The peer must be configured the same way. Can't be combined with
	// multihop-ttl.
	// +optional
	TTLSecurity bool `json:"ttl-security,omitempty" protobuf:"varint,9,opt,name=ttlSecurity"`

	// Configures BFD with this peer, which detects the loss of a node or a peer within a
	// fraction of a second. If absent, BFD is not used.
	// +optional
	BFD *BFD `json:"bfd,omitempty" protobuf:"bytes,10,opt,name=bfd"`

	// Maximum number of routes that the peer may send. Nodes use none of them. If a peer
	// sends more, the node closes the session and tries again after five minutes. From 1 to
	// 100000. Default: 10000.
	// +optional
	// +default=10000
	MaxPrefixes int32 `json:"max-prefixes,omitempty" protobuf:"varint,11,opt,name=maxPrefixes"`
}

// BFD configures a session of Bidirectional Forwarding Detection (RFC 5880): single-hop
// (RFC 5881, UDP port 3784) or, with multihop-ttl, multihop (RFC 5883, UDP port 4784).
type BFD struct {
	// Minimum interval between packets that the node sends, in milliseconds, from 10 to
	// 60000. Default: 100.
	// +optional
	// +default=100
	TransmitMilliseconds int32 `json:"transmit-milliseconds,omitempty" protobuf:"varint,1,opt,name=transmitMilliseconds"`

	// Minimum interval between packets that the node can receive, in milliseconds, from 10
	// to 60000. Default: 100.
	// +optional
	// +default=100
	ReceiveMilliseconds int32 `json:"receive-milliseconds,omitempty" protobuf:"varint,2,opt,name=receiveMilliseconds"`

	// Number of consecutive packets that must be missing before the session is down, from 2
	// to 255. Default: 3.
	// +optional
	// +default=3
	DetectMultiplier int32 `json:"detect-multiplier,omitempty" protobuf:"varint,3,opt,name=detectMultiplier"`
}

// Layer2 makes gateway nodes answer ARP and neighbor discovery for public addresses, for
// networks without BGP. For each address, one node answers: a node on which a proxy of the
// address is ready. If that node fails, another takes over. The public addresses must
// belong to the network of the interfaces.
type Layer2 struct {
	// Interfaces on which nodes answer. A node uses those that it has. Default: the
	// interface of the node's default route.
	// +optional
	// +listType=atomic
	Interfaces []string `json:"interfaces,omitempty" protobuf:"bytes,1,rep,name=interfaces"`

	// Selects the gateway nodes that may answer, in the same way as the node-selector of a
	// BGP peer. If absent or empty, every node may answer.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"node-selector,omitempty" protobuf:"bytes,2,opt,name=nodeSelector"`
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
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Address of the peer.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// State of the session: Up or Down.
	State SessionState `json:"state" protobuf:"bytes,3,opt,name=state"`

	// State of the BFD session with the peer: Up or Down. Absent without BFD.
	// +optional
	BFD SessionState `json:"bfd,omitempty" protobuf:"bytes,4,opt,name=bfd"`

	// Why the session is down, if the node knows.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`
}
