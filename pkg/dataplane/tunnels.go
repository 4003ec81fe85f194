// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/pkg/gue"
)

const (
	// MinMTU is the minimum inner MTU of a tunnel: the packet quoted in an ICMP error
	// about a packet that is too big has to be smaller than the packet, even with a
	// cookie.
	MinMTU = 552 + CookieSize
	// CookieSize is the size of a data packet's cookie in bytes.
	CookieSize = gue.CookieSize
	// MaxCookies is the maximum number of cookies that are accepted in a tunnel at a
	// time.
	MaxCookies = gue.MaxCookies
)

// tunnels implements Tunnels.
type tunnels struct {
	mu   *sync.Mutex
	port uint16
	// required drops packets without a cookie in all tunnels.
	required bool
	tunnels  *tunnelTable
	places   *table[bpf.KernelPlace, uint32]
	counters *ebpf.Map
	// free holds the unused slots of counters; next is the first slot that was never
	// used.
	free []uint32
	next uint32
	// leftover holds tunnels of an earlier process that have not been put since.
	leftover map[uint32]struct{}
}

func newTunnels(mu *sync.Mutex, options Options, m *bpf.KernelMaps) (*tunnels, error) {
	t := &tunnels{mu: mu, port: options.Port, required: options.RequireCookies, counters: m.TunnelCounters, leftover: map[uint32]struct{}{}}
	var err error
	if t.tunnels, err = newTunnelTable(m.Tunnels); err != nil {
		return nil, err
	}
	if t.places, err = newTable[bpf.KernelPlace, uint32](m.LocalEndpoints, "outer addresses"); err != nil {
		return nil, err
	}
	taken := map[uint32]struct{}{}
	for id, value := range t.tunnels.all {
		t.leftover[id] = struct{}{}
		if value.Slot < t.counters.MaxEntries() {
			taken[value.Slot] = struct{}{}
			t.next = max(t.next, value.Slot+1)
		}
	}
	for slot := range t.next {
		if _, ok := taken[slot]; !ok {
			t.free = append(t.free, slot)
		}
	}
	return t, nil
}

// takeSlot allocates a slot for the counters of a new tunnel, in which they start at
// zero.
func (t *tunnels) takeSlot() (uint32, error) {
	if len(t.free) == 0 {
		// The slot was never used.
		t.next++
		return t.next - 1, nil
	}
	slot := t.free[len(t.free)-1]
	if err := t.counters.Put(slot, bpf.KernelCounters{}); err != nil {
		return 0, fmt.Errorf("clearing counters: %w", err)
	}
	t.free = t.free[:len(t.free)-1]
	return slot, nil
}

// check validates a tunnel.
func (t *tunnels) check(tunnel Tunnel) error {
	switch {
	case tunnel.ID == 0 || tunnel.ID > math.MaxInt32:
		return fmt.Errorf("tunnel %d: the ID must be from 1 to %d", tunnel.ID, math.MaxInt32)
	case !tunnel.Local.IsValid() || tunnel.Local.Addr().IsUnspecified() || tunnel.Local.Addr().IsMulticast():
		return fmt.Errorf("tunnel %d: local %v: must be a unicast address of this node and a port", tunnel.ID, tunnel.Local)
	case tunnel.Local.Port() != t.port:
		return fmt.Errorf("tunnel %d: local %v: the port must be %d, this node's port of all tunnels", tunnel.ID, tunnel.Local, t.port)
	case tunnel.MTU < MinMTU:
		return fmt.Errorf("tunnel %d: MTU %d: must be at least %d", tunnel.ID, tunnel.MTU, MinMTU)
	}
	return checkRemote(tunnel.ID, tunnel.Local.Addr(), tunnel.Remote)
}

func checkRemote(id uint32, local netip.Addr, remote netip.AddrPort) error {
	switch {
	case remote == netip.AddrPort{}:
		return nil
	case !remote.IsValid() || remote.Port() == 0 || remote.Addr().IsUnspecified() || remote.Addr().IsMulticast():
		return fmt.Errorf("tunnel %d: remote %v: must be a unicast address and a port", id, remote)
	case remote.Addr().Unmap().Is4() != local.Unmap().Is4():
		return fmt.Errorf("tunnel %d: remote %v: must be of the same family as the local address %v", id, remote, local)
	}
	return nil
}

