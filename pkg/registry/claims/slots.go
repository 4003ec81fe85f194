// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"math/rand/v2"
	"sync"

	"k8s.io/utils/lru"
)

// slotAccounts is the number of accounts whose free quota slots are remembered.
// Each has at most slotWindow of them.
const slotAccounts = 4096

// slotMemory remembers quota slots that were free when they were read, so that a
// write need not read them first. Whether a slot is still free the claim decides.
//
// Slots are remembered for one revision of the account object. That keeps the
// limit exact: a write that takes a slot compares the account's revision, so all
// writers between the read and the write went by the same limit. If top plus the
// number of slots held above top is at most the limit, and each writer takes a
// slot at or below a top for which that holds, then it keeps holding for every
// such top; so a top that was right once is right until the account changes.
type slotMemory struct {
	mu       sync.Mutex
	accounts *lru.Cache
}

// freeSlots are slots of one account that were free when they were read.
type freeSlots struct {
	// mod is the account's revision, limit what its quota allows by it.
	mod   int64
	limit int32
	free  []uint64
}

func newSlotMemory() *slotMemory { return &slotMemory{accounts: lru.New(slotAccounts)} }

// take removes a random slot from those remembered.
func (m *slotMemory) take(account Ref, mod int64, limit int32) (uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(account, mod, limit)
	if s == nil || len(s.free) == 0 {
		return 0, false
	}
	i := rand.IntN(len(s.free)) //nolint:gosec // spreads load, protects nothing
	slot := s.free[i]
	s.free[i] = s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return slot, true
}

// put replaces what is remembered of an account.
func (m *slotMemory) put(account Ref, mod int64, limit int32, free []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts.Add(account, &freeSlots{mod: mod, limit: limit, free: free})
}

// giveBack returns a slot that was taken for a write that did not happen.
func (m *slotMemory) giveBack(account Ref, mod int64, limit int32, slot uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.find(account, mod, limit); s != nil {
		s.free = append(s.free, slot)
	}
}

// drop forgets an account.
func (m *slotMemory) drop(account Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts.Remove(account)
}

func (m *slotMemory) find(account Ref, mod int64, limit int32) *freeSlots {
	v, ok := m.accounts.Get(account)
	if !ok {
		return nil
	}
	if s, ok := v.(*freeSlots); ok && s.mod == mod && s.limit == limit {
		return s
	}
	return nil
}
