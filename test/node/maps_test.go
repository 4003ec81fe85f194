// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// eachMap calls see for each of a node's maps of tunnels, services and proxies.
func eachMap(e *end, see func(name string, m *ebpf.Map) error) error {
	found := 0
	err := filepath.WalkDir(e.pins, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			// It is no map.
			return nil
		}
		defer m.Close()
		if !map[string]bool{"tunnels": true, "services": true, "policies": true, "proxies": true, "places": true}[d.Name()] {
			return nil
		}
		found++
		return see(d.Name(), m)
	})
	if err == nil && found < 3 {
		err = errors.New("the maps were not found")
	}
	return err
}

// mapEntries reports which of these maps have entries.
func mapEntries(e *end) (string, error) {
	text := ""
	err := eachMap(e, func(name string, m *ebpf.Map) error {
		entries, err := entriesOf(m)
		if len(entries) > 0 {
			text += fmt.Sprintf("%s %d ", name, len(entries))
		}
		return err
	})
	return text, err
}

// entriesOf are a map's keys and values.
func entriesOf(m *ebpf.Map) (map[string][]byte, error) {
	out := map[string][]byte{}
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	it := m.Iterate()
	for it.Next(&key, &value) {
		out[string(key)] = bytes.Clone(value)
	}
	return out, it.Err()
}

// Entries that are deleted, changed or added by others are repaired in seconds, and counted.
func mapsDamaged(s *site, v *service) {
	inverted := func(b []byte) []byte {
		out := bytes.Clone(b)
		for i := range out {
			out[i] ^= 0xff
		}
		return out
	}
	for what, damage := range map[string]func(m *ebpf.Map, key, value []byte) error{
		"changed": func(m *ebpf.Map, key, value []byte) error { return m.Put(key, inverted(value)) },
		"deleted and others added": func(m *ebpf.Map, key, value []byte) error {
			return errors.Join(m.Delete(key), m.Put(inverted(key), value))
		},
	} {
		ends := []*end{s.gateway, s.tenants[0]}
		before, damaged := map[*end]float64{}, map[*end]int{}
		was := map[*end]map[string]map[string][]byte{}
		for _, e := range ends {
			before[e], was[e] = e.metric("epic_node_repairs_total"), map[string]map[string][]byte{}
			s.must(eachMap(e, func(name string, m *ebpf.Map) (err error) {
				if was[e][name], err = entriesOf(m); err != nil {
					return err
				}
				for key, value := range was[e][name] {
					if err := damage(m, []byte(key), value); err != nil {
						return fmt.Errorf("%s %s: %w", name, what, err)
					}
					damaged[e]++
				}
				return nil
			}))
		}
		for _, e := range ends {
			s.until(fmt.Sprintf("%s has what was %s", e.name, what), func() error {
				return eachMap(e, func(name string, m *ebpf.Map) error {
					now, err := entriesOf(m)
					if err == nil && !maps.EqualFunc(now, was[e][name], bytes.Equal) {
						err = fmt.Errorf("%s has %d entries, and had %d", name, len(now), len(was[e][name]))
					}
					return err
				})
			})
			s.until("all repairs are counted", func() error {
				if n := e.metric("epic_node_repairs_total") - before[e]; n < float64(damaged[e]) || damaged[e] == 0 {
					return fmt.Errorf("%v of %d", n, damaged[e])
				}
				return nil
			})
		}
		v.answers(account(v.tenant))
	}
}
