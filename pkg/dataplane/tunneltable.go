// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// tunnelTable is the map of tunnels, with its desired content in a form that uses less
// memory than the kernel's entries. A node may have a hundred thousand.
type tunnelTable struct {
	kernel *derived[uint32, bpf.KernelTunnel]
	kept   map[uint32]keptTunnel
	// others holds the accepted cookies besides the first, for tunnels where they are not
	// the same.
	others map[uint32][MaxCookies - 1]uint64
	// locals holds the ends on this node, of which there are few.
	locals []localEnd
	places map[localEnd]uint32
}

type localEnd struct {
	address [16]byte
	port    uint16
	family6 uint8
}

// keptTunnel is the compact form of an entry of the kernel's map.
type keptTunnel struct {
	remote         [16]byte
	cookie, accept uint64
	slot           uint32
	local          uint32
	remotePort     uint16
	mtu            uint16
	flags          uint8
}

func newTunnelTable(m *ebpf.Map) (*tunnelTable, error) {
	kernel, err := newDerived[uint32, bpf.KernelTunnel](m, "tunnels")
	if err != nil {
		return nil, err
	}
	t := &tunnelTable{kernel: kernel, kept: make(map[uint32]keptTunnel, len(kernel.found)), others: map[uint32][MaxCookies - 1]uint64{}, places: map[localEnd]uint32{}}
	for id, value := range kernel.found {
		t.keep(id, &value)
	}
	return t, nil
}

func (t *tunnelTable) keep(id uint32, value *bpf.KernelTunnel) {
	end := localEnd{value.Local.Bytes, value.LocalPort, value.Family6}
	local, ok := t.places[end]
	if !ok {
		local = uint32(len(t.locals))
		t.locals = append(t.locals, end)
		t.places[end] = local
	}
	t.kept[id] = keptTunnel{
		remote: value.Remote.Bytes, remotePort: value.RemotePort, local: local, slot: value.Slot, mtu: value.Mtu,
		flags: uint8(value.Flags), cookie: value.Cookie, accept: value.Accepts[0],
	}
	delete(t.others, id)
	for _, accepted := range value.Accepts {
		if accepted != value.Accepts[0] {
			t.others[id] = [MaxCookies - 1]uint64(value.Accepts[1:])
			break
		}
	}
}

func (t *tunnelTable) unpack(id uint32, k *keptTunnel) bpf.KernelTunnel {
	end := t.locals[k.local]
	value := bpf.KernelTunnel{
		LocalPort: end.port, Family6: end.family6, RemotePort: k.remotePort, Slot: k.slot, Mtu: k.mtu,
		Flags: bpf.KernelTunnelFlags(k.flags), Cookie: k.cookie,
	}
	value.Local.Bytes, value.Remote.Bytes = end.address, k.remote
	for i := range value.Accepts {
		value.Accepts[i] = k.accept
	}
	if others, ok := t.others[id]; ok {
		copy(value.Accepts[1:], others[:])
	}
	return value
}

// get returns the desired entry of a tunnel.
func (t *tunnelTable) get(id uint32) (bpf.KernelTunnel, bool) {
	k, ok := t.kept[id]
	if !ok {
		return bpf.KernelTunnel{}, false
	}
	return t.unpack(id, &k), true
}

// all iterates over all entries.
func (t *tunnelTable) all(yield func(uint32, bpf.KernelTunnel) bool) {
	for id, k := range t.kept {
		if !yield(id, t.unpack(id, &k)) {
			return
		}
	}
}

// room returns how many more entries fit.
func (t *tunnelTable) room() int { return int(t.kernel.m.MaxEntries()) - len(t.kept) }

// update writes entries.
func (t *tunnelTable) update(entries map[uint32]bpf.KernelTunnel) error {
	if err := t.kernel.update(entries); err != nil {
		return err
	}
	for id, value := range entries {
		t.keep(id, &value)
	}
	return nil
}

// remove deletes entries; missing ones are not an error.
func (t *tunnelTable) remove(ids []uint32) error {
	if err := t.kernel.remove(ids); err != nil {
		return err
	}
	for _, id := range ids {
		delete(t.kept, id)
		delete(t.others, id)
	}
	return nil
}

// repair corrects the kernel's map.
func (t *tunnelTable) repair() (int, error) {
	return t.kernel.repair(t.get, maps.Keys(t.kept), len(t.kept))
}
