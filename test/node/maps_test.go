// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// mapEntries says which of a node's maps of tunnels, services and proxies have
// entries.
func mapEntries(e *end) (string, error) {
	found, text := 0, ""
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
		key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
		n := 0
		for it := m.Iterate(); it.Next(&key, &value); {
			n++
		}
		if n > 0 {
			text += fmt.Sprintf("%s %d ", d.Name(), n)
		}
		return nil
	})
	if err == nil && found < 3 {
		err = errors.New("the maps were not found")
	}
	return text, err
}
