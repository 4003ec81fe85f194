// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// openingID identifies an opening.
type openingID struct {
	ifindex  uint32
	port     uint16
	protocol uint8
}

// openingsComplete is the key of an entry that belongs to no interface. It exists once
// all wanted openings have been put, so a program that takes over from a version without
// openings knows whether it can rely on them.
var openingsComplete = bpf.KernelEndpoint{}

// openings implements Openings. An opening has one entry for each address of its
// interface, and each address has one more entry without a port.
type openings struct {
	mu      *sync.Mutex
	role    Role
	table   *table[bpf.KernelEndpoint, uint32]
	proxies *table[uint32, bpf.KernelProxy]
	lenient *ebpf.Variable

	byInterface map[uint32]map[openingID]struct{}
	// entries holds the entries of the map, by interface.
	entries map[uint32]map[bpf.KernelEndpoint]struct{}
	// leftover holds openings of an earlier process that have not been put since.
	leftover map[openingID]struct{}
}

// newOpenings reads what an earlier process left. Programs must know before they run
// whether to rely on it.
func newOpenings(mu *sync.Mutex, role Role, m *bpf.KernelMaps, proxies *table[uint32, bpf.KernelProxy], lenient *ebpf.Variable) (*openings, error) {
	o := &openings{
		mu: mu, role: role, proxies: proxies, lenient: lenient,
		byInterface: map[uint32]map[openingID]struct{}{},
		entries:     map[uint32]map[bpf.KernelEndpoint]struct{}{},
		leftover:    map[openingID]struct{}{},
	}
	var err error
	if o.table, err = newTable[bpf.KernelEndpoint, uint32](m.PublishedPorts, "published ports"); err != nil {
		return nil, err
	}
	for key := range o.table.want {
		if key == openingsComplete {
			continue
		}
		add(o.entries, key.Scope, key)
		if key.Protocol != 0 {
			id := openingID{ifindex: key.Scope, port: key.Port, protocol: key.Protocol}
			add(o.byInterface, key.Scope, id)
			o.leftover[id] = struct{}{}
		}
	}
	if _, complete := o.table.want[openingsComplete]; !complete && role == RoleGateway && len(proxies.want) > 0 {
		return o, lenient.Set(uint32(1))
	}
	return o, o.complete()
}

// complete makes programs rely on the openings.
func (o *openings) complete() error {
	if o.role != RoleGateway {
		return nil
	}
	return errors.Join(o.table.update(map[bpf.KernelEndpoint]uint32{openingsComplete: 1}), o.lenient.Set(uint32(0)))
}

func add[K, V comparable](sets map[K]map[V]struct{}, key K, value V) {
	if sets[key] == nil {
		sets[key] = map[V]struct{}{}
	}
	sets[key][value] = struct{}{}
}

// check validates an opening and returns its ID.
func (o *openings) check(opening Opening) (openingID, error) {
	err := checkProtocol(opening.Protocol)
	switch {
	case o.role != RoleGateway:
		return openingID{}, errors.New("openings are on gateway nodes only")
	case opening.Interface <= 0:
		return openingID{}, fmt.Errorf("opening of port %d: interface %d: must be the index of a proxy's interface", opening.Port, opening.Interface)
	case opening.Port == 0:
		return openingID{}, fmt.Errorf("opening at interface %d: the port must not be zero", opening.Interface)
	case err != nil:
		return openingID{}, fmt.Errorf("opening of port %d: %w", opening.Port, err)
	}
	return idOfOpening(opening), nil
}

func idOfOpening(opening Opening) openingID {
	return openingID{ifindex: uint32(opening.Interface), port: big(opening.Port), protocol: opening.Protocol}
}

// Put implements Openings.
func (o *openings) Put(put ...Opening) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	var full []string
	changed := map[uint32]struct{}{}
	room := o.table.room()
	for _, opening := range put {
		id, err := o.check(opening)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, ok := o.byInterface[id.ifindex][id]; !ok {
			needs := o.addresses(id.ifindex)
			if room < needs {
				full = append(full, fmt.Sprintf("%d/%d at interface %d", opening.Port, opening.Protocol, opening.Interface))
				continue
			}
			room -= needs
		}
		add(o.byInterface, id.ifindex, id)
		delete(o.leftover, id)
		changed[id.ifindex] = struct{}{}
	}
	if len(full) > 0 {
		errs = append(errs, fmt.Errorf("openings %s: %w: the limit is %d addresses and ports of proxies", some(full), ErrMapFull, o.table.m.MaxEntries()))
	}
	return errors.Join(append(errs, o.proxyChanged(changed))...)
}

