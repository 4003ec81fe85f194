// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cilium/ebpf"
)

// derived is a hash map of the kernel whose entries can be computed at any time, so no copy
// of them is kept.
type derived[K, V comparable] struct {
	m    *ebpf.Map
	what string
	// found is what a former process left. Until the first repair, what is as it should be
	// is not written again.
	found map[K]V
	told
}

func newDerived[K, V comparable](m *ebpf.Map, what string) (*derived[K, V], error) {
	found, err := readMap[K, V](m)
	if err != nil {
		return nil, fmt.Errorf("reading the map of %s: %w", what, err)
	}
	return &derived[K, V]{m: m, what: what, found: found}, nil
}

// update writes entries.
func (d *derived[K, V]) update(entries map[K]V) error {
	keys, values := make([]K, 0, len(entries)), make([]V, 0, len(entries))
	for key, value := range entries {
		if had, ok := d.found[key]; !ok || had != value {
			keys, values = append(keys, key), append(values, value)
		}
	}
	if err := errors.Join(writeMap(d.m, keys, values), d.tell(len(keys))); err != nil {
		return fmt.Errorf("writing the map of %s: %w", d.what, err)
	}
	if d.found != nil {
		for i, key := range keys {
			d.found[key] = values[i]
		}
	}
	return nil
}

// remove deletes entries; those that are absent are not an error.
func (d *derived[K, V]) remove(keys []K) error {
	if err := errors.Join(deleteMap(d.m, keys), d.tell(len(keys))); err != nil {
		return fmt.Errorf("deleting from the map of %s: %w", d.what, err)
	}
	for _, key := range keys {
		delete(d.found, key)
	}
	return nil
}

// repair makes the kernel's map what it should be, and returns how many entries were not.
// Want computes one entry, all lists the keys, which are so many.
func (d *derived[K, V]) repair(want func(K) (V, bool), all iter.Seq[K], entries int) (int, error) {
	d.found = nil
	var foreign, missing []K
	var values []V
	there := 0
	err := eachEntry(d.m, func(key K, value V) {
		wanted, ok := want(key)
		if !ok {
			foreign = append(foreign, key)
			return
		}
		there++
		if wanted != value {
			missing, values = append(missing, key), append(values, wanted)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("reading the map of %s: %w", d.what, err)
	}
	if there != entries {
		have, err := readMap[K, V](d.m)
		if err != nil {
			return 0, fmt.Errorf("reading the map of %s: %w", d.what, err)
		}
		for key := range all {
			if _, ok := have[key]; ok {
				continue
			}
			if wanted, ok := want(key); ok {
				missing, values = append(missing, key), append(values, wanted)
				have[key] = wanted
			}
		}
	}
	err = errors.Join(deleteMap(d.m, foreign), writeMap(d.m, missing, values), d.tell(len(foreign)+len(missing)))
	if err != nil {
		return 0, fmt.Errorf("mending the map of %s: %w", d.what, err)
	}
	return len(foreign) + len(missing), nil
}
