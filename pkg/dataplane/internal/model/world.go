// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
)

// World is the programmed state of one node.
type World struct {
	// Gateway is set for a gateway node, and not set for a client node.
	Gateway bool
	// Port is the port of tunnels on this node.
	Port    uint16
	Tunnels map[uint32]Tunnel
	// Services holds the registered endpoints.
	Services map[Service]bool
	// Proxy holds the proxy's address of each family, by whether it is IPv6.
	Proxy map[bool]netip.Addr
	// Openings holds the published ports of the proxy. Gateway only.
	Openings map[Port]bool
	// Directs holds the endpoints that the proxy reaches without a tunnel. Gateway only.
	Directs map[Endpoint]bool
	// Own reports whether the node does not forward packets to an IPv6 address.
	Own func(netip.Addr) bool
	// Hop returns the MTU of the route to an address, zero if there is none.
	Hop func(netip.Addr) int

	fragments map[fragmentKey]fragmentPath
	flows     map[flowKey]*flow
}

// Tunnel is this node's end of a tunnel.
type Tunnel struct {
	Local, Remote netip.AddrPort
	// MTU is the MTU for packets without a cookie.
	MTU int
	// Accept lists the cookies that received packets may have.
	Accept []Cookie
	// Send is the cookie of sent packets, or nil if they have none.
	Send *Cookie
	// Required drops received packets without a cookie.
	Required bool
}

// Cookie marks the packets of one tunnel in one direction.
type Cookie [cookieLength]byte

const cookieLength = 8

// extra returns the additional length of the header that the tunnel sends.
func (t *Tunnel) extra() int {
	if t.Send == nil {
		return 0
	}
	return cookieLength
}

// Port is a protocol with a port.
type Port struct {
	Protocol byte
	Port     uint16
}

// Endpoint is an address with a protocol and a port.
type Endpoint struct {
	Address netip.Addr
	Port
}

// Service is an endpoint to which a tunnel leads.
type Service struct {
	Tunnel uint32
	Endpoint
}

// fragmentKey identifies the fragments of one packet.
type fragmentKey struct {
	endpoint, proxy netip.Addr
	id              uint32
	protocol        byte
}

// fragmentPath is the destination of the fragments after the first one.
type fragmentPath struct {
	tunnel uint32 // zero: outside tunnels
}

// Fate is the result for a packet.
type Fate struct {
	// Drop is the reason that is counted, or "" if none is. An answered packet has one.
	Drop string
	// Kind is the kind of the fate.
	Kind Kind
	// Out is the sent packet, starting with its IP header.
	Out []byte
}

// Kind is the kind of a fate.
type Kind int

// Values of Kind.
const (
	// Passes: the data plane does not handle the packet, and it continues unchanged.
	Passes Kind = iota
	// Dropped: the packet is dropped.
	Dropped
	// Sent: the packet is sent into a tunnel.
	Sent
	// Delivered: the packet is received from a tunnel.
	Delivered
	// Answered: an error is sent to its sender instead.
	Answered
	// Parted: fragments of the packet are sent into the tunnel, each as a separate
	// packet.
	Parted
)

// String returns the name of a kind, for test messages.
func (k Kind) String() string {
	return [...]string{"passes", "is dropped", "is sent", "is delivered", "is answered", "is sent in parts"}[k]
}

func dropped(reason string) Fate { return Fate{Kind: Dropped, Drop: reason} }

// Forget removes everything learned from packets.
func (w *World) Forget() { w.fragments, w.flows = nil, nil }

// registered reports whether a tunnel leads to an endpoint or, without a port, to its
// address.
func (w *World) registered(tunnel uint32, e Endpoint) bool {
	if e.Protocol != 0 {
		return w.Services[Service{tunnel, e}]
	}
	for s := range w.Services {
		if s.Tunnel == tunnel && s.Address == e.Address {
			return true
		}
	}
	return false
}

// tunnelTo returns the first tunnel that leads to an endpoint, or to its address.
func (w *World) tunnelTo(e Endpoint) (uint32, bool) {
	if all := w.tunnelsTo(e); len(all) > 0 {
		return slices.Min(all), true
	}
	return 0, false
}

// tunnelsTo returns all tunnels that lead to an endpoint, or to its address.
func (w *World) tunnelsTo(e Endpoint) (all []uint32) {
	for s := range w.Services {
		if s.Address == e.Address && (e.Protocol == 0 || s.Port == e.Port) && !slices.Contains(all, s.Tunnel) {
			all = append(all, s.Tunnel)
		}
	}
	return all
}

func (w *World) own(a netip.Addr) bool {
	for _, t := range w.Tunnels {
		if t.Local.Addr() == a {
			return true
		}
	}
	return false
}