// addresses returns the number of entries of an opening of an interface.
func (o *openings) addresses(ifindex uint32) int {
	proxy := o.proxies.want[ifindex]
	return len((pair{four: proxy.Address4, six: proxy.Address6.Bytes}).list())
}

// Delete implements Openings.
func (o *openings) Delete(gone ...Opening) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make([]openingID, 0, len(gone))
	for _, opening := range gone {
		ids = append(ids, idOfOpening(opening))
	}
	return o.delete(ids)
}

func (o *openings) delete(ids []openingID) error {
	changed := map[uint32]struct{}{}
	for _, id := range ids {
		delete(o.byInterface[id.ifindex], id)
		if len(o.byInterface[id.ifindex]) == 0 {
			delete(o.byInterface, id.ifindex)
		}
		delete(o.leftover, id)
		changed[id.ifindex] = struct{}{}
	}
	return o.proxyChanged(changed)
}

// List implements Openings.
func (o *openings) List() ([]Opening, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Opening
	for _, ids := range o.byInterface {
		for id := range ids {
			list = append(list, Opening{Interface: int(id.ifindex), Protocol: id.protocol, Port: big(id.port)})
		}
	}
	slices.SortFunc(list, func(a, b Opening) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return list, nil
}

// proxyChanged rewrites the entries of interfaces.
func (o *openings) proxyChanged(ifindexes map[uint32]struct{}) error {
	var gone []bpf.KernelEndpoint
	fresh := map[bpf.KernelEndpoint]uint32{}
	for ifindex := range ifindexes {
		want := o.wanted(ifindex)
		for key := range o.entries[ifindex] {
			if _, ok := want[key]; !ok {
				gone = append(gone, key)
			}
		}
		for key := range want {
			fresh[key] = 1
		}
	}
	if err := o.table.remove(gone); err != nil {
		return err
	}
	for _, key := range gone {
		delete(o.entries[key.Scope], key)
	}
	for ifindex := range ifindexes {
		if len(o.entries[ifindex]) == 0 {
			delete(o.entries, ifindex)
		}
	}
	// If it fails partway, everything is retried, and removed with the proxy.
	for key := range fresh {
		add(o.entries, key.Scope, key)
	}
	return o.table.update(fresh)
}

// wanted computes the entries of an interface.
func (o *openings) wanted(ifindex uint32) map[bpf.KernelEndpoint]struct{} {
	proxy, ok := o.proxies.want[ifindex]
	if !ok {
		return nil
	}
	want := map[bpf.KernelEndpoint]struct{}{}
	for _, address := range (pair{four: proxy.Address4, six: proxy.Address6.Bytes}).list() {
		key := bpf.KernelEndpoint{Scope: ifindex}
		key.Address.Bytes = as16(address)
		want[key] = struct{}{}
		for id := range o.byInterface[ifindex] {
			key.Port, key.Protocol = id.port, id.protocol
			want[key] = struct{}{}
		}
	}
	return want
}

// proxyGone removes the openings of interfaces.
func (o *openings) proxyGone(ifindexes map[uint32]struct{}) error {
	var ids []openingID
	for ifindex := range ifindexes {
		ids = slices.AppendSeq(ids, maps.Keys(o.byInterface[ifindex]))
	}
	return errors.Join(o.delete(ids), o.proxyChanged(ifindexes))
}

// repair corrects the map. All wanted openings must have been put before.
func (o *openings) repair() (int, error) {
	leftover := slices.Collect(maps.Keys(o.leftover))
	// Unchanged proxies of an earlier version have no entries yet.
	all := map[uint32]struct{}{}
	for ifindex := range o.proxies.want {
		all[ifindex] = struct{}{}
	}
	if err := errors.Join(o.delete(leftover), o.proxyChanged(all)); err != nil {
		return 0, err
	}
	if err := o.complete(); err != nil {
		return 0, err
	}
	n, err := o.table.repair()
	return len(leftover) + n, err
}
