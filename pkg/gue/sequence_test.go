// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

type memory struct {
	n     uint64
	saves int
	err   error
}

func (m *memory) Load() (uint64, error) { return m.n, m.err }

func (m *memory) Save(n uint64) error {
	if m.err != nil {
		return m.err
	}
	m.n = n
	m.saves++
	return nil
}

// Numbers grow over restarts, whatever the clock does.
func TestSequenceGrows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	store, c := &memory{}, newClock()
	var last uint64
	for range 300 {
		s, err := NewSequence(store, c.now, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range random.IntN(50) {
			n := s.Next()
			if n <= last {
				t.Fatalf("%d after %d", n, last)
			}
			last = n
			c.t = c.t.Add(time.Duration(random.IntN(1000)) * time.Second)
			if random.IntN(20) == 0 {
				c.t = c.t.Add(-time.Duration(random.IntN(1e6)) * time.Second)
			}
		}
	}
}

func TestSequenceSavesSeldom(t *testing.T) {
	store, c := &memory{}, newClock()
	s, err := NewSequence(store, c.now, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 36_000 {
		s.Next()
		c.t = c.t.Add(100 * time.Millisecond)
	}
	if store.saves < 2 || store.saves > 20 {
		t.Errorf("saved %d times in an hour", store.saves)
	}
}

func TestSequenceStoreFails(t *testing.T) {
	store, c := &memory{err: errors.New("no disk")}, newClock()
	if _, err := NewSequence(store, c.now, nil); !errors.Is(err, store.err) {
		t.Errorf("error %v", err)
	}
	store.err = nil
	failures := 0
	s, err := NewSequence(store, c.now, func(error) { failures++ })
	if err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("disk full")
	if a, b := s.Next(), s.Next(); a >= b || failures != 1 {
		t.Errorf("%d, %d, %d failures", a, b, failures)
	}
	store.err = nil
	c.t = c.t.Add(time.Minute)
	if n := s.Next(); store.n <= n {
		t.Errorf("the mark %d is not beyond %d", store.n, n)
	}
}
