// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGP sets how gateway nodes announce public addresses by BGP. A node announces
// the route of an address, or the aggregate that the address's pool asks for,
// while a proxy of the address on that node is ready. It withdraws the route
// before the proxy drains. It imports no route. Only what a pool holds is ever
// announced.
type BGP struct {
	// The autonomous system number of the gateway nodes, from 1 to 4294967295.
	ASN int64 `json:"asn" protobuf:"varint,1,opt,name=asn"`

	// The port on which nodes accept connections of their peers. Absent, nodes
	// accept none and only connect themselves, which is enough for every peer that
	// accepts connections. Set it to 179 for peers that do not.
	// +optional
	ListenPort int32 `json:"listen-port,omitempty" protobuf:"varint,2,opt,name=listenPort"`

	// Communities of every route: two numbers such as 64512:100, three numbers for
	// a large community such as 64512:1:100, or one of no-export, no-advertise and
	// graceful-shutdown.
	// +optional
	// +listType=atomic
	Communities []string `json:"communities,omitempty" protobuf:"bytes,3,rep,name=communities"`

	// How many seconds peers keep the routes of a node whose program ends without
	// closing its sessions, as in an upgrade: packets are forwarded without the
	// program. 0 turns graceful restart off: peers then drop the routes at once.
	// From 0 to 4095. Default: 120.
	// +optional
	// +default=120
	GracefulRestartSeconds *int32 `json:"graceful-restart-seconds,omitempty" protobuf:"varint,4,opt,name=gracefulRestartSeconds"`

	// The routers to which nodes announce. Without peers, nothing is announced by
	// BGP.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Peers []BGPPeer `json:"peers,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,5,rep,name=peers"`
}

// BGPPeer is a router to which gateway nodes announce. A session carries the
// address family of the peer's address: a router that takes both families is two
// peers, one with its IPv4 address and one with its IPv6 address.
type BGPPeer struct {
	// The name of the peer, unique among the peers. It is a DNS label.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The address of the peer, IPv4 or IPv6, without a zone.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// The autonomous system number of the peer, from 1 to 4294967295. The nodes'
	// own number makes it an internal peer (iBGP).
	ASN int64 `json:"asn" protobuf:"varint,3,opt,name=asn"`

	// The port on which the peer accepts connections. Default: 179.
	// +optional
	// +default=179
	Port int32 `json:"port,omitempty" protobuf:"varint,4,opt,name=port"`

	// The gateway nodes that have a session with this peer, by the labels of their
	// Node objects. A node outside Kubernetes has the labels that its program was
	// started with. Every node has the label kubernetes.io/hostname. Absent or
	// empty, all nodes have one.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"node-selector,omitempty" protobuf:"bytes,5,opt,name=nodeSelector"`

	// The name of the password of the session (TCP MD5, RFC 2385): the key in the
	// Secret epic-bgp-passwords in the namespace of the node program, or the name
	// of a file in the program's password folder. The password is not in any
	// object of EPIC. Until the node has it, the session stays down. Absent, the
	// session has no password.
	// +optional
	PasswordName string `json:"password-name,omitempty" protobuf:"bytes,6,opt,name=passwordName"`

	// How many seconds without a message end the session, from 3 to 65535; the peer may
	// ask for less. Default: 90.
	// +optional
	// +default=90
	HoldTimeSeconds int32 `json:"hold-time-seconds,omitempty" protobuf:"varint,7,opt,name=holdTimeSeconds"`

	// The time to live of packets to a peer that is more than one hop away, from 2 to 255.
	// Without it external peers have to be on a network of the node. Internal peers need it
	// only for BFD over several hops.
	// +optional
	MultihopTTL int32 `json:"multihop-ttl,omitempty" protobuf:"varint,8,opt,name=multihopTtl"`

	// Whether packets of the session have a time to live of 255 and those that arrive
	// with less are dropped, so nobody beyond the next hop can reach it (GTSM, RFC
	// 5082). The peer has to be set up the same. It excludes multihop-ttl.
	// +optional
	TTLSecurity bool `json:"ttl-security,omitempty" protobuf:"varint,9,opt,name=ttlSecurity"`

	// Detects the loss of a node or a peer within a fraction of a second. Absent, there
	// is no BFD with this peer.
	// +optional
	BFD *BFD `json:"bfd,omitempty" protobuf:"bytes,10,opt,name=bfd"`

	// How many routes the peer may send. Nodes use none of them, and drop the session
	// of a peer that sends more; they try again after five minutes. From 1 to 100000.
	// Default: 10000.
	// +optional
	// +default=10000
	MaxPrefixes int32 `json:"max-prefixes,omitempty" protobuf:"varint,11,opt,name=maxPrefixes"`
}

// BFD sets a session of Bidirectional Forwarding Detection (RFC 5880): single-hop
// (RFC 5881, UDP port 3784) or, with multihop-ttl, multihop (RFC 5883, UDP port
// 4784).
type BFD struct {
	// The least number of milliseconds between packets that the node sends, from 10
	// to 60000. Default: 100.
	// +optional
	// +default=100
	TransmitMilliseconds int32 `json:"transmit-milliseconds,omitempty" protobuf:"varint,1,opt,name=transmitMilliseconds"`

	// The least number of milliseconds between packets that the node wants to
	// receive, from 10 to 60000. Default: 100.
	// +optional
	// +default=100
	ReceiveMilliseconds int32 `json:"receive-milliseconds,omitempty" protobuf:"varint,2,opt,name=receiveMilliseconds"`

	// How many packets in a row have to be missing before the session is down, from 2
	// to 255. Default: 3.
	// +optional
	// +default=3
	DetectMultiplier int32 `json:"detect-multiplier,omitempty" protobuf:"varint,3,opt,name=detectMultiplier"`
}

// Layer2 has gateway nodes answer ARP and neighbor discovery for public addresses, for
// networks without BGP. One node answers for each address: one on which a proxy of
// the address is ready. When it fails, another takes over. The public addresses
// have to belong to the network of the interfaces.
type Layer2 struct {
	// The interfaces on which nodes answer. Each that a node has is used. Default:
	// the interface of the node's default route.
	// +optional
	// +listType=atomic
	Interfaces []string `json:"interfaces,omitempty" protobuf:"bytes,1,rep,name=interfaces"`

	// The gateway nodes that answer, as the node-selector of a BGP peer. Absent or empty,
	// all nodes may.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"node-selector,omitempty" protobuf:"bytes,2,opt,name=nodeSelector"`
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
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The address of the peer.
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`

	// Whether the session is up: Up or Down.
	State SessionState `json:"state" protobuf:"bytes,3,opt,name=state"`

	// Whether the BFD session with the peer is up: Up or Down. Absent without BFD.
	// +optional
	BFD SessionState `json:"bfd,omitempty" protobuf:"bytes,4,opt,name=bfd"`

	// Why the session is down, as far as the node knows.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`
}
