// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// flowDestination is where a flow's key has the proxy's address.
const flowDestination = unsafe.Offsetof(bpf.KernelFlow{}.Destination)

// flows are the maps in which the programs of a gateway note which of several pods of a
// proxy has a flow. Each address that several interfaces have has its own.
type flows struct {
	role    Role
	maps    *ebpf.Map
	counts  *ebpf.Map
	spec    *ebpf.MapSpec // of one address's map
	proxies *table[uint32, bpf.KernelProxy]
	// made are the addresses that have a map.
	made map[[16]byte]struct{}
}

func newFlows(role Role, m *bpf.KernelMaps, spec *ebpf.CollectionSpec, proxies *table[uint32, bpf.KernelProxy]) (*flows, error) {
	f := &flows{
		role: role, maps: m.ProxyFlows, counts: m.FlowCounts, proxies: proxies,
		spec: spec.Maps[bpf.KernelMapProxyFlows].InnerMap, made: map[[16]byte]struct{}{},
	}
	if role != RoleGateway {
		return f, nil
	}
	var err error
	if f.made, err = entryKeys[[16]byte, uint32](f.maps); err != nil {
		return nil, err
	}
	return f, f.follow()
}

// entryKeys lists the keys of a map.
func entryKeys[K comparable, V any](m *ebpf.Map) (map[K]struct{}, error) {
	keys := map[K]struct{}{}
	if err := eachEntry(m, func(key K, _ V) { keys[key] = struct{}{} }); err != nil {
		return nil, fmt.Errorf("reading the flows of proxies: %w", err)
	}
	return keys, nil
}

// shared are the addresses that several interfaces have.
func (f *flows) shared() map[[16]byte]struct{} {
	seen, shared := map[[16]byte]struct{}{}, map[[16]byte]struct{}{}
	for _, proxy := range f.proxies.want {
		for _, address := range (pair{four: proxy.Address4, six: proxy.Address6.Bytes}).list() {
			key := as16(address)
			if _, again := seen[key]; again {
				shared[key] = struct{}{}
			}
			seen[key] = struct{}{}
		}
	}
	return shared
}

// follow makes the maps of addresses that have come to be shared, and removes those of
// others. An address without a map is no failure of the packets' way: its flows are not
// known, as those of a map that is full.
func (f *flows) follow() error {
	if f.role != RoleGateway {
		return nil
	}
	shared := f.shared()
	var errs []error
	for address := range shared {
		if _, ok := f.made[address]; ok {
			continue
		}
		if err := f.add(address); err != nil {
			errs = append(errs, fmt.Errorf("making the map of the flows of %v: %w", from16(address), err))
			continue
		}
		f.made[address] = struct{}{}
	}
	for address := range f.made {
		if _, ok := shared[address]; ok {
			continue
		}
		if err := f.remove(address); err != nil {
			errs = append(errs, fmt.Errorf("removing the map of the flows of %v: %w", from16(address), err))
			continue
		}
		delete(f.made, address)
	}
	return errors.Join(errs...)
}

func (f *flows) add(address [16]byte) error {
	err := f.counts.Update(address, bpf.KernelFlowCount{}, ebpf.UpdateNoExist)
	if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fullMap(err)
	}
	inner, err := ebpf.NewMap(f.spec)
	if err != nil {
		return err
	}
	return errors.Join(fullMap(f.maps.Put(address, inner)), inner.Close())
}

func (f *flows) remove(address [16]byte) error {
	for _, m := range []*ebpf.Map{f.maps, f.counts} {
		if err := m.Delete(address); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// repair makes the maps what they should be, and returns how many were not.
func (f *flows) repair() (int, error) {
	if f.role != RoleGateway {
		return 0, nil
	}
	made, err := entryKeys[[16]byte, uint32](f.maps)
	if err != nil {
		return 0, err
	}
	counted, err := entryKeys[[16]byte, bpf.KernelFlowCount](f.counts)
	if err != nil {
		return 0, err
	}
	shared := f.shared()
	mended := len(missing(made, shared)) + len(missing(shared, made))
	for _, address := range missing(shared, counted) {
		if _, ok := made[address]; ok {
			mended++
			if err := f.counts.Put(address, bpf.KernelFlowCount{}); err != nil {
				return 0, fmt.Errorf("repairing the counts of flows: %w", fullMap(err))
			}
		}
	}
	for _, address := range missing(counted, shared) {
		if _, ok := made[address]; !ok {
			mended++
			made[address] = struct{}{} // removed below
		}
	}
	f.made = made
	return mended, f.follow()
}

// adoptFlows takes over what an earlier version, which had one map for the flows of all
// proxies, has noted there.
func (d *DataPlane) adoptFlows(spec *ebpf.CollectionSpec) error {
	if d.options.Role != RoleGateway {
		return nil
	}
	i := slices.IndexFunc(d.maps, func(m *pinnedMap) bool { return m.name == bpf.KernelMapFlows })
	if d.maps[i].old == nil {
		return nil
	}
	if err := d.flows.adopt(d.maps[i].old, spec.Maps[bpf.KernelMapFlows]); err != nil {
		return fmt.Errorf("taking over the flows of proxies: %w", err)
	}
	return nil
}

func (f *flows) adopt(old *ebpf.Map, spec *ebpf.MapSpec) error {
	how, err := convert(old, spec)
	if err != nil || how == nil {
		return err
	}
	inner := map[[16]byte]*ebpf.Map{}
	var errs []error
	for address := range f.made {
		m, err := innerOf(f.maps, address[:])
		if err != nil || m == nil {
			errs = append(errs, err)
			continue
		}
		inner[address] = m
	}
	errs = append(errs, how.split(old, spec, func(key []byte) *ebpf.Map {
		return inner[[16]byte(key[flowDestination:])]
	}, ebpf.UpdateNoExist))
	for m := range maps.Values(inner) {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// FlowCounts implements Observer.
func (d *DataPlane) FlowCounts() ([]FlowCounts, error) {
	if d.options.Role != RoleGateway {
		return nil, nil
	}
	counts, err := readMap[[16]byte, bpf.KernelFlowCount](d.objects.FlowCounts)
	if err != nil {
		return nil, fmt.Errorf("reading the counts of flows: %w", err)
	}
	list := make([]FlowCounts, 0, len(counts))
	for address, n := range counts {
		list = append(list, FlowCounts{Address: from16(address), Noted: n.Noted, Unknown: n.Unknown})
	}
	slices.SortFunc(list, func(a, b FlowCounts) int { return a.Address.Compare(b.Address) })
	return list, nil
}
