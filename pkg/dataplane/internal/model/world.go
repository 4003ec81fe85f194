// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
)

// World is one node as it is programmed.
type World struct {
	// Gateway indicates that the node is a gateway node, and not a client node.
	Gateway bool
	// Port is where tunnels end on this node.
	Port    uint16
	Tunnels map[uint32]Tunnel
	// Services are the endpoints that are registered.
	Services map[Service]bool
	// Proxy has the proxy's address of each family, by whether it is IPv6.
	Proxy map[bool]netip.Addr
	// Openings are the published ports of the proxy. Gateway only.
	Openings map[Port]bool
	// Directs are the endpoints that the proxy reaches without a tunnel. Gateway only.
	Directs map[Endpoint]bool
	// Own reports whether an IPv6 address is one to which the node forwards nothing.
	Own func(netip.Addr) bool
	// Hop gives the MTU of the route to an address, zero if there is none.
	Hop func(netip.Addr) int

	fragments map[fragmentKey]fragmentPath
	flows     map[flowKey]*flow
}

// Tunnel is this node's end of one.
type Tunnel struct {
	Local, Remote netip.AddrPort
	// MTU is that of packets without a cookie.
	MTU int
	// Accept are the cookies with which packets may come in.
	Accept []Cookie
	// Send is the cookie with which packets go out, nil if they have none.
	Send *Cookie
	// Required drops packets that come in without a cookie.
	Required bool
}

// Cookie marks the packets of one tunnel in one direction.
type Cookie [cookieLength]byte

const cookieLength = 8

// extra is how much longer the header is that the tunnel sends.
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

// Service is an endpoint that a tunnel leads to.
type Service struct {
	Tunnel uint32
	Endpoint
}

// fragmentKey is what the fragments of one packet have in common.
type fragmentKey struct {
	endpoint, proxy netip.Addr
	id              uint32
	protocol        byte
}

// fragmentPath is where the fragments after the first one go.
type fragmentPath struct {
	tunnel uint32 // zero: outside tunnels
}

// Fate is what happens to a packet.
type Fate struct {
	// Drop is the reason that is counted; empty if none is. An answered packet has one.
	Drop string
	// Kind is where it goes.
	Kind Kind
	// Out is the packet that leaves, from its IP header on.
	Out []byte
}

// Kind is one of the ways that a packet can go.
type Kind int

// The kinds.
const (
	// Passes: it is none of the data plane's business, and continues unchanged.
	Passes Kind = iota
	// Dropped: it ends here.
	Dropped
	// Sent: it goes into a tunnel.
	Sent
	// Delivered: it comes out of a tunnel.
	Delivered
	// Answered: its sender gets an error in its place.
	Answered
	// Parted: fragments of it go into the tunnel, each a packet of its own.
	Parted
)

// String names a kind in a test's message.
func (k Kind) String() string {
	return [...]string{"passes", "is dropped", "is sent", "is delivered", "is answered", "is sent in parts"}[k]
}

func dropped(reason string) Fate { return Fate{Kind: Dropped, Drop: reason} }

// Forget drops what was learned from packets.
func (w *World) Forget() { w.fragments, w.flows = nil, nil }

// registered reports whether a tunnel leads to an endpoint, or, without a port, to its address.
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

// tunnelTo finds the tunnel that leads to an endpoint, or to its address: the first of several.
func (w *World) tunnelTo(e Endpoint) (uint32, bool) {
	if all := w.tunnelsTo(e); len(all) > 0 {
		return slices.Min(all), true
	}
	return 0, false
}

// tunnelsTo are all tunnels that lead to an endpoint, or to its address.
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
