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

// serviceID tells services apart.
type serviceID struct {
	tunnel   uint32
	ifindex  uint32
	address  [16]byte
	port     uint16
	protocol uint8
}

// scope is an endpoint's address behind one interface, or in one tunnel.
type scope struct {
	address [16]byte
	of      uint32
}

// services implements Services. A service is an entry of the map of services
// (gateway) and one of the map of policies; several services of one address share
// the two entries of that address as such. Which entries there are is computed from
// the services of a scope whenever one of them changes.
type services struct {
	mu       *sync.Mutex
	role     Role
	services *table[bpf.KernelEndpoint, bpf.KernelService]
	policies *table[bpf.KernelEndpoint, bpf.KernelPolicy]
	proxies  *table[uint32, bpf.KernelProxy]
	// replies is the client's.
	replies *replies

	// all has the sources of each service, which only a tenant's node has.
	all map[serviceID]pair
	// byInterface and byTunnel list the services of a scope.
	byInterface, byTunnel map[scope][]serviceID
	// byAddress lists the services of a client's endpoint by its address.
	byAddress map[[16]byte][]serviceID
	// leftover are services of a former process that nobody has put since.
	leftover map[serviceID]struct{}
}

func newServices(mu *sync.Mutex, role Role, m *bpf.KernelMaps, proxies *table[uint32, bpf.KernelProxy]) (*services, error) {
	s := &services{
		mu: mu, role: role, proxies: proxies,
		all:         map[serviceID]pair{},
		byInterface: map[scope][]serviceID{}, byTunnel: map[scope][]serviceID{},
		byAddress: map[[16]byte][]serviceID{},
		leftover:  map[serviceID]struct{}{},
	}
	var err error
	if s.services, err = newTable[bpf.KernelEndpoint, bpf.KernelService](m.Services, "services"); err != nil {
		return nil, err
	}
	if s.policies, err = newTable[bpf.KernelEndpoint, bpf.KernelPolicy](m.Policies, "policies"); err != nil {
		return nil, err
	}
	for key, value := range s.services.want {
		if role == RoleGateway && key.Protocol != 0 {
			id := idOf(key)
			id.ifindex, id.tunnel = key.Scope, value.Tunnel
			s.add(id, pair{})
			s.leftover[id] = struct{}{}
		}
	}
	for key, value := range s.policies.want {
		if role == RoleClient && key.Protocol != 0 {
			id := idOf(key)
			id.tunnel = key.Scope
			s.add(id, pair{four: value.Peer4, six: value.Peer6.Bytes})
			s.leftover[id] = struct{}{}
		}
	}
	if role == RoleGateway {
		return s, nil
	}
	if s.replies, err = newReplies(m); err != nil {
		return nil, err
	}
	// An earlier version had none. What runs from now on relies on them.
	return s, s.writeReplies(slices.Collect(maps.Keys(s.byAddress)))
}

// writeReplies writes the entries of endpoints' addresses.
func (s *services) writeReplies(addresses [][16]byte) error {
	if s.replies == nil {
		return nil
	}
	entries := map[bpf.KernelFlow]bpf.KernelReply{}
	for _, address := range addresses {
		maps.Copy(entries, s.replies.wanted(s.byAddress[address], s.all))
	}
	return s.replies.write(entries)
}

