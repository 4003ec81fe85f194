// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"net/netip"
	"slices"

	"github.com/acnodal/epic/pkg/dataplane"
)

// packed is a compact plan: values that its tunnels and services share are stored once. A
// gateway node has a tunnel and a service for each pair of a client node and a proxy.
type packed struct {
	rest     Plan // without tunnels and services
	ends     []netip.AddrPort
	sources  [][]netip.Addr
	tunnels  []packedTunnel
	services []packedService
}

// packedTunnel refers to its ends by index.
type packedTunnel struct {
	id            uint32
	local, remote uint32
	mtu           uint16
}

// packedService refers to its sources by index. It stores the address without
// a zone, which no endpoint has.
type packedService struct {
	address  [16]byte
	tunnel   uint32
	index    uint32
	sources  uint32
	port     uint16
	protocol uint8
	four     bool
	leaving  bool
}

// pack returns the compact form of a plan.
func pack(p Plan) packed {
	k := packed{rest: p, tunnels: make([]packedTunnel, 0, len(p.Tunnels)), services: make([]packedService, 0, len(p.Services))}
	k.rest.Tunnels, k.rest.Services = nil, nil
	places := map[netip.AddrPort]uint32{}
	place := func(end netip.AddrPort) uint32 {
		at, ok := places[end]
		if !ok {
			at = uint32(len(k.ends))
			places[end] = at
			k.ends = append(k.ends, end)
		}
		return at
	}
	for _, t := range p.Tunnels {
		k.tunnels = append(k.tunnels, packedTunnel{t.ID, place(t.Local), place(t.Remote), t.MTU})
	}
	for i := range p.Services {
		s := &p.Services[i]
		if n := len(k.sources); n == 0 || !slices.Equal(k.sources[n-1], s.Sources) {
			k.sources = append(k.sources, s.Sources)
		}
		k.services = append(k.services, packedService{
			address: s.Endpoint.Addr().As16(), four: s.Endpoint.Addr().Is4(), port: s.Endpoint.Port(), protocol: s.Protocol,
			tunnel: s.Tunnel, index: uint32(s.Interface), sources: uint32(len(k.sources) - 1),
			leaving: s.Leaving,
		})
	}
	return k
}

// plan is the reverse of pack.
func (k *packed) plan() Plan {
	p := k.rest
	if len(k.tunnels) > 0 {
		p.Tunnels = make([]dataplane.Tunnel, 0, len(k.tunnels))
	}
	for _, t := range k.tunnels {
		p.Tunnels = append(p.Tunnels, dataplane.Tunnel{ID: t.id, Local: k.ends[t.local], Remote: k.ends[t.remote], MTU: t.mtu})
	}
	if len(k.services) > 0 {
		p.Services = make([]dataplane.Service, 0, len(k.services))
	}
	for i := range k.services {
		s := &k.services[i]
		address := netip.AddrFrom16(s.address)
		if s.four {
			address = address.Unmap()
		}
		p.Services = append(p.Services, dataplane.Service{
			Tunnel: s.tunnel, Endpoint: netip.AddrPortFrom(address, s.port), Protocol: s.protocol, Interface: int(s.index), Sources: k.sources[s.sources], Leaving: s.leaving,
		})
	}
	return p
}
