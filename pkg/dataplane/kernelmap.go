// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batch is the number of entries in one system call.
const batch = 4096

// kernelMap is a hash map in the kernel.
type kernelMap[K, V comparable] struct {
	m    *ebpf.Map
	what string
	// changed is called after each change of the map, before the call that made it
	// returns; may be nil.
	changed func() error
}

func (k *kernelMap[K, V]) read() (map[K]V, error) {
	have, err := readMap[K, V](k.m)
	if err != nil {
		return nil, fmt.Errorf("read the map of %s: %w", k.what, err)
	}
	return have, nil
}

func (k *kernelMap[K, V]) write(keys []K, values []V) error {
	if err := errors.Join(writeMap(k.m, keys, values), k.tell(len(keys))); err != nil {
		return fmt.Errorf("write the map of %s: %w", k.what, err)
	}
	return nil
}

// remove deletes entries; missing ones are not an error.
func (k *kernelMap[K, V]) remove(keys []K) error {
	if err := errors.Join(deleteMap(k.m, keys), k.tell(len(keys))); err != nil {
		return fmt.Errorf("delete from the map of %s: %w", k.what, err)
	}
	return nil
}

// repair corrects the map, and returns how many entries were wrong. want computes one
// entry, and all iterates over the keys, of which there are the given number. For a
// correct map, which is the normal case, it stores nothing while comparing.
func (k *kernelMap[K, V]) repair(want func(K) (V, bool), all iter.Seq[K], entries int) (int, error) {
	var foreign, missing []K
	var values []V
	there := 0
	err := eachEntry(k.m, func(key K, value V) {
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
		return 0, fmt.Errorf("read the map of %s: %w", k.what, err)
	}
	if there != entries {
		have, err := k.read()
		if err != nil {
			return 0, err
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
	err = errors.Join(deleteMap(k.m, foreign), writeMap(k.m, missing, values), k.tell(len(foreign)+len(missing)))
	if err != nil {
		return 0, fmt.Errorf("repair the map of %s: %w", k.what, err)
	}
	return len(foreign) + len(missing), nil
}

// tell calls changed if entries have changed.
func (k *kernelMap[K, V]) tell(entries int) error {
	if entries == 0 || k.changed == nil {
		return nil
	}
	return k.changed()
}

// readMap returns all entries of a hash map.
func readMap[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	have := map[K]V{}
	if err := eachEntry(m, func(key K, value V) { have[key] = value }); err != nil {
		return nil, err
	}
	return have, nil
}

// eachEntry calls visit for all entries of a hash map. If others change it concurrently,
// an entry may be visited twice, or not at all.
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

// Maps allocate memory for entries in the background as they are added. A large batch may
// exceed that, and then has to wait.
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

// deleteMap deletes entries in batches. A batch of the kernel ends at the first missing
// key, so missing keys are skipped.
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
