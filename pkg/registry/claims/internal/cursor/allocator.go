// SPDX-License-Identifier: Apache-2.0

package cursor

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Idle is the time after which an unused block is dropped if there are many: a server
// uses the ranges of many accounts for a short time each.
const Idle = time.Hour

// Allocator allocates numbers.
type Allocator[R Ranged] struct {
	source Source[R]
	// Clock is the source of the current time.
	Clock clock.PassiveClock
	// Most is the number of blocks above which idle blocks are dropped.
	Most int

	mu     sync.Mutex
	blocks map[string]*block
}

// New returns an allocator without reserved blocks.
func New[R Ranged](source Source[R]) *Allocator[R] {
	return &Allocator[R]{source: source, Clock: clock.RealClock{}, Most: 1 << 16, blocks: map[string]*block{}}
}

func (a *Allocator[R]) block(name string) *block {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.blocks[name]
	if b == nil {
		if len(a.blocks) >= a.Most {
			a.dropIdle()
		}
		b = &block{}
		a.blocks[name] = b
	}
	return b
}

// dropIdle drops blocks that have been idle. Their numbers are skipped until the next
// turn. Callers that still hold a number from one may use it: the cursor guarantees that
// no number is allocated twice.
func (a *Allocator[R]) dropIdle() {
	for name, b := range a.blocks {
		if !b.mu.TryLock() {
			continue
		}
		old := a.Clock.Since(b.used) > Idle
		b.mu.Unlock()
		if old {
			delete(a.blocks, name)
		}
	}
}

// Take allocates n positions. It also returns the create revision of their cursor, which
// distinguishes it from a cursor created after its deletion. The error is an
// ExhaustedError if fewer than n numbers are free.
func (a *Allocator[R]) Take(ctx context.Context, of R, n int) (got []Span, created int64, err error) {
	r := of.Range()
	if uint64(n) > r.Size {
		return nil, 0, &ExhaustedError{}
	}
	b := a.block(r.Name)
	b.wanted.Add(int64(n))
	defer b.wanted.Add(-int64(n))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = a.Clock.Now()
	got, err = a.collect(ctx, of, b, n)
	return got, b.mark.Created, err
}

// GiveBack returns a position that was certainly not used, if no later one has been
// allocated: gaps in the numbering confuse people.
func (a *Allocator[R]) GiveBack(name string, position uint64, created int64) {
	b := a.block(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.mark.Created != created:
	case len(b.free) > 0 && b.free[0].From == position+1:
		b.free[0].From--
	case len(b.free) == 0 && b.mark.End == position+1:
		b.free = []Span{{position, position + 1}}
	}
}

// Drop drops the block of a range, unless its cursor has been replaced.
func (a *Allocator[R]) Drop(name string, created int64) {
	b := a.block(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mark.Created == created {
		b.free = nil
	}
}

// Forget drops all blocks. Their numbers are skipped until the next turn.
func (a *Allocator[R]) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocks = map[string]*block{}
}

// Close moves each cursor back over the positions that were reserved and not allocated,
// unless another server has reserved positions after them.
func (a *Allocator[R]) Close(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, b := range a.blocks {
		b.mu.Lock()
		free, mark := b.free, b.mark
		b.free = nil
		b.mu.Unlock()
		if len(free) == 0 || free[len(free)-1].To != mark.End {
			continue
		}
		if err := a.source.Return(ctx, name, mark.Mod, free[len(free)-1].From); err != nil {
			return err
		}
	}
	return nil
}

// Len returns the number of blocks.
func (a *Allocator[R]) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.blocks)
}

// Wanted returns how many numbers of a range callers are waiting for.
func (a *Allocator[R]) Wanted(name string) int64 { return a.block(name).wanted.Load() }