// closeReplies closes the entries of services that are gone, unless others have them.
func (s *services) closeReplies(gone map[serviceID]pair) error {
	if s.replies == nil {
		return nil
	}
	var keys []bpf.KernelFlow
	for id, sources := range gone {
		left := s.replies.wanted(s.byAddress[id.address], s.all)
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

func (s *services) add(id serviceID, sources pair) {
	if _, ok := s.all[id]; !ok {
		if s.role == RoleGateway {
			at := scope{id.address, id.ifindex}
			s.byInterface[at] = append(s.byInterface[at], id)
		}
		in := scope{id.address, id.tunnel}
		s.byTunnel[in] = append(s.byTunnel[in], id)
		if s.role == RoleClient {
			s.byAddress[id.address] = append(s.byAddress[id.address], id)
		}
	}
	s.all[id] = sources
}

func (s *services) drop(id serviceID) {
	delete(s.all, id)
	delete(s.leftover, id)
	dropFrom(s.byInterface, scope{id.address, id.ifindex}, id)
	dropFrom(s.byTunnel, scope{id.address, id.tunnel}, id)
	dropFrom(s.byAddress, id.address, id)
}

func dropFrom[K comparable](index map[K][]serviceID, at K, id serviceID) {
	list := index[at]
	i := slices.Index(list, id)
	if i < 0 {
		return
	}
	if len(list) == 1 {
		delete(index, at)
		return
	}
	index[at] = slices.Delete(list, i, i+1)
}

// check says what is wrong with a service, or gives its ID and sources.
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
	id := serviceID{
		tunnel: service.Tunnel, address: as16(service.Endpoint.Addr()),
		port: big(service.Endpoint.Port()), protocol: service.Protocol,
	}
	if s.role == RoleGateway {
		id.ifindex = uint32(service.Interface)
		return id, none, nil
	}
	if err := checkAddresses(service.Sources); err != nil {
		return serviceID{}, none, fmt.Errorf("%s: sources: %w", name, err)
	}
	return id, pairOf(service.Sources), nil
}

func (s Service) name() string {
	return fmt.Sprintf("service %v of tunnel %d", s.Endpoint, s.Tunnel)
}

// checkProtocol says what is wrong with the protocol of a port.
func checkProtocol(protocol uint8) error {
	if protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP {
		return fmt.Errorf("protocol %d: must be %d (TCP) or %d (UDP)", protocol, unix.IPPROTO_TCP, unix.IPPROTO_UDP)
	}
	return nil
}

// checkAddresses says what is wrong with a proxy's addresses.
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
	room := s.policies.room()
	if s.role == RoleGateway {
		room = min(room, s.services.room())
	}
	for _, service := range put {
		id, sources, err := s.check(service)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		in := scope{id.address, id.tunnel}
		had, ok := s.all[id]
		if ok && had != sources {
			moved[id] = had
		}
		if !ok {
			// Its own entry, and that of its address.
			needs := 1
			if len(s.byTunnel[in]) == 0 || s.role == RoleGateway && len(s.byInterface[scope{id.address, id.ifindex}]) == 0 {
				needs = 2
			}
			if room < needs {
				full = append(full, service.Endpoint)
				continue
			}
			room -= needs
		}
		s.add(id, sources)
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
		id := serviceID{
			tunnel: service.Tunnel, address: as16(service.Endpoint.Addr()),
			port: big(service.Endpoint.Port()), protocol: service.Protocol,
		}
		if s.role == RoleGateway {
			id.ifindex = uint32(service.Interface)
		}
		ids = append(ids, id)
	}
	return s.delete(ids)
}

