// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"

	"github.com/cilium/ebpf"
)

// table is a kernel hash map with a copy of its desired content.
type table[K, V comparable] struct {
	kernelMap[K, V]
	want map[K]V
}

// newTable returns the table of a map, whose current content becomes the desired one.
func newTable[K, V comparable](m *ebpf.Map, what string) (*table[K, V], error) {
	t := &table[K, V]{kernelMap: kernelMap[K, V]{m: m, what: what}}
	var err error
	t.want, err = t.read()
	if err != nil {
		return nil, err
	}
	return t, nil
}

// room returns how many more entries fit.
func (t *table[K, V]) room() int { return int(t.m.MaxEntries()) - len(t.want) }

// update writes entries that differ from the current ones.
func (t *table[K, V]) update(entries map[K]V) error {
	keys, values := make([]K, 0, len(entries)), make([]V, 0, len(entries))
	for key, value := range entries {
		if had, ok := t.want[key]; !ok || had != value {
			keys, values = append(keys, key), append(values, value)
		}
	}
	if err := t.write(keys, values); err != nil {
		return err
	}
	for i, key := range keys {
		t.want[key] = values[i]
	}
	return nil
}

// remove deletes entries; missing ones are not an error.
func (t *table[K, V]) remove(keys []K) error {
	if err := t.kernelMap.remove(keys); err != nil {
		return err
	}
	for _, key := range keys {
		delete(t.want, key)
	}
	return nil
}

// repair corrects the kernel's map, and returns how many entries were wrong.
func (t *table[K, V]) repair() (int, error) {
	want := func(key K) (V, bool) {
		value, ok := t.want[key]
		return value, ok
	}
	return t.kernelMap.repair(want, maps.Keys(t.want), len(t.want))
}