func setRemote(value *bpf.KernelTunnel, remote netip.AddrPort) {
	value.Remote.Bytes = as16(remote.Addr())
	value.RemotePort = big(remote.Port())
}

// Put implements Tunnels.
func (t *tunnels) Put(put ...Tunnel) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	entries := make(map[uint32]bpf.KernelTunnel, len(put))
	var full []uint32
	room := t.tunnels.room()
	for _, tunnel := range put {
		if err := t.check(tunnel); err != nil {
			errs = append(errs, err)
			continue
		}
		had, exists := t.tunnels.get(tunnel.ID)
		if again, ok := entries[tunnel.ID]; ok {
			had, exists = again, true
		}
		if !exists {
			if room == 0 {
				full = append(full, tunnel.ID)
				continue
			}
			room--
			var err error
			if had.Slot, err = t.takeSlot(); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		local := tunnel.Local.Addr().Unmap()
		value := bpf.KernelTunnel{
			LocalPort: big(tunnel.Local.Port()), Mtu: tunnel.MTU, Slot: had.Slot,
			Flags: had.Flags, Cookie: had.Cookie, Accepts: had.Accepts,
		}
		if t.required {
			value.Flags |= needsCookie
		}
		value.Mtu -= cookieRoom(&value)
		value.Local.Bytes = as16(local)
		if local.Is6() {
			value.Family6 = 1
		}
		switch {
		case tunnel.Remote != netip.AddrPort{}:
			setRemote(&value, tunnel.Remote)
		case exists && had.Family6 == value.Family6:
			value.Remote, value.RemotePort = had.Remote, had.RemotePort
		}
		entries[tunnel.ID] = value
	}
	if len(full) > 0 {
		errs = append(errs, fmt.Errorf("tunnels %s: %w: the limit is %d tunnels", some(full), ErrMapFull, t.tunnels.kernel.m.MaxEntries()))
	}
	if err := t.write(entries); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// write writes tunnels to the programs' maps, their outer addresses first.
func (t *tunnels) write(entries map[uint32]bpf.KernelTunnel) error {
	places := map[bpf.KernelPlace]uint32{}
	for id, value := range entries {
		place := bpf.KernelPlace{Address: value.Local}
		if _, ok := places[place]; !ok {
			places[place] = t.places.want[place]
		}
		places[place]++
		if had, ok := t.tunnels.get(id); ok {
			old := bpf.KernelPlace{Address: had.Local}
			if _, ok := places[old]; !ok {
				places[old] = t.places.want[old]
			}
			places[old]--
		}
	}
	gone := takeZeroes(places)
	if err := t.places.update(places); err != nil {
		return err
	}
	if err := t.tunnels.update(entries); err != nil {
		return err
	}
	for id := range entries {
		delete(t.leftover, id)
	}
	return t.places.remove(gone)
}

// takeZeroes moves keys with a count of zero from a map to a list.
func takeZeroes[K comparable](counts map[K]uint32) []K {
	var gone []K
	for key, count := range counts {
		if count == 0 {
			gone = append(gone, key)
			delete(counts, key)
		}
	}
	return gone
}

// Delete implements Tunnels.
func (t *tunnels) Delete(ids ...uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.delete(ids)
}

func (t *tunnels) delete(ids []uint32) error {
	present, slots := make([]uint32, 0, len(ids)), make([]uint32, 0, len(ids))
	places := map[bpf.KernelPlace]uint32{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		had, ok := t.tunnels.get(id)
		if !ok {
			continue
		}
		present = append(present, id)
		place := bpf.KernelPlace{Address: had.Local}
		if _, ok := places[place]; !ok {
			places[place] = t.places.want[place]
		}
		places[place]--
		slots = append(slots, had.Slot)
	}
	if err := t.tunnels.remove(present); err != nil {
		return err
	}
	for _, id := range present {
		delete(t.leftover, id)
	}
	t.free = append(t.free, slots...)
	gone := takeZeroes(places)
	return errors.Join(t.places.update(places), t.places.remove(gone))
}

// SetRemote implements Tunnels.
func (t *tunnels) SetRemote(id uint32, remote netip.AddrPort) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	value, ok := t.tunnels.get(id)
	if !ok {
		return fmt.Errorf("tunnel %d: %w", id, ErrNoTunnel)
	}
	if err := checkRemote(id, from16(value.Local.Bytes), remote); err != nil {
		return err
	}
	setRemote(&value, remote)
	return t.tunnels.update(map[uint32]bpf.KernelTunnel{id: value})
}

