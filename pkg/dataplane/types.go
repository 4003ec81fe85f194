// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net"
	"net/netip"

	"github.com/acnodal/epic/pkg/gue"
)

// Role defines at which end of its tunnels a node is.
type Role uint8

// Values of Role. A node has one of them.
const (
	// RoleGateway is a gateway node: requests of its proxies are sent into tunnels, and
	// replies are received from them.
	RoleGateway Role = iota + 1
	// RoleClient is a client node: requests are received from tunnels, and replies of its
	// endpoints are sent into the tunnel of their flow.
	RoleClient
)

// Tunnel is this node's end of one tunnel.
type Tunnel struct {
	// ID is unique in the installation, from 1 to 2147483647.
	ID uint32
	// Local is the outer source of sent packets and the only outer destination that is
	// accepted.
	Local netip.AddrPort
	// Remote is the verified outer address of the far end. While it is the zero value,
	// all packets of the tunnel are dropped.
	Remote netip.AddrPort
	// MTU is the maximum size of an inner packet in bytes without a cookie: the
	// underlay's MTU minus the overhead (36 bytes over IPv4, 56 over IPv6). While the
	// tunnel sends cookies, the maximum is CookieSize bytes lower.
	MTU uint16
}

// Cookies mark the packets of one tunnel, so nobody without its key can forge one. The
// control protocol provides them.
type Cookies = gue.Cookies

// CookieUse is how a tunnel uses cookies.
type CookieUse = gue.CookieUse

// Proxy is the interface of one proxy's pod on a gateway node. Together with the inner
// destination, it determines the tunnel for packets of the proxy.
type Proxy struct {
	// Interface is the index of the host's end.
	Interface int
	// PeerMAC is the hardware address of the pod's end.
	PeerMAC net.HardwareAddr
	// Addresses are the proxy's public and alternate addresses, the only inner sources
	// that it may use: at most one of each family.
	Addresses []netip.Addr
}

// Service makes one endpoint reachable through one tunnel. On a gateway, it connects a
// proxy's interface to the tunnel; on a client node, it names the proxy's addresses from
// which requests may come.
type Service struct {
	Tunnel uint32
	// Endpoint is the inner address and port of a tenant's pod.
	Endpoint netip.AddrPort
	// Protocol is the inner protocol's number: 6 for TCP, 17 for UDP. ICMP of the
	// endpoint's address does not require a separate service.
	Protocol uint8
	// Interface is the index of the proxy's host end. Gateway only. Several services may
	// differ only in it: pods of one proxy on one node.
	Interface int
	// Sources are the public and alternate addresses of the proxy. Client only:
	// at most one of each family.
	Sources []netip.Addr
	// Leaving indicates that the endpoint was removed: its open TCP connections continue,
	// and no new one is opened. If several services share an entry of the maps, it is
	// leaving if all of them are.
	Leaving bool
}

// Direct is an endpoint that a proxy reaches without a tunnel. It allows one protocol and
// port of the address, and never an address with a service of the same interface.
type Direct struct {
	// Interface is the index of the proxy's host end.
	Interface int
	// Endpoint is the address and port, in the node's own network.
	Endpoint netip.AddrPort
	// Protocol is 6 for TCP or 17 for UDP.
	Protocol uint8
}

// Opening is a published port of a proxy: the proxy may reply to visitors' packets to it.
// All other packets of a proxy are for an endpoint or are dropped.
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

// AddressCounts is how often a gateway node recorded something for one address of a
// proxy: a flow, by which replies reach the one of several pods that has it, or the first
// fragment of a packet, by which the others reach their destination.
type AddressCounts struct {
	Address netip.Addr `json:"address"`
	// Noted is how often a flow or a first fragment was recorded that was not known,
	// because it is new, was evicted, or belonged to another pod.
	Noted uint64 `json:"noted"`
	// Unknown is the number of packets of flows or first fragments that were not
	// recorded. A packet of a flow, or a fragment from an endpoint, was sent to the pod
	// that was added first. A fragment from a pod was dropped.
	Unknown uint64 `json:"unknown"`
}
