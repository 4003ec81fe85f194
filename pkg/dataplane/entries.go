// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"iter"

	"github.com/acnodal/epic/bpf"
)

// entries computes the desired map entries of the given scopes.
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

// keysOf returns the two keys of a service in a scope: its own, and that of its address.
func keysOf(in scope, m member) [2]bpf.KernelEndpoint {
	key := bpf.KernelEndpoint{Scope: in.of}
	key.Address.Bytes = in.address
	port := key
	port.Port, port.Protocol = m.port, m.protocol
	return [2]bpf.KernelEndpoint{port, key}
}

func scopeOf(key bpf.KernelEndpoint) scope { return scope{key.Address.Bytes, key.Scope} }

// fits reports whether a key is that of a service, or of its address.
func (m member) fits(key bpf.KernelEndpoint) bool {
	return key.Protocol == 0 && key.Port == 0 || m.port == key.Port && m.protocol == key.Protocol
}

// wantService computes how an interface reaches an endpoint, or an address if the key has
// no port. If several tunnels lead there, it uses the one with the lowest ID, and one of
// a leaving service only if there is no other.
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

// shared reports whether other interfaces reach the same endpoint through the same
// tunnel.
func (s *services) shared(key bpf.KernelEndpoint, in scope, ifindex uint32) bpf.KernelServiceFlags {
	for other := range s.byTunnel.each(in) {
		if other.fits(key) && other.other != ifindex {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// severalTunnels returns the flag for a client's endpoint that is also reached through
// other tunnels.
func (s *services) severalTunnels(key bpf.KernelEndpoint) bpf.KernelServiceFlags {
	for _, other := range s.byAddress[key.Address.Bytes] {
		if _, m := other.inTunnel(); m.fits(key) && other.tunnel != key.Scope {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// allLeave returns the flag for a policy whose services are all leaving.
func (s *services) allLeave(key bpf.KernelEndpoint) bpf.KernelServiceFlags {
	in := scopeOf(key)
	for m := range s.byTunnel.each(in) {
		if m.fits(key) && !s.leaves(ofTunnel(in, m)) {
			return 0
		}
	}
	return bpf.KernelServiceFlagsSERVICE_LEAVING
}

// interfaceOf returns the interface of a policy. Of several, the current one is kept,
// because flows that are not recorded use it; otherwise it is the one with the lowest
// index.
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

// choose records the interface of a policy.
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

// wantPolicy computes the entry that admits packets of an endpoint, or an address if the
// key has no port.
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

// keysIn iterates over the keys of all services of scopes. A key of several services may
// be yielded several times.
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
