// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// layoutsName is the pin of the map that describes the other maps.
const layoutsName = "layouts"

// maxLayouts limits the size of a description in bytes; current ones have some thousand.
const maxLayouts = 1 << 20

// layouts holds the layouts of pinned maps, by the kernel's map IDs. The kernel also has
// the types of a map, but only shows them to CAP_SYS_ADMIN, which most node programs
// lack.
type layouts map[ebpf.MapID]layout

// layout is the layout of a map's entries.
type layout struct {
	Key, Value structure
	// Inner is the layout of the maps in a map of maps.
	Inner *innerLayout `json:",omitempty"`
}

// innerLayout is the layout of a map in a map of maps, with other properties of a map
// that the kernel only shows to those who may open it.
type innerLayout struct {
	Key, Value        structure
	MaxEntries, Flags uint32
}

// structure is the layout of a key or a value.
type structure struct {
	Size uint32
	// Fields are the fields of a struct, by name, or nil for other types.
	Fields map[string]field `json:",omitempty"`
}

// field is the position of a field in a struct, in bytes.
type field struct{ Offset, Size int }

// layoutOf returns the layout that a map should have.
func layoutOf(spec *ebpf.MapSpec) layout {
	l := layout{Key: structureOf(spec.Key, spec.KeySize), Value: structureOf(spec.Value, spec.ValueSize)}
	if inner := spec.InnerMap; inner != nil {
		l.Inner = &innerLayout{
			Key: structureOf(inner.Key, inner.KeySize), Value: structureOf(inner.Value, inner.ValueSize),
			MaxEntries: inner.MaxEntries, Flags: inner.Flags,
		}
	}
	return l
}

func structureOf(t btf.Type, size uint32) structure {
	if s, ok := btf.As[*btf.Struct](t); ok {
		return structure{Size: size, Fields: fieldsOf(s)}
	}
	return structure{Size: size}
}

func fieldsOf(s *btf.Struct) map[string]field {
	fields := map[string]field{}
	for _, member := range s.Members {
		size, err := btf.Sizeof(member.Type)
		if err == nil {
			fields[member.Name] = field{Offset: int(member.Offset.Bytes()), Size: size}
		}
	}
	return fields
}

// readLayouts reads what an earlier process wrote. Without a description, it returns
// none.
func readLayouts(dir string) (layouts, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, layoutsName), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }()
	if m.Type() != ebpf.Array || m.KeySize() != 4 || m.ValueSize() > maxLayouts {
		return nil, fmt.Errorf("what is pinned is a %v, not a description of maps: remove it, or choose another pin path", m.Type())
	}
	text, err := m.LookupBytes(uint32(0))
	if err != nil {
		return nil, err
	}
	var l layouts
	if err := json.Unmarshal(bytes.TrimRight(text, "\x00"), &l); err != nil {
		return nil, fmt.Errorf("it is damaged: remove it: %w", err)
	}
	return l, nil
}

// of returns the layout of a map, or nil if it is not described.
func (l layouts) of(m *ebpf.Map) (*layout, error) {
	id, err := mapID(m)
	if err != nil {
		return nil, err
	}
	if described, ok := l[id]; ok {
		return &described, nil
	}
	return nil, nil
}

// mapID returns the kernel's ID of a map.
func mapID(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("the kernel does not support map IDs: use one that docs/support.md lists")
	}
	return id, nil
}

// describe records the layouts of all maps, and of those that they replace, so all pinned
// maps are described at any time.
func describe(dir string, maps []*pinnedMap) error {
	all := layouts{}
	for _, p := range maps {
		id, err := mapID(p.m)
		if err != nil {
			return err
		}
		all[id] = layoutOf(p.spec)
		if p.old == nil || p.had == nil {
			continue
		}
		if id, err = mapID(p.old); err != nil {
			return err
		}
		all[id] = *p.had
	}
	if err := all.write(dir); err != nil {
		return fmt.Errorf("map %s: %w", layoutsName, err)
	}
	return nil
}

// write replaces the description of maps.
func (l layouts) write(dir string) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: layoutsName, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(text)), MaxEntries: 1})
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	if err := m.Put(uint32(0), text); err != nil {
		return err
	}
	return pinInPlace(m, filepath.Join(dir, layoutsName))
}

// pinInPlace pins a map and replaces an existing pin.
func pinInPlace(m *ebpf.Map, path string) error {
	next := path + "_next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.Pin(next); err != nil {
		return err
	}
	return os.Rename(next, path)
}