// List implements Tunnels.
func (t *tunnels) List() ([]Tunnel, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Tunnel, 0, len(t.tunnels.kept))
	for _, id := range slices.Sorted(maps.Keys(t.tunnels.kept)) {
		value, _ := t.tunnels.get(id)
		tunnel := Tunnel{
			ID:    id,
			Local: netip.AddrPortFrom(from16(value.Local.Bytes), big(value.LocalPort)),
			MTU:   value.Mtu + cookieRoom(&value),
		}
		if value.RemotePort != 0 {
			tunnel.Remote = netip.AddrPortFrom(from16(value.Remote.Bytes), big(value.RemotePort))
		}
		list = append(list, tunnel)
	}
	return list, nil
}

// Counters implements Tunnels.
func (t *tunnels) Counters(ids ...uint32) (map[uint32]Counters, error) {
	if len(ids) == 0 {
		all := map[uint32]Counters{}
		return all, t.EachCounters(func(id uint32, c Counters) { all[id] = c })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	counters := make(map[uint32]Counters, len(ids))
	for _, id := range ids {
		tunnel, ok := t.tunnels.get(id)
		if !ok {
			continue
		}
		var value bpf.KernelCounters
		if err := t.counters.Lookup(tunnel.Slot, &value); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("counters of tunnel %d: %w", id, err)
		}
		counters[id] = countersOf(value)
	}
	return counters, nil
}

func countersOf(value bpf.KernelCounters) Counters {
	return Counters{
		ReceivedPackets: value.ReceivedPackets, ReceivedBytes: value.ReceivedBytes,
		SentPackets: value.SentPackets, SentBytes: value.SentBytes,
	}
}

// EachCounters implements Tunnels.
func (t *tunnels) EachCounters(see func(id uint32, c Counters)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	slots, err := t.readSlots()
	if err != nil {
		return fmt.Errorf("read the map of counters: %w", err)
	}
	for id, kept := range t.tunnels.kept {
		if int(kept.slot) < len(slots) {
			see(id, countersOf(slots[kept.slot]))
		}
	}
	return nil
}

// readSlots reads the counters of all slots that were ever used, by slot. The map has
// room for many more.
func (t *tunnels) readSlots() ([]bpf.KernelCounters, error) {
	slots, keys := make([]bpf.KernelCounters, t.next), make([]uint32, t.next)
	cursor := new(ebpf.MapBatchCursor)
	for done := 0; done < len(slots); {
		end := min(done+batch, len(slots))
		n, err := t.counters.BatchLookup(cursor, keys[done:end], slots[done:end], nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			return t.readSlotsOneByOne(slots)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, err
		}
		if n == 0 {
			break
		}
		done += n
	}
	return slots, nil
}

func (t *tunnels) readSlotsOneByOne(slots []bpf.KernelCounters) ([]bpf.KernelCounters, error) {
	for slot := range slots {
		if err := t.counters.Lookup(uint32(slot), &slots[slot]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, err
		}
	}
	return slots, nil
}

// repair corrects the maps.
func (t *tunnels) repair() (int, error) {
	leftover := slices.Collect(maps.Keys(t.leftover))
	if err := t.delete(leftover); err != nil {
		return 0, err
	}
	mended := len(leftover)
	// A slot that was changed may have wrong counts.
	counts := map[bpf.KernelPlace]uint32{}
	for _, value := range t.tunnels.all {
		counts[bpf.KernelPlace{Address: value.Local}]++
	}
	t.places.want = counts
	for _, repair := range []func() (int, error){t.tunnels.repair, t.places.repair} {
		n, err := repair()
		if err != nil {
			return mended, err
		}
		mended += n
	}
	return mended, nil
}

// some formats the beginning of a list.
func some[T any](list []T) string {
	const most = 10
	if len(list) <= most {
		return fmt.Sprint(list)
	}
	return fmt.Sprintf("%v and %d more", list[:most], len(list)-most)
}
