// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// unpinned lists maps that are replaced with the programs: .rodata, .bss, events and
// per-CPU caches, which are not needed after a restart.
var unpinned = map[string]bool{
	".rodata": true, ".bss": true, bpf.KernelMapEvents: true,
	bpf.KernelMapRouteCache: true, bpf.KernelMapEncapCache: true, bpf.KernelMapDecapCache: true,
}

// formerNames maps maps to their names in earlier versions.
var formerNames = map[string]string{
	bpf.KernelMapLocalEndpoints: "places", bpf.KernelMapPublishedPorts: "openings",
}

// learned lists maps whose entries programs write.
var learned = map[string]bool{
	bpf.KernelMapFlows: true, bpf.KernelMapFragmented: true, bpf.KernelMapProxyFlows: true,
	bpf.KernelMapProxyFragments: true, bpf.KernelMapFragmentCounts: true,
	bpf.KernelMapTunnelCounters: true, bpf.KernelMapDrops: true, bpf.KernelMapFlowCounts: true,
}

// pinnedMap is one map, with the one that it replaces.
type pinnedMap struct {
	name string
	path string
	spec *ebpf.MapSpec
	m    *ebpf.Map
	// old is a map with another layout, size or name, which is in use until the programs
	// are replaced.
	old *ebpf.Map
	// had is the layout of the pinned map, or nil if it is not described.
	had *layout
	// former is the path at which a map with an earlier name may be pinned, or empty.
	former string
	// unused indicates that this node's role does not use the map, so nothing is copied
	// into it.
	unused bool
}

// openMaps opens the pinned maps, creates missing ones, and copies those with another
// layout or size into new ones, except unused ones.
func openMaps(spec *ebpf.CollectionSpec, dir string, unused []string) ([]*pinnedMap, error) {
	described, err := readLayouts(dir)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", layoutsName, err)
	}
	var opened []*pinnedMap
	for name, mapSpec := range spec.Maps {
		if unpinned[name] {
			continue
		}
		p := &pinnedMap{name: name, path: filepath.Join(dir, name), spec: mapSpec, unused: slices.Contains(unused, name)}
		if err := p.open(described); err != nil {
			return nil, errors.Join(fmt.Errorf("map %s: %w", name, err), closeMaps(opened))
		}
		opened = append(opened, p)
	}
	return opened, nil
}

func closeMaps(maps []*pinnedMap) error {
	var errs []error
	for _, m := range maps {
		errs = append(errs, m.m.Close())
		if m.old != nil {
			errs = append(errs, m.old.Close())
		}
	}
	return errors.Join(errs...)
}

