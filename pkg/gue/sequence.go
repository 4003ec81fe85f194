// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// SequenceStore stores one number across restarts.
type SequenceStore interface {
	// Load returns the number, 0 if none was saved.
	Load() (uint64, error)
	// Save stores the number before it returns.
	Save(uint64) error
}

const (
	// ahead is the distance between the numbers in use and the saved mark. A restart
	// continues from the mark, so it skips at most that many nanoseconds.
	ahead = uint64(10 * time.Minute)
	// renewBefore is the distance to the mark at which a new one is saved.
	renewBefore = ahead / 2
)

// Sequence generates the sequence numbers of a node's messages, which never repeat and
// never decrease: neither when the program restarts, nor when the clock is set back. A
// number is the time in nanoseconds since 1970, or one more than the last number if that
// is larger. A mark beyond all numbers in use is saved, and after a restart the numbers
// continue from the mark or from the time, whichever is later.
//
// So a wrong clock is harmless for a node that keeps its state. A node that loses its
// state while its clock is behind its earlier value sends numbers that the far end treats
// as replays, until its clock has caught up; to fix this, set the clock.
type Sequence struct {
	now   func() time.Time
	store SequenceStore

	mu   sync.Mutex
	last uint64
	mark uint64
	// retryAt delays the next attempt to save after a failure.
	retryAt time.Time
	failed  func(error)
}

// NewSequence continues from the number in the store. If saving fails, failed is called,
// which may be nil; numbers are still generated, because a full disk must not break
// tunnels.
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
