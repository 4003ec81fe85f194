// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batch is how many entries go to the kernel at once.
const batch = 4096

// table is a hash map of the kernel, with what it should hold kept beside it.
type table[K, V comparable] struct {
	m    *ebpf.Map
	what string
	want map[K]V
	told
}

// told calls a function after each change of a map, before the caller is told that it is
// made; nil if nobody has to know.
type told struct{ changed func() error }

// tell says that so many entries have changed.
func (t *told) tell(entries int) error {
	if entries == 0 || t.changed == nil {
		return nil
	}
	return t.changed()
}

// newTable makes the table of a map, which is taken to hold what it should.
func newTable[K, V comparable](m *ebpf.Map, what string) (*table[K, V], error) {
	have, err := readMap[K, V](m)
	if err != nil {
		return nil, fmt.Errorf("reading the map of %s: %w", what, err)
	}
	return &table[K, V]{m: m, what: what, want: have}, nil
}

// room returns how many more entries fit.
func (t *table[K, V]) room() int { return int(t.m.MaxEntries()) - len(t.want) }

// update writes entries that differ from what is there.
func (t *table[K, V]) update(entries map[K]V) error {
	keys, values := make([]K, 0, len(entries)), make([]V, 0, len(entries))
	for key, value := range entries {
		if had, ok := t.want[key]; !ok || had != value {
			keys, values = append(keys, key), append(values, value)
		}
	}
	if err := errors.Join(writeMap(t.m, keys, values), t.tell(len(keys))); err != nil {
		return fmt.Errorf("writing the map of %s: %w", t.what, err)
	}
	for i, key := range keys {
		t.want[key] = values[i]
	}
	return nil
}

// remove deletes entries; those that are absent are not an error.
func (t *table[K, V]) remove(keys []K) error {
	if err := errors.Join(deleteMap(t.m, keys), t.tell(len(keys))); err != nil {
		return fmt.Errorf("deleting from the map of %s: %w", t.what, err)
	}
	for _, key := range keys {
		delete(t.want, key)
	}
	return nil
}

// repair makes the kernel's map what it should be, and returns how many entries
// were not. Of a map that is as it should be, which is nearly always so, nothing is
// kept while it is looked at.
func (t *table[K, V]) repair() (int, error) {
	var foreign, missing []K
	var values []V
	there := 0
	err := eachEntry(t.m, func(key K, value V) {
		want, ok := t.want[key]
		if !ok {
			foreign = append(foreign, key)
			return
		}
		there++
		if want != value {
			missing, values = append(missing, key), append(values, want)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("reading the map of %s: %w", t.what, err)
	}
	if there != len(t.want) {
		if missing, values, err = t.absent(missing, values); err != nil {
			return 0, err
		}
	}
	err = errors.Join(deleteMap(t.m, foreign), writeMap(t.m, missing, values), t.tell(len(foreign)+len(missing)))
	if err != nil {
		return 0, fmt.Errorf("mending the map of %s: %w", t.what, err)
	}
	return len(foreign) + len(missing), nil
}

// absent adds the entries that the kernel's map does not have.
func (t *table[K, V]) absent(keys []K, values []V) ([]K, []V, error) {
	have, err := readMap[K, V](t.m)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the map of %s: %w", t.what, err)
	}
	for key, value := range t.want {
		if _, ok := have[key]; !ok {
			keys, values = append(keys, key), append(values, value)
		}
	}
	return keys, values, nil
}

// readMap reads all of a hash map.
func readMap[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	have := map[K]V{}
	if err := eachEntry(m, func(key K, value V) { have[key] = value }); err != nil {
		return nil, err
	}
	return have, nil
}

// eachEntry visits all of a hash map. While others change it, an entry may be visited
// twice, or not at all.
func eachEntry[K comparable, V any](m *ebpf.Map, visit func(K, V)) error {
	size := min(batch, int(m.MaxEntries()))
	keys, values := make([]K, size), make([]V, size)
	for cursor := new(ebpf.MapBatchCursor); ; {
		n, err := m.BatchLookup(cursor, keys, values, nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			break
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		for i := range n {
			visit(keys[i], values[i])
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the map
		}
	}
	var key K
	var value V
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		visit(key, value)
	}
	return entries.Err()
}

// Maps take memory for entries as they come, in the background. A large batch may be
// faster than that, and then has to wait.
const (
	memoryPause = time.Millisecond
	memoryTries = 2000
)

// writeMap writes entries in batches.
func writeMap[K, V any](m *ebpf.Map, keys []K, values []V) error {
	tries := 0
	for len(keys) > 0 {
		n := min(len(keys), batch)
		done, err := m.BatchUpdate(keys[:n], values[:n], nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			err = nil
			for done = 0; done < n && err == nil; done++ {
				err = m.Put(&keys[done], &values[done])
			}
			if err != nil {
				done--
			}
		}
		if err != nil {
			if !errors.Is(err, unix.ENOMEM) || tries == memoryTries {
				return fullMap(err)
			}
			tries++
			n = done
			time.Sleep(memoryPause)
		} else {
			tries = 0
		}
		keys, values = keys[n:], values[n:]
	}
	return nil
}

// deleteMap deletes entries one batch after the other. A batch of the kernel ends at
// the first key that is not there, so such keys are skipped.
func deleteMap[K any](m *ebpf.Map, keys []K) error {
	for len(keys) > 0 {
		n := min(len(keys), batch)
		done, err := m.BatchDelete(keys[:n], nil)
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			n = done + 1
		case errors.Is(err, ebpf.ErrNotSupported):
			for i := range n {
				if err := m.Delete(&keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
					return err
				}
			}
		case err != nil:
			return err
		}
		keys = keys[n:]
	}
	return nil
}
