// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"iter"

	"github.com/cilium/ebpf"
)

// derived is a kernel hash map whose entries can be computed at any time, so no copy of
// them is kept.
type derived[K, V comparable] struct {
	kernelMap[K, V]
	// found holds the entries of an earlier process. Until the first repair, correct
	// entries are not written again.
	found map[K]V
}

func newDerived[K, V comparable](m *ebpf.Map, what string) (*derived[K, V], error) {
	d := &derived[K, V]{kernelMap: kernelMap[K, V]{m: m, what: what}}
	var err error
	d.found, err = d.read()
	if err != nil {
		return nil, err
	}
	return d, nil
}

// update writes entries.
func (d *derived[K, V]) update(entries map[K]V) error {
	keys, values := make([]K, 0, len(entries)), make([]V, 0, len(entries))
	for key, value := range entries {
		if had, ok := d.found[key]; !ok || had != value {
			keys, values = append(keys, key), append(values, value)
		}
	}
	if err := d.write(keys, values); err != nil {
		return err
	}
	if d.found != nil {
		for i, key := range keys {
			d.found[key] = values[i]
		}
	}
	return nil
}

// remove deletes entries; missing ones are not an error.
func (d *derived[K, V]) remove(keys []K) error {
	if err := d.kernelMap.remove(keys); err != nil {
		return err
	}
	for _, key := range keys {
		delete(d.found, key)
	}
	return nil
}

// repair corrects the kernel's map, and returns how many entries were wrong. want
// computes one entry, and all iterates over the keys, of which there are the given
// number.
func (d *derived[K, V]) repair(want func(K) (V, bool), all iter.Seq[K], entries int) (int, error) {
	d.found = nil
	return d.kernelMap.repair(want, all, entries)
}
