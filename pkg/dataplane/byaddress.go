// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// byAddress manages the maps in which the programs of a gateway store what they learn
// from packets of the proxies' addresses. Each address has its own map, so entries from
// one proxy's packets never displace those from another's.
type byAddress struct {
	role Role
	// what describes the entries, for messages.
	what string
	// maps holds the map of each address, and counts how often an entry was stored.
	maps, counts *ebpf.Map
	spec         *ebpf.MapSpec // of one address's map
	// wanted returns the addresses that should have a map.
	wanted func() map[[16]byte]struct{}
	// made holds the addresses that have one.
	made map[[16]byte]struct{}
	// former is the map that earlier versions had for all addresses, and destination the
	// position of the proxy's address in its keys.
	former      string
	destination uintptr
}

// adopted reads which addresses have maps, and creates missing ones.
func (b *byAddress) adopted() (*byAddress, error) {
	b.made = map[[16]byte]struct{}{}
	if b.role != RoleGateway {
		return b, nil
	}
	var err error
	if b.made, err = entryKeys[[16]byte, uint32](b.maps); err != nil {
		return nil, fmt.Errorf("read the maps of the %s of proxies: %w", b.what, err)
	}
	return b, b.follow()
}

// entryKeys returns the keys of a map.
func entryKeys[K comparable, V any](m *ebpf.Map) (map[K]struct{}, error) {
	keys := map[K]struct{}{}
	err := eachEntry(m, func(key K, _ V) { keys[key] = struct{}{} })
	return keys, err
}

// follow creates the maps of newly wanted addresses, and removes those of others. A
// missing map does not interrupt traffic: nothing is learned for the address, as with a
// full map.
func (b *byAddress) follow() error {
	if b.role != RoleGateway {
		return nil
	}
	wanted := b.wanted()
	var errs []error
	// Each batch waits once for running programs, and opens as many files.
	for addresses := range slices.Chunk(missing(wanted, b.made), innerBatch) {
		if err := b.add(addresses); err != nil {
			errs = append(errs, fmt.Errorf("create maps of the %s of %d addresses, starting at %v: %w", b.what, len(addresses), from16(addresses[0]), err))
		}
	}
	if gone := missing(b.made, wanted); len(gone) > 0 {
		if err := errors.Join(deleteMap(b.maps, gone), deleteMap(b.counts, gone)); err != nil {
			errs = append(errs, fmt.Errorf("remove maps of the %s of %d addresses: %w", b.what, len(gone), err))
		} else {
			maps.DeleteFunc(b.made, func(address [16]byte, _ struct{}) bool { return slices.Contains(gone, address) })
		}
	}
	return errors.Join(errs...)
}

// innerBatch is the number of maps that are created together.
const innerBatch = 256

func (b *byAddress) add(addresses [][16]byte) error {
	inner := make([]*ebpf.Map, 0, len(addresses))
	files := make([]uint32, 0, len(addresses))
	var errs []error
	for _, address := range addresses {
		err := b.counts.Update(address, bpf.KernelFlowCount{}, ebpf.UpdateNoExist)
		if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			errs = append(errs, fullMap(err))
			break
		}
		m, err := ebpf.NewMap(b.spec)
		if err != nil {
			errs = append(errs, err)
			break
		}
		inner, files = append(inner, m), append(files, uint32(m.FD()))
	}
	addresses = addresses[:len(inner)]
	if err := writeMap(b.maps, addresses, files); err != nil {
		errs = append(errs, err)
	} else {
		for _, address := range addresses {
			b.made[address] = struct{}{}
		}
	}
	for _, m := range inner {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// repair corrects the maps, and returns how many were wrong.
func (b *byAddress) repair() (int, error) {
	if b.role != RoleGateway {
		return 0, nil
	}
	made, err := entryKeys[[16]byte, uint32](b.maps)
	if err != nil {
		return 0, fmt.Errorf("read the maps of the %s of proxies: %w", b.what, err)
	}
	counted, err := entryKeys[[16]byte, bpf.KernelFlowCount](b.counts)
	if err != nil {
		return 0, fmt.Errorf("read the counts of the %s of proxies: %w", b.what, err)
	}
	wanted := b.wanted()
	mended := len(missing(made, wanted)) + len(missing(wanted, made))
	for _, address := range missing(wanted, counted) {
		if _, ok := made[address]; ok {
			mended++
			if err := b.counts.Put(address, bpf.KernelFlowCount{}); err != nil {
				return 0, fmt.Errorf("repair the counts of the %s of proxies: %w", b.what, fullMap(err))
			}
		}
	}
	for _, address := range missing(counted, wanted) {
		if _, ok := made[address]; !ok {
			mended++
			made[address] = struct{}{} // removed below
		}
	}
	b.made = made
	return mended, b.follow()
}

// adopt copies the entries of an earlier version, which had one map for all proxies.
func (b *byAddress) adopt(pinned []*pinnedMap) error {
	if b.role != RoleGateway {
		return nil
	}
	i := slices.IndexFunc(pinned, func(m *pinnedMap) bool { return m.name == b.former })
	old, spec := pinned[i].old, pinned[i].spec
	if old == nil {
		return nil
	}
	if err := b.take(old, spec, pinned[i].had); err != nil {
		return fmt.Errorf("take over the %s of proxies: %w", b.what, err)
	}
	return nil
}

func (b *byAddress) take(old *ebpf.Map, spec *ebpf.MapSpec, had *layout) error {
	how, err := convert(old, spec, had)
	if err != nil || how == nil {
		return err
	}
	inner := map[[16]byte]*ebpf.Map{}
	var errs []error
	errs = append(errs, how.split(old, spec, func(key []byte) *ebpf.Map {
		address := [16]byte(key[b.destination:])
		m, ok := inner[address]
		if !ok {
			var err error
			if m, err = innerOf(b.maps, address[:]); err != nil {
				errs = append(errs, err)
			}
			inner[address] = m
		}
		return m
	}, ebpf.UpdateNoExist))
	for m := range maps.Values(inner) {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// list returns the counts, sorted by address.
func (b *byAddress) list() ([]AddressCounts, error) {
	if b.role != RoleGateway {
		return nil, nil
	}
	counts, err := readMap[[16]byte, bpf.KernelFlowCount](b.counts)
	if err != nil {
		return nil, fmt.Errorf("read the counts of %s: %w", b.what, err)
	}
	list := make([]AddressCounts, 0, len(counts))
	for address, n := range counts {
		list = append(list, AddressCounts{Address: from16(address), Noted: n.Noted, Unknown: n.Unknown})
	}
	slices.SortFunc(list, func(a, b AddressCounts) int { return a.Address.Compare(b.Address) })
	return list, nil
}

// addressesOfAtLeast returns the addresses that at least the given number of proxies'
// interfaces have.
func addressesOfAtLeast(least int, proxies *table[uint32, bpf.KernelProxy]) map[[16]byte]struct{} {
	interfaces, addresses := map[[16]byte]int{}, map[[16]byte]struct{}{}
	for _, proxy := range proxies.want {
		for _, address := range (pair{four: proxy.Address4, six: proxy.Address6.Bytes}).list() {
			key := as16(address)
			if interfaces[key]++; interfaces[key] >= least {
				addresses[key] = struct{}{}
			}
		}
	}
	return addresses
}
