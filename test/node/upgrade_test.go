// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/acnodal/epic/bpf"
)

// Another version of the program, whose maps have other fields and sizes, takes over
// from one that was killed: the interfaces' links stay and get other programs, the
// maps are converted, and no packet is lost. One whose maps are too small for what is
// there refuses to start, and changes nothing.
func upgraded(t *testing.T, s *site, v *service) {
	spec, err := bpf.LoadKernel()
	s.must(err)
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		lost := lostSegments(s, v)
		r := v.traffic()
		before := attached(s, e)
		s.must(e.process.Kill())
		s.must(eachMap(e, func(name string, m *ebpf.Map) error {
			return pinFormer(filepath.Join(e.pins, name), m, spec.Maps[name])
		}))
		// Earlier versions did not have these.
		for _, name := range []string{bpf.KernelMapPublishedPorts, bpf.KernelMapReplies, bpf.KernelMapDirect} {
			s.must(os.Remove(filepath.Join(e.pins, name)))
		}
		// This one had another name.
		s.must(os.Rename(filepath.Join(e.pins, bpf.KernelMapLocalEndpoints), filepath.Join(e.pins, "places")))
		// One end's map is about to be too small for its endpoint.
		e.run("--max-services=1")
		<-e.process.Exited()
		log, err := os.ReadFile(e.process.Log)
		s.must(err)
		if want := "map is full: it has more entries than the new limit of 1"; e.process.Err() == nil || !strings.Contains(lastLine(string(log)), want) {
			t.Errorf("%s ends with %v and says %q, not %q", e.name, e.process.Err(), lastLine(string(log)), want)
		}
		e.run("--max-tunnels=500", "--max-services=3000")
		e.ready()
		s.must(eachMap(e, func(name string, m *ebpf.Map) error {
			want := map[string]uint32{"tunnels": 500, "policies": 3000}[name]
			if m.ValueSize() != spec.Maps[name].ValueSize || want != 0 && m.MaxEntries() != want {
				t.Errorf("%s: the map %s has values of %d bytes and room for %d", e.name, name, m.ValueSize(), m.MaxEntries())
			}
			return nil
		}))
		now := attached(s, e)
		if !slices.Equal(slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(before))) {
			t.Errorf("%s: the links are %v, and were %v", e.name, now, before)
		}
		for id, program := range now {
			if program == before[id] {
				t.Errorf("%s: link %d has its old program", e.name, id)
			}
		}
		some := r.requests.Load()
		s.until("requests through "+e.name, func() error {
			if n := r.requests.Load() - some; n < 20 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		// And back, as asked to.
		s.must(e.process.Stop())
		e.run()
		e.ready()
		r.stop()
		if n := r.failed.Load(); n > 0 {
			t.Errorf("%s: %d of %d requests failed", e.name, n, r.requests.Load())
		}
		lost(e.name)
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// attached are the links to interfaces that an end has pinned, with their programs.
func attached(s *site, e *end) map[link.ID]ebpf.ProgramID {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(e.pins, "links", "*"))
	s.must(err)
	out := map[link.ID]ebpf.ProgramID{}
	for _, file := range files {
		l, err := link.LoadPinnedLink(file, nil)
		s.must(err)
		info, err := l.Info()
		s.must(errors.Join(err, l.Close()))
		out[info.ID] = info.Program
	}
	if len(out) == 0 {
		s.t.Fatalf("%s has no link pinned", e.name)
	}
	return out
}

// pinFormer puts into the place of a pinned map one with the same entries in a layout
// as an earlier version may have had: the fields are in another order, behind one that
// is no longer of use.
func pinFormer(path string, m *ebpf.Map, spec *ebpf.MapSpec) error {
	now, ok := btf.As[*btf.Struct](spec.Value)
	if !ok {
		return nil
	}
	was := &btf.Struct{Name: now.Name, Members: []btf.Member{{Name: "obsolete", Type: &btf.Int{Name: "unsigned long long", Size: 8}}}}
	offset := uint32(8)
	type move struct{ from, to, size uint32 }
	var moves []move
	for _, member := range slices.Backward(now.Members) {
		size, err := btf.Sizeof(member.Type)
		if err != nil {
			return err
		}
		moves = append(moves, move{member.Offset.Bytes(), offset, uint32(size)})
		member.Offset = btf.Bits(offset * 8)
		was.Members = append(was.Members, member)
		offset = (offset + uint32(size) + 7) &^ 7
	}
	was.Size = offset
	former := spec.Copy()
	former.Value, former.ValueSize, former.MaxEntries = was, offset, m.MaxEntries()
	made, err := ebpf.NewMap(former)
	if err != nil {
		return err
	}
	defer made.Close()
	entries, err := entriesOf(m)
	if err != nil {
		return err
	}
	for key, value := range entries {
		old := make([]byte, offset)
		for _, f := range moves {
			copy(old[f.to:], value[f.from:f.from+f.size])
		}
		if err := made.Put([]byte(key), old); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(path), made.Pin(path))
}
