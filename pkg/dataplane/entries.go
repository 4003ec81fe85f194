// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"iter"

	"github.com/acnodal/epic/bpf"
)

// entries computes what the maps have to have of the given scopes.
func (s *services) entries(inTunnels, atInterfaces map[scope]struct{}) (map[bpf.KernelEndpoint]bpf.KernelService, map[bpf.KernelEndpoint]bpf.KernelPolicy) {
	services := make(map[bpf.KernelEndpoint]bpf.KernelService, 2*len(atInterfaces))
	policies := make(map[bpf.KernelEndpoint]bpf.KernelPolicy, 2*len(inTunnels))
	for at := range atInterfaces {
		for m := range s.byInterface.each(at) {
			for _, key := range keysOf(at, m) {
				services[key], _ = s.wantService(key)
			}
		}
	}
	for in := range inTunnels {
		for m := range s.byTunnel.each(in) {
			for _, key := range keysOf(in, m) {
				policies[key], _ = s.wantPolicy(key)
			}
		}
	}
	return services, policies
}

// keysOf are the two entries of a service in a scope: its own, and that of its address.
func keysOf(in scope, m member) [2]bpf.KernelEndpoint {
	key := bpf.KernelEndpoint{Scope: in.of}
	key.Address.Bytes = in.address
	port := key
	port.Port, port.Protocol = m.port, m.protocol
	return [2]bpf.KernelEndpoint{port, key}
}

func scopeOf(key bpf.KernelEndpoint) scope { return scope{key.Address.Bytes, key.Scope} }

// fits reports whether an entry is that of a service, or of its address.
func (m member) fits(key bpf.KernelEndpoint) bool {
	return key.Protocol == 0 && key.Port == 0 || m.port == key.Port && m.protocol == key.Protocol
}

// wantService computes how an interface reaches an endpoint, or an address if the key is
// one's. If several tunnels lead there, the one with the lowest ID is taken, and one of a
// service that leaves only if there is no other.
func (s *services) wantService(key bpf.KernelEndpoint) (bpf.KernelService, bool) {
	at, tunnel, leaving := scopeOf(key), uint32(0), false
	for m := range s.byInterface.each(at) {
		if !m.fits(key) {
			continue
		}
		leaves := s.leaves(atInterface(at, m))
		if tunnel == 0 || leaving && !leaves || leaving == leaves && m.other < tunnel {
			tunnel, leaving = m.other, leaves
		}
	}
	if tunnel == 0 || key.Pad != 0 {
		return bpf.KernelService{}, false
	}
	value := bpf.KernelService{Tunnel: tunnel, Flags: s.shared(key, scope{at.address, tunnel}, at.of)}
	if leaving {
		value.Flags |= bpf.KernelServiceFlagsSERVICE_LEAVING
	}
	proxy := s.proxies.want[at.of]
	value.Source4, value.Source6 = proxy.Address4, proxy.Address6
	return value, true
}

// shared reports whether other interfaces reach the same by the same tunnel.
func (s *services) shared(key bpf.KernelEndpoint, in scope, ifindex uint32) bpf.KernelServiceFlags {
	for other := range s.byTunnel.each(in) {
		if other.fits(key) && other.other != ifindex {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// severalTunnels reports whether a client's endpoint is reached by other tunnels too.
func (s *services) severalTunnels(key bpf.KernelEndpoint) bpf.KernelServiceFlags {
	for _, other := range s.byAddress[key.Address.Bytes] {
		if _, m := other.inTunnel(); m.fits(key) && other.tunnel != key.Scope {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// allLeave reports whether all services of a policy leave.
func (s *services) allLeave(key bpf.KernelEndpoint) bpf.KernelServiceFlags {
	in := scopeOf(key)
	for m := range s.byTunnel.each(in) {
		if m.fits(key) && !s.leaves(ofTunnel(in, m)) {
			return 0
		}
	}
	return bpf.KernelServiceFlagsSERVICE_LEAVING
}

// interfaceOf finds the interface of a policy. Of several the one that is there already
// remains, because flows that are not written down go by it; otherwise it is the one with
// the lowest index.
func (s *services) interfaceOf(key bpf.KernelEndpoint) uint32 {
	least, chosen := uint32(0), s.chosen[key]
	for m := range s.byTunnel.each(scopeOf(key)) {
		switch {
		case !m.fits(key):
		case m.other == chosen:
			return chosen
		case least == 0 || m.other < least:
			least = m.other
		}
	}
	return least
}

// choose notes the interface that a policy has.
func (s *services) choose(key bpf.KernelEndpoint, ifindex uint32) {
	delete(s.chosen, key)
	if ifindex == s.interfaceOf(key) {
		return
	}
	for m := range s.byTunnel.each(scopeOf(key)) {
		if m.fits(key) && m.other == ifindex {
			s.chosen[key] = ifindex
			return
		}
	}
}

// keepChosen changes the services of a scope, and keeps the interfaces of its policies.
func (s *services) keepChosen(in scope, change func()) {
	if s.role != RoleGateway || s.byTunnel.empty(in) {
		change()
		return
	}
	had := map[bpf.KernelEndpoint]uint32{}
	for m := range s.byTunnel.each(in) {
		for _, key := range keysOf(in, m) {
			had[key] = s.interfaceOf(key)
		}
	}
	change()
	for key, ifindex := range had {
		s.choose(key, ifindex)
	}
}

// wantPolicy computes what lets packets of an endpoint, or an address if the key is one's,
// through.
func (s *services) wantPolicy(key bpf.KernelEndpoint) (value bpf.KernelPolicy, ok bool) {
	in := scopeOf(key)
	if key.Pad != 0 {
		return value, false
	}
	if s.role == RoleClient {
		for m := range s.byTunnel.each(in) {
			if m.fits(key) {
				sources := s.sources[ofTunnel(in, m)]
				value.Peer4, value.Peer6.Bytes = sources.four, sources.six
				value.Flags = s.severalTunnels(key) | s.allLeave(key)
				return value, true
			}
		}
		return value, false
	}
	ifindex := s.interfaceOf(key)
	if ifindex == 0 {
		return value, false
	}
	proxy := s.proxies.want[ifindex]
	value.Peer4, value.Peer6 = proxy.Address4, proxy.Address6
	value.Ifindex, value.Mac = ifindex, proxy.Mac
	value.Flags = proxy.Flags | s.shared(key, in, ifindex) | s.allLeave(key)
	return value, true
}

// keysIn lists the keys of all services of scopes. A key of several may come several times.
func keysIn(all *scopes) iter.Seq[bpf.KernelEndpoint] {
	return func(yield func(bpf.KernelEndpoint) bool) {
		for in, m := range all.all {
			for _, key := range keysOf(in, m) {
				if !yield(key) {
					return
				}
			}
		}
	}
}
