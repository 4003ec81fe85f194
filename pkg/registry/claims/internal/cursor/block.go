// SPDX-License-Identifier: Apache-2.0

package cursor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Quick is the time in which a block must be used up for the next to grow beyond
	// Calm.
	Quick = time.Second

	// Calm is the size up to which blocks grow even if they are used up slowly: a
	// reservation is a round trip, which most writes should avoid. The first blocks of a
	// server are smaller, so numbering starts without gaps if several servers take part.
	Calm = 16

	// MaxRuns limits the number of ranges into which the numbers of one write may be
	// split, and so the comparisons in its transaction.
	MaxRuns = 48

	// scan is the minimum number of positions that one search for free ones covers after
	// blocks turned out to be in use.
	scan = 4096
)

// block is the part of a range that this server has reserved.
type block struct {
	// wanted is the total number of positions that callers holding or waiting for the
	// lock need.
	wanted atomic.Int64

	mu sync.Mutex
	// free holds the remaining positions, in order.
	free []Span
	// mark is the last known position of the cursor.
	mark Mark
	// size is the size of the last reservation, and at is its time.
	size uint64
	at   time.Time
	// used is when a number was last taken.
	used time.Time
	// later is when the first of the skipped numbers, which are not available yet,
	// becomes available.
	later time.Time
}

// collect takes n positions from a block and reserves more as needed. It skips ranges
// that are too short for a large request.
func (a *Allocator[R]) collect(ctx context.Context, of R, b *block, n int) ([]Span, error) {
	r := of.Range()
	shortest := uint64((n + MaxRuns - 1) / MaxRuns)
	var got []Span
	want := uint64(n)
	b.later = time.Time{}
	for scanned := uint64(0); want > 0; {
		if len(b.free) == 0 {
			if scanned >= r.Size {
				return nil, &ExhaustedError{Until: b.later}
			}
			reserved, err := a.reserve(ctx, of, b, want, scanned > 0)
			if err != nil {
				return nil, err
			}
			scanned += reserved
			continue
		}
		sp := b.free[0]
		k := min(sp.To-sp.From, want)
		if k < shortest && k < want {
			b.free = b.free[1:]
			continue
		}
		got = append(got, Span{sp.From, sp.From + k})
		want -= k
		if b.free[0].From += k; b.free[0].From == sp.To {
			b.free = b.free[1:]
		}
	}
	return got, nil
}

// reserve moves the cursor past the next block and adds the free positions of the block.
// It returns how many positions it passed.
func (a *Allocator[R]) reserve(ctx context.Context, of R, b *block, want uint64, searching bool) (uint64, error) {
	r, now := of.Range(), a.Clock.Now()
	switch {
	case b.size == 0:
		b.size = r.MinBlock
	case now.Sub(b.at) > Quick:
		b.size = min(b.size*2, max(Calm, r.MinBlock), r.MaxBlock)
	default:
		b.size = min(b.size*2, r.MaxBlock)
	}
	b.at = now
	// Concurrent writes share one reservation.
	size := max(b.size, want, min(uint64(max(b.wanted.Load(), 0)), r.MaxBlock))
	if searching {
		step := uint64(scan)
		if r.Turns {
			// If the cursor moved more than a turn ahead, the numbers taken before it
			// would lapse.
			step = min(step, r.Size/4)
		}
		size = max(size, step)
	}
	for {
		if b.mark == (Mark{}) {
			b.mark.End = a.source.First(of)
		}
		from := b.mark.End
		// The block does not extend past the end of a turn, so its numbers are one range.
		moved, err := a.source.Move(ctx, of, b.mark, min(from+size, (from/r.Size+1)*r.Size))
		if err != nil {
			return 0, err
		}
		b.mark, b.free = moved.Mark, moved.Free
		if !moved.Done {
			continue
		}
		if !moved.Later.IsZero() && (b.later.IsZero() || moved.Later.Before(b.later)) {
			b.later = moved.Later
		}
		return b.mark.End - from, nil
	}
}
