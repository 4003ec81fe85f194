// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"net/netip"
	"slices"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// Plan is what one object needs in the data plane.
type Plan struct {
	Tunnels  []dataplane.Tunnel
	Services []dataplane.Service
	// Openings are the published ports of the object's proxies on a gateway node.
	Openings []dataplane.Opening
	// Directs are the endpoints that these proxies reach without a tunnel.
	Directs []dataplane.Direct
	// Problems describe, for its owner, parts of the object that can't be applied.
	Problems []string
}

// Planner computes what an object needs on this node.
type Planner func(*intent.Intent) Plan

// Local returns the address of this node by which a tunnel reaches its far end, and the
// maximum size of its inner packets.
type Local func(nodeAddress, other netip.Addr) (local netip.Addr, mtu uint16, err error)

// Denied describes an address that no proxy may reach without a tunnel, and returns false
// for any other.
type Denied func(netip.Addr) (what string, denied bool)

// ForGateway returns a Planner for a gateway node: each endpoint is reached from each
// proxy of its object that runs here, through its tunnel if it has one. Leaving endpoints
// keep their open connections.
func ForGateway(local Local, interfaces func(intent.Key) []proxies.Interface, denied Denied) Planner {
	return func(i *intent.Intent) Plan {
		var p Plan
		byNode := map[netip.Addr]uint32{}
		for _, t := range i.Tunnels {
			from, mtu, err := local(t.EPICNode.Addr(), t.EPICNode.Addr())
			if err != nil {
				p.Problems = append(p.Problems, err.Error())
				continue
			}
			byNode[t.TenantNode] = t.ID
			p.Tunnels = append(p.Tunnels, dataplane.Tunnel{ID: t.ID, Local: netip.AddrPortFrom(from, t.EPICNode.Port()), MTU: mtu})
		}
		open := make([]intent.Direct, 0, len(i.Direct))
		for _, d := range i.Direct {
			if _, no := denied(d.Address.Addr()); !no {
				open = append(open, d)
			}
		}
		for _, proxy := range interfaces(i.Key) {
			for _, d := range open {
				p.Directs = append(p.Directs, dataplane.Direct{Interface: proxy.Index, Endpoint: d.Address, Protocol: d.Protocol})
			}
			p.Openings = append(p.Openings, openings(i.Ports, proxy.Index)...)
			for _, e := range i.Endpoints {
				if id, ok := byNode[e.Node]; ok {
					p.Services = append(p.Services, dataplane.Service{Tunnel: id, Endpoint: e.Address, Protocol: e.Protocol, Interface: proxy.Index})
				}
			}
			for n := range i.Leaving {
				e := &i.Leaving[n]
				if id, ok := byNode[e.Node]; ok {
					p.Services = append(p.Services, dataplane.Service{Tunnel: id, Endpoint: e.Address, Protocol: e.Protocol, Interface: proxy.Index, Leaving: true})
				}
			}
		}
		return p
	}
}

// ForClient returns a Planner for a client node: each endpoint on it is reached through
// each tunnel that ends at its node's address, from the proxy's addresses. port is the
// port of this end.
func ForClient(local Local, port uint16) Planner {
	return func(i *intent.Intent) Plan {
		var p Plan
		sources := i.Addresses()
		for _, t := range i.Tunnels {
			from, mtu, err := local(t.TenantNode, t.EPICNode.Addr())
			if err != nil {
				p.Problems = append(p.Problems, err.Error())
				continue
			}
			p.Tunnels = append(p.Tunnels, dataplane.Tunnel{ID: t.ID, Local: netip.AddrPortFrom(from, port), Remote: t.EPICNode, MTU: mtu})
			for _, e := range i.Endpoints {
				if e.Node == t.TenantNode && len(sources) > 0 {
					p.Services = append(p.Services, dataplane.Service{Tunnel: t.ID, Endpoint: e.Address, Protocol: e.Protocol, Sources: sources})
				}
			}
			for n := range i.Leaving {
				e := &i.Leaving[n]
				if e.Node == t.TenantNode && len(sources) > 0 {
					p.Services = append(p.Services, dataplane.Service{Tunnel: t.ID, Endpoint: e.Address, Protocol: e.Protocol, Sources: sources, Leaving: true})
				}
			}
		}
		return p
	}
}

// openings returns the distinct published ports at an interface.
func openings(ports []intent.Port, index int) []dataplane.Opening {
	out := make([]dataplane.Opening, 0, len(ports))
	for _, port := range ports {
		opening := dataplane.Opening{Interface: index, Protocol: port.Protocol, Port: port.Port}
		if !slices.Contains(out, opening) {
			out = append(out, opening)
		}
	}
	return out
}
