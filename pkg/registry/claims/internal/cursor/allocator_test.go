// SPDX-License-Identifier: Apache-2.0

package cursor

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// numbers is a range, which is its own name.
type numbers Range

func (n numbers) Range() Range { return Range(n) }

// memory has cursors, and the positions that are in use, by number.
type memory struct {
	mu     sync.Mutex
	marks  map[string]Mark
	used   map[uint64]bool
	later  time.Time
	failed error
	moves  int
}

func newMemory() *memory { return &memory{marks: map[string]Mark{}, used: map[uint64]bool{}} }

func (*memory) First(numbers) uint64 { return 0 }

func (m *memory) Move(_ context.Context, r numbers, known Mark, to uint64) (moved Moved, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return moved, m.failed
	}
	m.moves++
	now := m.marks[r.Name]
	if now.Mod != known.Mod {
		return Moved{Mark: now}, nil
	}
	from := known.End
	now = Mark{End: to, Created: max(now.Created, 1), Mod: now.Mod + 1}
	m.marks[r.Name] = now
	moved = Moved{Done: true, Mark: now, Later: m.later}
	for p := from; p < to; p++ {
		if !m.used[p%r.Size] {
			moved.Free = append(moved.Free, Span{p, p + 1})
		}
	}
	return moved, nil
}

func (m *memory) Return(_ context.Context, name string, mod int64, to uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.marks[name]; now.Mod == mod {
		m.marks[name] = Mark{End: to, Created: now.Created, Mod: mod + 1}
	}
	return nil
}

func positions(spans []Span) (all []uint64) {
	for _, s := range spans {
		for p := s.From; p < s.To; p++ {
			all = append(all, p)
		}
	}
	return all
}

// Whatever several servers take, release and forget, no position is handed out twice
// unless it was released, and no number that is in use is.
func TestNoPositionTwice(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		source := newMemory()
		of := numbers{Name: "n", Size: 50 + r.Uint64N(500), MinBlock: 1, MaxBlock: 1 + r.Uint64N(64), Turns: r.IntN(2) == 0}
		for range r.IntN(20) {
			source.used[r.Uint64N(of.Size)] = true
		}
		servers := []*Allocator[numbers]{New(source), New(source), New(source)}
		taken := map[uint64]bool{}
		for range 100 {
			a := servers[r.IntN(len(servers))]
			switch r.IntN(12) {
			case 0:
				a.Forget()
			case 1:
				if err := a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			default:
				spans, created, err := a.Take(t.Context(), of, 1+r.IntN(8))
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				got := positions(spans)
				for _, p := range got {
					if taken[p] || source.used[p%of.Size] {
						t.Fatalf("seed %d: the position %d is handed out, which is taken or in use", seed, p)
					}
					taken[p] = true
				}
				if r.IntN(4) == 0 {
					last := got[len(got)-1]
					a.GiveBack(of.Name, last, created)
					delete(taken, last)
				}
			}
		}
	}
}

// A range without a free number is looked through once, and the error says when there is
// one again.
func TestExhausted(t *testing.T) {
	source, of := newMemory(), numbers{Name: "n", Size: 10_000, MinBlock: 1, MaxBlock: 8}
	for n := range of.Size {
		source.used[n] = true
	}
	a := New(source)
	for _, later := range []time.Time{{}, time.Unix(1000, 0)} {
		source.later, source.moves = later, 0
		_, _, err := a.Take(t.Context(), of, 1)
		var exhausted *ExhaustedError
		if !errors.As(err, &exhausted) || !exhausted.Until.Equal(later) {
			t.Errorf("got %v", err)
		}
		if source.moves > 8 {
			t.Errorf("%d moves", source.moves)
		}
	}
	if _, _, err := a.Take(t.Context(), of, 10_001); err == nil {
		t.Error("more numbers were handed out than there are")
	}
	delete(source.used, 7)
	if got, _, err := a.Take(t.Context(), of, 1); err != nil || positions(got)[0]%of.Size != 7 {
		t.Errorf("got %v, %v", got, err)
	}
}

// After a move that failed, the cursor is asked where it is.
func TestMoveFails(t *testing.T) {
	source, of := newMemory(), numbers{Name: "n", Size: 100, MinBlock: 2, MaxBlock: 2}
	a, other := New(source), New(source)
	source.failed = errors.New("away")
	if _, _, err := a.Take(t.Context(), of, 1); !errors.Is(err, source.failed) {
		t.Errorf("got %v", err)
	}
	source.failed = nil
	for i, server := range []*Allocator[numbers]{other, a, other, a} {
		got, _, err := server.Take(t.Context(), of, 1)
		if want := []uint64{0, 2, 1, 3}[i]; err != nil || positions(got)[0] != want {
			t.Errorf("%d: got %v, %v, want %d", i, got, err, want)
		}
	}
	if a.Wanted(of.Name) != 0 || a.Len() != 1 {
		t.Errorf("%d are wanted, %d blocks", a.Wanted(of.Name), a.Len())
	}
}

// A dropped number comes again only after a turn, and a cursor that was made again is
// another.
func TestDrop(t *testing.T) {
	source, of := newMemory(), numbers{Name: "n", Size: 100, MinBlock: 4, MaxBlock: 4, Turns: true}
	a := New(source)
	take := func() uint64 {
		t.Helper()
		got, _, err := a.Take(t.Context(), of, 1)
		if err != nil {
			t.Fatal(err)
		}
		return positions(got)[0]
	}
	if p := take(); p != 0 {
		t.Errorf("got %d first", p)
	}
	a.Drop(of.Name, 9)
	if p := take(); p != 1 {
		t.Errorf("got %d after another cursor was dropped", p)
	}
	a.Drop(of.Name, 1)
	if p := take(); p != 4 {
		t.Errorf("got %d after the drop", p)
	}
}
