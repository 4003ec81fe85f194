// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net"
	"net/netip"

	"github.com/acnodal/epic/pkg/gue"
)

// Role says at which end of its tunnels a node is.
type Role uint8

// The two roles. A node has one of them.
const (
	// RoleGateway is a gateway node: requests of its proxies go into tunnels,
	// replies come out.
	RoleGateway Role = iota + 1
	// RoleClient is a client node: requests come out of tunnels, replies of its
	// endpoints go back into the tunnel that their flow came by.
	RoleClient
)

// Tunnel is this node's end of one tunnel.
type Tunnel struct {
	// ID is unique in the whole system, from 1 to 2147483647.
	ID uint32
	// Local is the outer source of what is sent and the only outer destination
	// that is accepted.
	Local netip.AddrPort
	// Remote is the verified outer address of the far end. While it is the zero
	// value, all packets of the tunnel are dropped.
	Remote netip.AddrPort
	// MTU is the largest inner packet in bytes without a cookie: the underlay's MTU less
	// the overhead (36 bytes over IPv4, 56 over IPv6). While the tunnel sends cookies, the
	// largest packet is CookieSize bytes smaller.
	MTU uint16
}

// Cookies mark the packets of one tunnel, so nobody who does not know its key can make
// one. They come from the control protocol.
type Cookies = gue.Cookies

// CookieUse is how a tunnel uses cookies.
type CookieUse = gue.CookieUse

// Proxy is the interface of one proxy's pod on a gateway node. It selects, with
// the inner destination, the tunnel of what the proxy sends.
type Proxy struct {
	// Interface is the index of the host's end.
	Interface int
	// PeerMAC is the hardware address of the pod's end.
	PeerMAC net.HardwareAddr
	// Addresses are the proxy's public and alternate addresses, the only inner
	// sources that it may use: at most one of each family.
	Addresses []netip.Addr
}

// Service lets one endpoint be reached through one tunnel. On a gateway it joins a
// proxy's interface to the tunnel; on a client node it names the proxy's
// addresses from which requests may come.
type Service struct {
	Tunnel uint32
	// Endpoint is the inner address and port of a tenant's pod.
	Endpoint netip.AddrPort
	// Protocol is the inner protocol's number: 6 for TCP, 17 for UDP. ICMP of
	// the endpoint's address crosses without a service of its own.
	Protocol uint8
	// Interface is the index of the proxy's host end. Gateway only. Several
	// services may differ in nothing else: pods of one proxy on one node.
	Interface int
	// Sources are the public and alternate addresses of the proxy. Client only:
	// at most one of each family.
	Sources []netip.Addr
	// Leaving indicates that the endpoint was removed: its open TCP connections continue, and
	// none is opened. Where several services share an entry of the maps, it is leaving if
	// all of them are.
	Leaving bool
}

// Direct is an endpoint that a proxy reaches without a tunnel. It opens one protocol and
// port of the address, and never an address that has a service of the same interface.
type Direct struct {
	// Interface is the index of the proxy's host end.
	Interface int
	// Endpoint is the address and port, in the node's own network.
	Endpoint netip.AddrPort
	// Protocol is 6 for TCP or 17 for UDP.
	Protocol uint8
}

// Opening is a published port of a proxy: what comes to it from visitors, the proxy may
// answer. Everything else that a proxy sends goes to an endpoint or is dropped.
type Opening struct {
	// Interface is the index of the proxy's host end.
	Interface int
	// Protocol is 6 for TCP or 17 for UDP.
	Protocol uint8
	// Port is the port at each address of the proxy.
	Port uint16
}

// Counters are the packets and bytes (of inner packets) of one tunnel since its
// creation.
type Counters struct {
	ReceivedPackets, ReceivedBytes uint64
	SentPackets, SentBytes         uint64
}

// AddressCounts is how often a gateway node noted something of one address of a proxy: a flow,
// by which answers find the one of several pods that has it, or the first fragment of a packet,
// by which the others find their way.
type AddressCounts struct {
	Address netip.Addr `json:"address"`
	// Noted is how often a flow or a first fragment was noted that was not known, because it
	// is new, was forgotten, or was another pod's.
	Noted uint64 `json:"noted"`
	// Unknown is how many packets came of flows or first fragments that were not noted. A
	// packet of a flow, or a fragment from an endpoint, went to the pod that was there first.
	// A fragment from a pod was dropped.
	Unknown uint64 `json:"unknown"`
}