func (s *services) delete(ids []serviceID) error {
	inTunnels := map[scope]struct{}{}
	for _, id := range ids {
		if _, ok := s.all[id]; ok {
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
		if sources, ok := s.all[id]; ok {
			gone[id] = sources
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

// missing lists the keys that one map has and the other has not.
func missing[K comparable, V any](from, in map[K]V) []K {
	var keys []K
	for key := range from {
		if _, ok := in[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// write writes the entries of addresses in tunnels, and of the same addresses behind
// all interfaces that reach them by those tunnels.
func (s *services) write(inTunnels map[scope]struct{}) error {
	inTunnels = s.withOthers(inTunnels)
	entries, policies := s.entries(inTunnels, s.interfacesOf(inTunnels))
	// On a client an answer finds its way before the request is let in. On a gateway it
	// is let in before the request is let out.
	if err := s.writeReplies(addressesOf(inTunnels)); err != nil {
		return err
	}
	return errors.Join(s.policies.update(policies), s.services.update(entries))
}

// interfacesOf gives the scopes of interfaces whose services share scopes of tunnels.
func (s *services) interfacesOf(inTunnels map[scope]struct{}) map[scope]struct{} {
	at := map[scope]struct{}{}
	if s.role == RoleGateway {
		for in := range inTunnels {
			for _, id := range s.byTunnel[in] {
				at[scope{id.address, id.ifindex}] = struct{}{}
			}
		}
	}
	return at
}

// entries computes what the maps have to have of the given scopes.
func (s *services) entries(inTunnels, atInterfaces map[scope]struct{}) (map[bpf.KernelEndpoint]bpf.KernelService, map[bpf.KernelEndpoint]bpf.KernelPolicy) {
	services := make(map[bpf.KernelEndpoint]bpf.KernelService, 2*len(atInterfaces))
	policies := make(map[bpf.KernelEndpoint]bpf.KernelPolicy, 2*len(inTunnels))
	for at := range atInterfaces {
		for _, id := range s.byInterface[at] {
			s.addService(services, keyOf(id, id.ifindex), id)
			s.addService(services, addressKeyOf(id, id.ifindex), id)
		}
	}
	for in := range inTunnels {
		for _, id := range s.byTunnel[in] {
			s.addPolicy(policies, keyOf(id, id.tunnel), id)
			s.addPolicy(policies, addressKeyOf(id, id.tunnel), id)
		}
	}
	return services, policies
}

func keyOf(id serviceID, of uint32) bpf.KernelEndpoint {
	key := addressKeyOf(id, of)
	key.Port, key.Protocol = id.port, id.protocol
	return key
}

func addressKeyOf(id serviceID, of uint32) bpf.KernelEndpoint {
	key := bpf.KernelEndpoint{Scope: of}
	key.Address.Bytes = id.address
	return key
}

// addService lets an interface reach an endpoint, or an address if the key is one's.
// If several tunnels lead there, the one with the lowest ID is taken.
func (s *services) addService(entries map[bpf.KernelEndpoint]bpf.KernelService, key bpf.KernelEndpoint, id serviceID) {
	if had, ok := entries[key]; ok && had.Tunnel <= id.tunnel {
		return
	}
	value := bpf.KernelService{Tunnel: id.tunnel, Flags: s.shared(key, id)}
	proxy := s.proxies.want[id.ifindex]
	value.Source4, value.Source6 = proxy.Address4, proxy.Address6
	entries[key] = value
}

// shared says whether other interfaces reach the same by the same tunnel.
func (s *services) shared(key bpf.KernelEndpoint, id serviceID) bpf.KernelServiceFlags {
	for _, other := range s.byTunnel[scope{id.address, id.tunnel}] {
		same := key.Protocol == 0 || other.port == key.Port && other.protocol == key.Protocol
		if same && other.ifindex != id.ifindex {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// severalTunnels says whether a client's endpoint is reached by other tunnels too.
func (s *services) severalTunnels(key bpf.KernelEndpoint, id serviceID) bpf.KernelServiceFlags {
	for _, other := range s.byAddress[id.address] {
		same := key.Protocol == 0 || other.port == key.Port && other.protocol == key.Protocol
		if same && other.tunnel != id.tunnel {
			return bpf.KernelServiceFlagsSERVICE_SHARED
		}
	}
	return 0
}

// addPolicy lets packets of an endpoint, or an address if the key is one's, through.
// Of several interfaces the one that is there already remains, since flows that are
// not written down go by it; else it is the one with the lowest index.
func (s *services) addPolicy(entries map[bpf.KernelEndpoint]bpf.KernelPolicy, key bpf.KernelEndpoint, id serviceID) {
	had, again := entries[key]
	var value bpf.KernelPolicy
	if s.role == RoleClient {
		if again {
			return
		}
		sources := s.all[id]
		value.Peer4, value.Peer6.Bytes = sources.four, sources.six
		value.Flags = s.severalTunnels(key, id)
		entries[key] = value
		return
	}
	if again {
		now := s.policies.want[key].Ifindex
		if had.Ifindex == now || id.ifindex != now && had.Ifindex <= id.ifindex {
			return
		}
	}
	proxy := s.proxies.want[id.ifindex]
	value.Peer4, value.Peer6 = proxy.Address4, proxy.Address6
	value.Ifindex, value.Mac = id.ifindex, proxy.Mac
	value.Flags = proxy.Flags | s.shared(key, id)
	entries[key] = value
}

// List implements Services.
func (s *services) List() ([]Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Service, 0, len(s.all))
	for id, sources := range s.all {
		list = append(list, Service{
			Tunnel:    id.tunnel,
			Endpoint:  netip.AddrPortFrom(from16(id.address), big(id.port)),
			Protocol:  id.protocol,
			Interface: int(id.ifindex),
			Sources:   sources.list(),
		})
	}
	slices.SortFunc(list, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Tunnel, b.Tunnel), a.Endpoint.Compare(b.Endpoint),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Interface, b.Interface))
	})
	return list, nil
}

// proxyChanged writes the entries of an interface's services again.
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

// repair makes the maps what they should be.
func (s *services) repair() (int, error) {
	leftover := slices.Collect(maps.Keys(s.leftover))
	if err := s.delete(leftover); err != nil {
		return 0, err
	}
	services, err := s.services.repair()
	if err != nil {
		return len(leftover), err
	}
	policies, err := s.policies.repair()
	if err != nil || s.replies == nil {
		return len(leftover) + services + policies, err
	}
	replies, err := s.replies.repair()
	return len(leftover) + services + policies + replies, err
}
