// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// eachInner calls visit for the maps in a pinned map of maps, and closes each after the
// call.
func eachInner(m *ebpf.Map, visit func(key []byte, inner *ebpf.Map) error) error {
	var keys [][]byte
	var key []byte
	var id uint32
	entries := m.Iterate()
	for entries.Next(&key, &id) {
		keys = append(keys, key)
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("list the maps in it: %w", err)
	}
	for _, key := range keys {
		inner, err := innerOf(m, key)
		if err != nil {
			return err
		}
		if inner == nil {
			continue
		}
		if err := errors.Join(visit(key, inner), inner.Close()); err != nil {
			return err
		}
	}
	return nil
}

// innerOf opens a map in a map of maps. It returns nil if there is none, and also without
// CAP_SYS_ADMIN, which the kernel requires for it: learned entries are then learned
// again.
func innerOf(m *ebpf.Map, key []byte) (*ebpf.Map, error) {
	var inner *ebpf.Map
	err := m.Lookup(key, &inner)
	if errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open a map in it: %w", err)
	}
	return inner, nil
}

// innerSame reports whether all maps in a map of maps have the expected properties. The
// kernel does not describe the inner maps that it accepts, so an empty map of maps
// returns false.
func innerSame(m *ebpf.Map, spec *ebpf.MapSpec) (bool, error) {
	same, found := true, false
	err := eachInner(m, func(_ []byte, inner *ebpf.Map) error {
		how, err := convert(inner, spec, nil)
		same, found = same && how == nil, true
		return err
	})
	return same && found, err
}

// copyInner copies a map of maps. Inner maps with the expected properties are reused in
// the new one, the entries of others are converted.
func copyInner(from, to *ebpf.Map, spec *ebpf.MapSpec, flags ebpf.MapUpdateFlags) error {
	return eachInner(from, func(key []byte, had *ebpf.Map) error {
		how, err := convert(had, spec, nil)
		if err != nil {
			return err
		}
		if how == nil {
			return to.Put(key, had)
		}
		now, err := innerOf(to, key)
		if err != nil {
			return err
		}
		if now == nil {
			if now, err = ebpf.NewMap(spec); err != nil {
				return err
			}
			if err := to.Put(key, now); err != nil {
				return errors.Join(err, now.Close())
			}
		}
		return errors.Join(how.copy(had, now, flags), now.Close())
	})
}
