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

	"github.com/acnodal/epic/bpf"
)

// directs implements Directs. Each direct endpoint has one entry in the map, which the
// programs only read for packets without a service.
type directs struct {
	mu    *sync.Mutex
	role  Role
	table *table[bpf.KernelEndpoint, uint32]
	// leftover holds direct endpoints of an earlier process that have not been put since.
	leftover map[bpf.KernelEndpoint]struct{}
}

func newDirects(mu *sync.Mutex, role Role, m *bpf.KernelMaps) (*directs, error) {
	d := &directs{mu: mu, role: role, leftover: map[bpf.KernelEndpoint]struct{}{}}
	var err error
	if d.table, err = newTable[bpf.KernelEndpoint, uint32](m.Direct, "direct endpoints"); err != nil {
		return nil, err
	}
	for key := range d.table.want {
		d.leftover[key] = struct{}{}
	}
	return d, nil
}

// check validates a direct endpoint.
func (d *directs) check(direct Direct) error {
	address := direct.Endpoint.Addr()
	switch {
	case d.role != RoleGateway:
		return errors.New("direct endpoints are on gateway nodes only")
	case direct.Interface <= 0:
		return fmt.Errorf("direct endpoint %s: interface %d: must be the index of a proxy's interface", direct.Endpoint, direct.Interface)
	case !address.IsValid() || address.Zone() != "" || address.IsUnspecified() || address.IsLoopback() || address.IsMulticast() || address.IsLinkLocalUnicast():
		return fmt.Errorf("direct endpoint %s: the address must be that of one other host", direct.Endpoint)
	case direct.Endpoint.Port() == 0:
		return fmt.Errorf("direct endpoint %s: the port must not be zero", direct.Endpoint)
	}
	if err := checkProtocol(direct.Protocol); err != nil {
		return fmt.Errorf("direct endpoint %s: %w", direct.Endpoint, err)
	}
	return nil
}

func keyOfDirect(direct Direct) bpf.KernelEndpoint {
	key := bpf.KernelEndpoint{Scope: uint32(direct.Interface), Port: big(direct.Endpoint.Port()), Protocol: direct.Protocol}
	key.Address.Bytes = as16(direct.Endpoint.Addr())
	return key
}

// Put implements Directs.
func (d *directs) Put(put ...Direct) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	var full []string
	entries := map[bpf.KernelEndpoint]uint32{}
	room := d.table.room()
	for _, direct := range put {
		if err := d.check(direct); err != nil {
			errs = append(errs, err)
			continue
		}
		key := keyOfDirect(direct)
		_, known := d.table.want[key]
		if _, again := entries[key]; !known && !again {
			if room == 0 {
				full = append(full, fmt.Sprintf("%s/%d at interface %d", direct.Endpoint, direct.Protocol, direct.Interface))
				continue
			}
			room--
		}
		entries[key] = 1
		delete(d.leftover, key)
	}
	if len(full) > 0 {
		errs = append(errs, fmt.Errorf("direct endpoints %s: %w: the limit is %d", some(full), ErrMapFull, d.table.m.MaxEntries()))
	}
	return errors.Join(append(errs, d.table.update(entries))...)
}

// Delete implements Directs.
func (d *directs) Delete(gone ...Direct) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := make([]bpf.KernelEndpoint, 0, len(gone))
	for _, direct := range gone {
		keys = append(keys, keyOfDirect(direct))
	}
	return d.delete(keys)
}

func (d *directs) delete(keys []bpf.KernelEndpoint) error {
	if err := d.table.remove(keys); err != nil {
		return err
	}
	for _, key := range keys {
		delete(d.leftover, key)
	}
	return nil
}

// List implements Directs.
func (d *directs) List() ([]Direct, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Direct, 0, len(d.table.want))
	for key := range d.table.want {
		list = append(list, Direct{Interface: int(key.Scope), Endpoint: netip.AddrPortFrom(from16(key.Address.Bytes), big(key.Port)), Protocol: key.Protocol})
	}
	slices.SortFunc(list, func(a, b Direct) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Protocol, b.Protocol))
	})
	return list, nil
}

// proxyGone removes the direct endpoints of interfaces.
func (d *directs) proxyGone(ifindexes map[uint32]struct{}) error {
	var keys []bpf.KernelEndpoint
	for key := range d.table.want {
		if _, ok := ifindexes[key.Scope]; ok {
			keys = append(keys, key)
		}
	}
	return d.delete(keys)
}

// repair corrects the map. All wanted endpoints must have been put before.
func (d *directs) repair() (int, error) {
	leftover := slices.Collect(maps.Keys(d.leftover))
	if err := d.delete(leftover); err != nil {
		return 0, err
	}
	n, err := d.table.repair()
	return len(leftover) + n, err
}
