// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// SequenceStore keeps one number over restarts.
type SequenceStore interface {
	// Load returns the number, 0 if none was saved.
	Load() (uint64, error)
	// Save keeps it before it returns.
	Save(uint64) error
}

const (
	// ahead is how far beyond the numbers in use the saved mark lies. A restart
	// continues from the mark, so many nanoseconds may be skipped, no more.
	ahead = uint64(10 * time.Minute)
	// renewBefore is how far before the mark a new one is saved.
	renewBefore = ahead / 2
)

// Sequence gives the numbers of a node's messages, which never repeat and never
// fall: not when the program restarts, and not when the clock is set back. A number
// is the time in nanoseconds since 1970, or one more than the last where that is
// larger. A mark beyond all numbers in use is saved, and a restart begins at the
// mark or at the time, whichever is later.
//
// So a wrong clock is harmless for a node that keeps its state. One that loses its
// state while its clock is behind what it was before sends numbers that the far
// end takes for replays, until its clock has caught up; the way out is to set the
// clock right.
type Sequence struct {
	now   func() time.Time
	store SequenceStore

	mu   sync.Mutex
	last uint64
	mark uint64
	// retryAt puts off the next try to save after a failure.
	retryAt time.Time
	failed  func(error)
}

// NewSequence continues from what the store has. What can't be saved is told to
// failed, which may be nil; numbers are given all the same, because a full disk is no
// reason to lose tunnels.
func NewSequence(store SequenceStore, now func() time.Time, failed func(error)) (*Sequence, error) {
	mark, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("read the last sequence number: %w", err)
	}
	if failed == nil {
		failed = func(error) {}
	}
	return &Sequence{now: now, store: store, last: mark, mark: mark, failed: failed}, nil
}

// Next returns a number larger than any before.
func (s *Sequence) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	next := uint64(max(now.UnixNano(), 1))
	if next <= s.last {
		next = s.last + 1
	}
	s.last = next
	if s.last+renewBefore >= s.mark && !now.Before(s.retryAt) {
		s.renew(now)
	}
	return next
}

func (s *Sequence) renew(now time.Time) {
	mark := s.last + ahead
	if s.last > math.MaxUint64-ahead {
		mark = math.MaxUint64
	}
	if err := s.store.Save(mark); err != nil {
		s.retryAt = now.Add(10 * time.Second)
		s.failed(fmt.Errorf("save the last sequence number: %w", err))
		return
	}
	s.mark = mark
}
