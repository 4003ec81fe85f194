// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"github.com/acnodal/epic/pkg/bgpcommunity"
)

// Settings configures a speaker.
type Settings struct {
	Local Local
	// Peers have distinct names and addresses.
	Peers []Peer
	// Routes are announced to each peer of their family.
	Routes []netip.Prefix
}

// Local is the configuration shared by all sessions.
type Local struct {
	ASN      uint32
	RouterID netip.Addr
	// ListenPort is the port for connections of peers; 0 for none.
	ListenPort  uint16
	Communities []bgpcommunity.Community
}

// sameServer reports whether a server that runs with l can continue with o.
func (l Local) sameServer(o Local) bool {
	return l.ASN == o.ASN && l.RouterID == o.RouterID && l.ListenPort == o.ListenPort
}

func (l Local) sameRoutes(o Local) bool { return slices.Equal(l.Communities, o.Communities) }

// Peer is one router.
type Peer struct {
	Name     string
	Address  netip.Addr
	ASN      uint32
	Port     uint16
	Password string
	HoldTime time.Duration
	// MultihopTTL is the time to live of packets to an external peer that is not a
	// neighbor; 0 for a neighbor.
	MultihopTTL uint8
	TTLSecurity bool
	MaxPrefixes uint32
	// GracefulRestart is how long the peer keeps the routes of a restarting speaker; 0
	// for not at all.
	GracefulRestart time.Duration
}

// PeerState is the state of a session.
type PeerState struct {
	Name        string
	Address     netip.Addr
	Established bool
	// Local is the address of this end while the session is established.
	Local netip.Addr
	// Message is why the session is not established, if known.
	Message string
	// Since is when it was established.
	Since time.Time
	// Refused is the number of routes that the peer sends, none of which is used.
	Refused uint64
}

// RouterID returns the BGP identifier of a node: its address, or a number computed from
// an IPv6 address.
func RouterID(node netip.Addr) netip.Addr {
	if node.Unmap().Is4() {
		return node.Unmap()
	}
	h := fnv.New32a()
	b := node.As16()
	_, _ = h.Write(b[:]) // never fails
	sum := h.Sum32()
	// An identifier must not be 0 or look like a multicast or reserved address.
	return netip.AddrFrom4([4]byte{byte(1 + sum>>24%223), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
