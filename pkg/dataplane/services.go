// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// serviceID identifies a service.
type serviceID struct {
	tunnel   uint32
	ifindex  uint32
	address  [16]byte
	port     uint16
	protocol uint8
}

// services implements Services. A service is an entry of the map of services (gateway)
// and one of the map of policies; several services of one address share the two entries
// of that address itself. services stores the services by their scopes, and computes the
// entries from them whenever they are written or compared.
type services struct {
	mu       *sync.Mutex
	role     Role
	services *derived[bpf.KernelEndpoint, bpf.KernelService]
	policies *derived[bpf.KernelEndpoint, bpf.KernelPolicy]
	proxies  *table[uint32, bpf.KernelProxy]
	// replies is set on a client.
	replies *replies

	// byInterface is used on a gateway.
	byInterface, byTunnel scopes
	// chosen is the interface of policies whose services have several, if it is not the
	// one with the lowest index. Gateway only.
	chosen map[bpf.KernelEndpoint]uint32
	// sources holds the sources of each service. Client only.
	sources map[serviceID]pair
	// byAddress holds the services of a client's endpoints by address.
	byAddress map[[16]byte][]serviceID
	// leaving holds the leaving services.
	leaving map[serviceID]struct{}
	// leftover holds services of an earlier process that have not been put since.
	leftover map[serviceID]struct{}
}

func newServices(mu *sync.Mutex, role Role, o *bpf.KernelObjects, proxies *table[uint32, bpf.KernelProxy]) (*services, error) {
	m := &o.KernelMaps
	s := &services{
		mu: mu, role: role, proxies: proxies,
		byInterface: newScopes(), byTunnel: newScopes(),
		chosen: map[bpf.KernelEndpoint]uint32{}, sources: map[serviceID]pair{},
		byAddress: map[[16]byte][]serviceID{},
		leaving:   map[serviceID]struct{}{},
		leftover:  map[serviceID]struct{}{},
	}
	var err error
	if s.services, err = newDerived[bpf.KernelEndpoint, bpf.KernelService](m.Services, "services"); err != nil {
		return nil, err
	}
	if s.policies, err = newDerived[bpf.KernelEndpoint, bpf.KernelPolicy](m.Policies, "policies"); err != nil {
		return nil, err
	}
	for key, value := range s.services.found {
		if role == RoleGateway && key.Protocol != 0 {
			id := idOf(key)
			id.ifindex, id.tunnel = key.Scope, value.Tunnel
			s.add(id, pair{})
			s.setLeaving(id, value.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0)
			s.leftover[id] = struct{}{}
		}
	}
	for key, value := range s.policies.found {
		switch {
		case role == RoleGateway:
			s.choose(key, value.Ifindex)
		case key.Protocol != 0:
			id := idOf(key)
			id.tunnel = key.Scope
			s.add(id, pair{four: value.Peer4, six: value.Peer6.Bytes})
			s.setLeaving(id, value.Flags&bpf.KernelServiceFlagsSERVICE_LEAVING != 0)
			s.leftover[id] = struct{}{}
		}
	}
	if role == RoleGateway {
		return s, nil
	}
	if s.replies, err = newReplies(m, o.Receivers); err != nil {
		return nil, err
	}
	// An earlier version had no replies. The new programs rely on them.
	return s, s.writeReplies(slices.Collect(maps.Keys(s.byAddress)))
}

// writeReplies writes the entries of endpoints' addresses.
func (s *services) writeReplies(addresses [][16]byte) error {
	if s.replies == nil {
		return nil
	}
	entries := map[bpf.KernelFlow]bpf.KernelReply{}
	for _, address := range addresses {
		maps.Copy(entries, s.replies.wanted(s.byAddress[address], s.sources))
	}
	return s.replies.write(entries)
}

// closeReplies closes the entries of removed services, unless others have them.
func (s *services) closeReplies(gone map[serviceID]pair) error {
	if s.replies == nil {
		return nil
	}
	var keys []bpf.KernelFlow
	for id, sources := range gone {
		left := s.replies.wanted(s.byAddress[id.address], s.sources)
		for _, key := range replyKeys(id, sources) {
			if _, ok := left[key]; !ok {
				keys = append(keys, key)
			}
		}
	}
	return s.replies.close(keys)
}