func (p *pinnedMap) open(described layouts) error {
	old, err := ebpf.LoadPinnedMap(p.path, nil)
	renamed := false
	if former, ok := formerNames[p.name]; ok {
		p.former = filepath.Join(filepath.Dir(p.path), former)
		if errors.Is(err, fs.ErrNotExist) {
			old, err = ebpf.LoadPinnedMap(p.former, nil)
			renamed = err == nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if p.m, err = ebpf.NewMap(p.spec); err != nil {
			return err
		}
		if err := p.m.Pin(p.path); err != nil {
			return errors.Join(err, p.m.Close())
		}
		return nil
	}
	if err != nil {
		return err
	}
	if p.had, err = described.of(old); err != nil {
		return errors.Join(err, old.Close())
	}
	same, err := p.isSame(old)
	if err != nil {
		return errors.Join(err, old.Close())
	}
	if same && !renamed {
		p.m = old
		return nil
	}
	p.old = old
	if p.m, err = ebpf.NewMap(p.spec); err != nil {
		return errors.Join(err, old.Close())
	}
	if err := p.copy(ebpf.UpdateAny); err != nil {
		return errors.Join(err, old.Close(), p.m.Close())
	}
	return nil
}

// isSame reports whether a pinned map has the expected properties.
func (p *pinnedMap) isSame(old *ebpf.Map) (bool, error) {
	how, err := convert(old, p.spec, p.had)
	if err != nil || how != nil || p.spec.InnerMap == nil {
		return how == nil, err
	}
	if p.had != nil && p.had.Inner != nil {
		return reflect.DeepEqual(p.had.Inner, layoutOf(p.spec).Inner), nil
	}
	return innerSame(old, p.spec.InnerMap)
}

// copy copies the entries of the replaced map.
func (p *pinnedMap) copy(flags ebpf.MapUpdateFlags) error {
	if p.unused {
		return nil
	}
	if p.spec.InnerMap != nil {
		return copyInner(p.old, p.m, p.spec.InnerMap, flags)
	}
	how, err := convert(p.old, p.spec, p.had)
	if err != nil {
		return err
	}
	if how == nil { // it has another name
		how = &conversion{key: []move{{size: int(p.spec.KeySize)}}, value: []move{{size: int(p.spec.ValueSize)}}}
	}
	return how.copy(p.old, p.m, flags)
}

// replace pins a new map in place of the old one, once no program uses that anymore. It
// copies what the old programs have learned in the meantime.
func (p *pinnedMap) replace() error {
	if p.old == nil {
		return p.removeFormer()
	}
	if learned[p.name] {
		if err := p.copy(ebpf.UpdateNoExist); err != nil {
			return fmt.Errorf("map %s: %w", p.name, err)
		}
	}
	if err := pinInPlace(p.m, p.path); err != nil {
		return err
	}
	err := p.old.Close()
	p.old = nil
	return errors.Join(err, p.removeFormer())
}

// removeFormer removes the obsolete pin with an earlier name.
func (p *pinnedMap) removeFormer() error {
	if p.former == "" {
		return nil
	}
	if err := os.Remove(p.former); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// conversion describes how the entries of a pinned map are converted to another layout:
// field by field, by name. Without moves, no entry is converted: the node program
// rewrites most entries when it starts, and programs learn the rest again.
type conversion struct {
	key, value []move
}

type move struct{ from, to, size int }

// convert compares a map with its specification. It returns nil if they are the same. had
// is the described layout, if any.
func convert(m *ebpf.Map, spec *ebpf.MapSpec, had *layout) (*conversion, error) {
	info, err := m.Info()
	if err != nil {
		return nil, err
	}
	if info.Type != spec.Type {
		return nil, fmt.Errorf("what is pinned is a %v, not a %v: remove it, or choose another pin path", info.Type, spec.Type)
	}
	if had == nil {
		if had, err = layoutInKernel(m, info, spec); err != nil {
			return nil, err
		}
	}
	c, want := new(conversion), layoutOf(spec)
	keySame, keyMoves := had.Key.becomes(want.Key)
	valueSame, valueMoves := had.Value.becomes(want.Value)
	if keySame && valueSame && info.MaxEntries == spec.MaxEntries && info.Flags == spec.Flags {
		return nil, nil
	}
	c.key, c.value = keyMoves, valueMoves
	return c, nil
}

// layoutInKernel returns the layout of a map that is not described, as far as the kernel
// shows it.
func layoutInKernel(m *ebpf.Map, info *ebpf.MapInfo, spec *ebpf.MapSpec) (*layout, error) {
	l := &layout{Key: structure{Size: info.KeySize}, Value: structure{Size: info.ValueSize}}
	handle, err := m.Handle()
	if err != nil {
		return l, nil
	}
	defer func() { _ = handle.Close() }()
	types, err := handle.Spec(nil)
	if err != nil {
		return nil, fmt.Errorf("read the layout of the pinned map: %w", err)
	}
	l.Key.Fields, l.Value.Fields = fieldsIn(types, spec.Key), fieldsIn(types, spec.Value)
	return l, nil
}

// fieldsIn returns the fields of a struct by its name in the types of a pinned map.
func fieldsIn(types *btf.Spec, wanted btf.Type) map[string]field {
	to, ok := btf.As[*btf.Struct](wanted)
	if !ok {
		return nil
	}
	var from *btf.Struct
	if types.TypeByName(to.Name, &from) != nil {
		return nil
	}
	return fieldsOf(from)
}

// becomes reports whether two structures are the same, and otherwise returns the moves. A
// value without fields is moved as a whole. If fields are unknown and the size differs,
// nothing is moved.
func (s structure) becomes(to structure) (same bool, moves []move) {
	switch {
	case to.Fields == nil || s.Fields == nil && s.Size == to.Size:
		return s.Size == to.Size, []move{{size: int(min(s.Size, to.Size))}}
	case s.Fields == nil:
		return false, nil
	}
	same = s.Size == to.Size && len(s.Fields) == len(to.Fields)
	moves = []move{}
	for name, field := range to.Fields {
		had, ok := s.Fields[name]
		same = same && ok && had == field
		if ok {
			moves = append(moves, move{from: had.Offset, to: field.Offset, size: min(had.Size, field.Size)})
		}
	}
	return same, moves
}

func apply(moves []move, from []byte, size uint32) []byte {
	to := make([]byte, size)
	for _, m := range moves {
		copy(to[m.to:m.to+m.size], from[m.from:m.from+m.size])
	}
	return to
}

// copy converts all entries of a map. flags define whether entries that the new map
// already has are overwritten.
func (c *conversion) copy(from, to *ebpf.Map, flags ebpf.MapUpdateFlags) error {
	if c.key == nil || c.value == nil {
		return nil
	}
	perCPU := from.Type() == ebpf.PerCPUHash || from.Type() == ebpf.PerCPUArray
	array := from.Type() == ebpf.PerCPUArray || from.Type() == ebpf.Array
	if array {
		flags = ebpf.UpdateAny
	}
	var key []byte
	var values [][]byte
	if !perCPU {
		return c.each(from, to.KeySize(), to.ValueSize(), func(key, value []byte) error {
			if array && binary.NativeEndian.Uint32(key) >= to.MaxEntries() {
				return nil
			}
			return copied(to, to.Update(key, value, flags))
		})
	}
	entries := from.Iterate()
	for entries.Next(&key, &values) {
		newKey := apply(c.key, key, to.KeySize())
		if array && binary.NativeEndian.Uint32(newKey) >= to.MaxEntries() {
			continue
		}
		converted := make([][]byte, len(values))
		for i := range values {
			converted[i] = apply(c.value, values[i], to.ValueSize())
		}
		if err := copied(to, to.Update(newKey, converted, flags)); err != nil {
			return err
		}
	}
	return iterated(entries)
}

// split converts all entries of a map, each into the map to which it belongs. It omits
// those that belong to none.
func (c *conversion) split(from *ebpf.Map, spec *ebpf.MapSpec, into func(key []byte) *ebpf.Map, flags ebpf.MapUpdateFlags) error {
	return c.each(from, spec.KeySize, spec.ValueSize, func(key, value []byte) error {
		to := into(key)
		if to == nil {
			return nil
		}
		return copied(to, to.Update(key, value, flags))
	})
}

// each calls visit for the converted entries of a map with one value per key.
func (c *conversion) each(from *ebpf.Map, keySize, valueSize uint32, visit func(key, value []byte) error) error {
	if c.key == nil || c.value == nil {
		return nil
	}
	var key, value []byte
	entries := from.Iterate()
	for entries.Next(&key, &value) {
		if err := visit(apply(c.key, key, keySize), apply(c.value, value, valueSize)); err != nil {
			return err
		}
	}
	return iterated(entries)
}

// copied returns the error for writing an entry into a map.
func copied(to *ebpf.Map, err error) error {
	switch {
	case err == nil, errors.Is(err, ebpf.ErrKeyExist):
		return nil
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%w: it has more entries than the new limit of %d", ErrMapFull, to.MaxEntries())
	}
	return fmt.Errorf("copy an entry: %w", err)
}

// iterated returns an error if not all entries were visited. Programs keep writing, so an
// iteration may restart and reach a limit.
func iterated(entries *ebpf.MapIterator) error {
	if err := entries.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return err
	}
	return nil
}
