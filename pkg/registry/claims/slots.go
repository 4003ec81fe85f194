// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"math/rand/v2"
	"sync"

	"k8s.io/utils/lru"
)

// slotAccounts is the number of accounts whose quota slots are cached. Each has at most
// slotWindow free ones.
const slotAccounts = 4096

// slotMemory caches quota slots that were free when they were read, so a write need not
// read them first. The claim decides whether a slot is still free.
//
// Slots are cached for one revision of the account object. That keeps the limit exact: a
// write that takes a slot compares the account's revision, so all writers between the
// read and the write used the same limit. If top plus the number of slots held above top
// is at most the limit, and each writer takes a slot at or below a top for which that
// holds, then it keeps holding for every such top; so a top that was right once is right
// until the account changes.
//
// slotMemory also tracks the slots that writes of this server are taking, so no two of
// them take the same one, and lets writes that miss the same slots share one read.
type slotMemory struct {
	mu       sync.Mutex
	accounts *lru.Cache
}

// accountSlots is the cached state of one account.
type accountSlots struct {
	// mod is the account's revision, limit its quota at that revision, and free the slots
	// that were free then.
	mod   int64
	limit int32
	free  []uint64
	// inFlight holds the slots taken by writes of this server whose transactions have not
	// ended.
	inFlight map[uint64]struct{}
	// reads is the number of reads in progress. settled holds the slots whose writes
	// ended since the first of them began: a read may return their previous state.
	reads   int
	settled map[uint64]struct{}
	// shared is closed at the end of the read that other writes wait for.
	shared chan struct{}
}

func newSlotMemory() *slotMemory { return &slotMemory{accounts: lru.New(slotAccounts)} }

// account returns the record of an account. The caller holds the lock.
func (m *slotMemory) account(ref Ref) *accountSlots {
	if v, ok := m.accounts.Get(ref); ok {
		if s, ok := v.(*accountSlots); ok {
			return s
		}
	}
	s := &accountSlots{inFlight: map[uint64]struct{}{}, settled: map[uint64]struct{}{}}
	m.accounts.Add(ref, s)
	return s
}

// take takes a random slot from the cache. If another write is reading the free slots,
// take waits for it. If there is still none, the caller must read.
func (m *slotMemory) take(ctx context.Context, account Ref, mod int64, limit int32) (uint64, bool, error) {
	slot, wait := m.tryTake(account, mod, limit)
	if wait == nil {
		return slot, slot != 0, nil
	}
	select {
	case <-ctx.Done():
		return 0, false, ctx.Err()
	case <-wait:
	}
	slot, _ = m.tryTake(account, mod, limit)
	return slot, slot != 0, nil
}

// tryTake returns a slot, or 0 and, if another write is reading the free slots, the
// channel to wait for.
func (m *slotMemory) tryTake(account Ref, mod int64, limit int32) (slot uint64, wait <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.account(account)
	if s.mod == mod && s.limit == limit && len(s.free) > 0 {
		return s.pick(&s.free), nil
	}
	return 0, s.shared
}

// pick removes a random slot from a list and marks it as in flight.
func (s *accountSlots) pick(from *[]uint64) uint64 {
	free := *from
	i := rand.IntN(len(free)) //nolint:gosec // spreads load, protects nothing
	slot := free[i]
	free[i] = free[len(free)-1]
	*from = free[:len(free)-1]
	s.inFlight[slot] = struct{}{}
	return slot
}

// slotRead is a read of an account's free slots.
type slotRead struct {
	m *slotMemory
	s *accountSlots
	// shared is closed at the end if other writes wait for this read.
	shared chan struct{}
}

// read begins a read of an account's free slots. If share is set, writes that call take
// before the read ends wait for it. The caller must call end.
func (m *slotMemory) read(account Ref, share bool) *slotRead {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &slotRead{m: m, s: m.account(account)}
	r.s.reads++
	if share && r.s.shared == nil {
		r.shared = make(chan struct{})
		r.s.shared = r.shared
	}
	return r
}

// split divides slots that were read as free into those that a write may take, and those
// that other writes of this server are taking or have taken since.
func (r *slotRead) split(free []uint64) (usable, busy []uint64) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.s.split(free)
}

func (s *accountSlots) split(free []uint64) (usable, busy []uint64) {
	for _, slot := range free {
		_, taken := s.inFlight[slot]
		if _, settled := s.settled[slot]; taken || settled {
			busy = append(busy, slot)
		} else {
			usable = append(usable, slot)
		}
	}
	return usable, busy
}

// remember replaces the cached state of the account by the result of the read.
func (r *slotRead) remember(mod int64, limit int32, free []uint64) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	usable, _ := r.s.split(free)
	r.s.mod, r.s.limit, r.s.free = mod, limit, usable
}

// pick takes a random slot of those that were read as free. It prefers slots that no
// other write of this server is taking; a slot that such a write took may be free again.
func (r *slotRead) pick(free []uint64) (uint64, bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	usable, busy := r.s.split(free)
	switch {
	case len(usable) > 0:
		return r.s.pick(&usable), true
	case len(busy) > 0:
		return r.s.pick(&busy), true
	}
	return 0, false
}

// end ends the read.
func (r *slotRead) end() {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.s.reads--; r.s.reads == 0 {
		clear(r.s.settled)
	}
	if r.shared != nil {
		r.s.shared = nil
		close(r.shared)
	}
}

// settle records that the write that took the slot p, if any, has ended. Only etcd knows
// whether it succeeded.
func (m *slotMemory) settle(p *pickedSlot) {
	if p == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.account(p.account).settle(p.slot)
}

func (s *accountSlots) settle(slot uint64) {
	delete(s.inFlight, slot)
	if s.reads > 0 {
		s.settled[slot] = struct{}{}
	}
}

// giveBack returns the slot p, if any, of a write that did not happen.
func (m *slotMemory) giveBack(p *pickedSlot) {
	if p == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.account(p.account)
	delete(s.inFlight, p.slot)
	if s.mod == p.mod && s.limit == p.limit {
		s.free = append(s.free, p.slot)
	}
}

// drop settles the slot p, if any, of a write that failed, and drops the cached slots of
// the account: they may be the reason.
func (m *slotMemory) drop(p *pickedSlot) {
	if p == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.account(p.account)
	s.settle(p.slot)
	s.mod, s.limit, s.free = 0, 0, nil
}