func addressesOf(inTunnels map[scope]struct{}) [][16]byte {
	addresses := map[[16]byte]struct{}{}
	for in := range inTunnels {
		addresses[in.address] = struct{}{}
	}
	return slices.Collect(maps.Keys(addresses))
}

func idOf(key bpf.KernelEndpoint) serviceID {
	return serviceID{address: key.Address.Bytes, port: key.Port, protocol: key.Protocol}
}

// inTunnel returns the scope of a service in its tunnel and its member there; atInterface
// does so for its interface.
func (id serviceID) inTunnel() (scope, member) {
	return scope{id.address, id.tunnel}, member{id.ifindex, id.port, id.protocol}
}

func (id serviceID) atInterface() (scope, member) {
	return scope{id.address, id.ifindex}, member{id.tunnel, id.port, id.protocol}
}

// ofTunnel is the inverse of inTunnel.
func ofTunnel(in scope, m member) serviceID {
	return serviceID{tunnel: in.of, ifindex: m.other, address: in.address, port: m.port, protocol: m.protocol}
}

// atInterface is the inverse of serviceID.atInterface.
func atInterface(at scope, m member) serviceID {
	return serviceID{tunnel: m.other, ifindex: at.of, address: at.address, port: m.port, protocol: m.protocol}
}

func (s *services) has(id serviceID) bool {
	in, m := id.inTunnel()
	return s.byTunnel.has(in, m)
}

// all iterates over all services.
func (s *services) all(yield func(serviceID) bool) {
	for in, m := range s.byTunnel.all {
		if !yield(ofTunnel(in, m)) {
			return
		}
	}
}

func (s *services) add(id serviceID, sources pair) {
	if s.role == RoleClient {
		if _, ok := s.sources[id]; !ok {
			s.byAddress[id.address] = append(s.byAddress[id.address], id)
		}
		s.sources[id] = sources
	}
	if s.has(id) {
		return
	}
	in, m := id.inTunnel()
	s.keepChosen(in, func() { s.byTunnel.add(in, m) })
	if s.role == RoleGateway {
		s.byInterface.add(id.atInterface())
	}
}

// setLeaving records whether a service is leaving.
func (s *services) setLeaving(id serviceID, leaving bool) {
	if leaving {
		s.leaving[id] = struct{}{}
	} else {
		delete(s.leaving, id)
	}
}

func (s *services) leaves(id serviceID) bool {
	_, leaving := s.leaving[id]
	return leaving
}

func (s *services) drop(id serviceID) {
	in, m := id.inTunnel()
	s.keepChosen(in, func() { s.byTunnel.drop(in, m) })
	if s.role == RoleGateway {
		s.byInterface.drop(id.atInterface())
	}
	delete(s.sources, id)
	delete(s.leaving, id)
	delete(s.leftover, id)
	rest := slices.DeleteFunc(s.byAddress[id.address], func(other serviceID) bool { return other == id })
	if len(rest) == 0 {
		delete(s.byAddress, id.address)
	} else {
		s.byAddress[id.address] = rest
	}
}

// check validates a service and returns its ID and sources.
func (s *services) check(service Service) (serviceID, pair, error) {
	name := service.name()
	var none pair
	err := checkProtocol(service.Protocol)
	switch {
	case service.Tunnel == 0:
		return serviceID{}, none, fmt.Errorf("%s: the tunnel must not be zero", name)
	case !service.Endpoint.IsValid() || service.Endpoint.Port() == 0 || service.Endpoint.Addr().IsUnspecified() || service.Endpoint.Addr().IsMulticast():
		return serviceID{}, none, fmt.Errorf("%s: the endpoint must be a unicast address and a port", name)
	case err != nil:
		return serviceID{}, none, fmt.Errorf("%s: %w", name, err)
	case s.role == RoleGateway && service.Interface <= 0:
		return serviceID{}, none, fmt.Errorf("%s: interface %d: must be the index of a proxy's interface", name, service.Interface)
	}
	id := s.idOfService(service)
	if s.role == RoleGateway {
		return id, none, nil
	}
	if err := checkAddresses(service.Sources); err != nil {
		return serviceID{}, none, fmt.Errorf("%s: sources: %w", name, err)
	}
	return id, pairOf(service.Sources), nil
}

// idOfService returns the ID of a service. A client's service has no interface.
func (s *services) idOfService(service Service) serviceID {
	id := serviceID{
		tunnel: service.Tunnel, address: as16(service.Endpoint.Addr()),
		port: big(service.Endpoint.Port()), protocol: service.Protocol,
	}
	if s.role == RoleGateway {
		id.ifindex = uint32(service.Interface)
	}
	return id
}

func (s Service) name() string {
	return fmt.Sprintf("service %v of tunnel %d", s.Endpoint, s.Tunnel)
}

// checkProtocol validates the protocol of a port.
func checkProtocol(protocol uint8) error {
	if protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP {
		return fmt.Errorf("protocol %d: must be %d (TCP) or %d (UDP)", protocol, unix.IPPROTO_TCP, unix.IPPROTO_UDP)
	}
	return nil
}

// checkAddresses validates a proxy's addresses.
func checkAddresses(addresses []netip.Addr) error {
	var four, six int
	for _, address := range addresses {
		switch {
		case !address.IsValid() || address.IsUnspecified() || address.IsMulticast():
			return fmt.Errorf("%v: must be a unicast address", address)
		case address.Unmap().Is4():
			four++
		default:
			six++
		}
	}
	if four > 1 || six > 1 || four+six == 0 {
		return fmt.Errorf("%v: must be one or two addresses, at most one of each family", addresses)
	}
	return nil
}

// Put implements Services.
func (s *services) Put(put ...Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	var full []netip.AddrPort
	changed := map[scope]struct{}{}
	moved := map[serviceID]pair{}
	limit := int(s.policies.m.MaxEntries())
	if s.role == RoleGateway {
		limit = min(limit, int(s.services.m.MaxEntries()))
	}
	for _, service := range put {
		id, sources, err := s.check(service)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		in, m := id.inTunnel()
		if had, ok := s.sources[id]; ok && had != sources {
			moved[id] = had
		}
		if !s.byTunnel.has(in, m) {
			tooMany := s.byTunnel.entries+s.byTunnel.needs(in, m) > limit
			if s.role == RoleGateway {
				at, m := id.atInterface()
				tooMany = tooMany || s.byInterface.entries+s.byInterface.needs(at, m) > limit
			}
			if tooMany {
				full = append(full, service.Endpoint)
				continue
			}
		}
		s.add(id, sources)
		s.setLeaving(id, service.Leaving)
		delete(s.leftover, id)
		changed[in] = struct{}{}
	}
	if len(full) > 0 {
		errs = append(errs, fmt.Errorf("services %s: %w: the limit is %d services and addresses", some(full), ErrMapFull, s.policies.m.MaxEntries()))
	}
	errs = append(errs, s.write(changed), s.closeReplies(moved))
	return errors.Join(errs...)
}

// Delete implements Services.
func (s *services) Delete(gone ...Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]serviceID, 0, len(gone))
	for _, service := range gone {
		ids = append(ids, s.idOfService(service))
	}
	return s.delete(ids)
}

func (s *services) delete(ids []serviceID) error {
	inTunnels := map[scope]struct{}{}
	for _, id := range ids {
		if s.has(id) {
			inTunnels[scope{id.address, id.tunnel}] = struct{}{}
		}
	}
	if len(inTunnels) == 0 {
		return nil
	}
	inTunnels = s.withOthers(inTunnels)
	atInterfaces := s.interfacesOf(inTunnels)
	old, oldPolicies := s.entries(inTunnels, atInterfaces)
	gone := map[serviceID]pair{}
	for _, id := range ids {
		if s.has(id) {
			gone[id] = s.sources[id]
		}
		s.drop(id)
	}
	entries, policies := s.entries(inTunnels, atInterfaces)
	return errors.Join(
		s.services.remove(missing(old, entries)),
		s.policies.remove(missing(oldPolicies, policies)),
		s.policies.update(policies),
		s.services.update(entries),
		s.writeReplies(addressesOf(inTunnels)),
		s.closeReplies(gone),
	)
}

// withOthers adds the other tunnels that lead to the same endpoints of a client.
func (s *services) withOthers(inTunnels map[scope]struct{}) map[scope]struct{} {
	if s.role == RoleGateway {
		return inTunnels
	}
	all := maps.Clone(inTunnels)
	for in := range inTunnels {
		for _, id := range s.byAddress[in.address] {
			all[scope{id.address, id.tunnel}] = struct{}{}
		}
	}
	return all
}

// missing returns the keys that are in from and not in in.
func missing[K comparable, V any](from, in map[K]V) []K {
	var keys []K
	for key := range from {
		if _, ok := in[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// write writes the entries of addresses in tunnels, and of the same addresses behind all
// interfaces that reach them through those tunnels.
func (s *services) write(inTunnels map[scope]struct{}) error {
	inTunnels = s.withOthers(inTunnels)
	entries, policies := s.entries(inTunnels, s.interfacesOf(inTunnels))
	// On a client, add the route of replies before requests are admitted. On a gateway,
	// admit replies before requests are let out.
	if err := s.writeReplies(addressesOf(inTunnels)); err != nil {
		return err
	}
	return errors.Join(s.policies.update(policies), s.services.update(entries))
}

// interfacesOf returns the scopes of interfaces whose services share scopes of tunnels.
func (s *services) interfacesOf(inTunnels map[scope]struct{}) map[scope]struct{} {
	at := map[scope]struct{}{}
	if s.role == RoleGateway {
		for in := range inTunnels {
			for m := range s.byTunnel.each(in) {
				at[scope{in.address, m.other}] = struct{}{}
			}
		}
	}
	return at
}

// List implements Services.
func (s *services) List() ([]Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Service, 0, len(s.byTunnel.first))
	for id := range s.all {
		list = append(list, Service{
			Tunnel:    id.tunnel,
			Endpoint:  netip.AddrPortFrom(from16(id.address), big(id.port)),
			Protocol:  id.protocol,
			Interface: int(id.ifindex),
			Sources:   s.sources[id].list(),
			Leaving:   s.leaves(id),
		})
	}
	slices.SortFunc(list, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Tunnel, b.Tunnel), a.Endpoint.Compare(b.Endpoint),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Interface, b.Interface))
	})
	return list, nil
}

// proxyChanged rewrites the entries of an interface's services.
func (s *services) proxyChanged(ifindexes map[uint32]struct{}) error {
	inTunnels := map[scope]struct{}{}
	for id := range s.all {
		if _, ok := ifindexes[id.ifindex]; ok {
			inTunnels[scope{id.address, id.tunnel}] = struct{}{}
		}
	}
	return s.write(inTunnels)
}

// proxyGone removes the services of interfaces.
func (s *services) proxyGone(ifindexes map[uint32]struct{}) error {
	var ids []serviceID
	for id := range s.all {
		if _, ok := ifindexes[id.ifindex]; ok {
			ids = append(ids, id)
		}
	}
	return s.delete(ids)
}

// repair corrects the maps.
func (s *services) repair() (int, error) {
	leftover := slices.Collect(maps.Keys(s.leftover))
	if err := s.delete(leftover); err != nil {
		return 0, err
	}
	services, err := s.services.repair(s.wantService, keysIn(&s.byInterface), s.byInterface.entries)
	if err != nil {
		return len(leftover), err
	}
	policies, err := s.policies.repair(s.wantPolicy, keysIn(&s.byTunnel), s.byTunnel.entries)
	if err != nil || s.replies == nil {
		return len(leftover) + services + policies, err
	}
	replies, err := s.replies.repair()
	return len(leftover) + services + policies + replies, err
}
