// SPDX-License-Identifier: Apache-2.0

package live

import (
	"time"

	"github.com/acnodal/epic/pkg/overview"
)

// Snapshot is the state at one time. It is immutable.
type Snapshot struct {
	// Model is never nil.
	Model *overview.Model
	// Sequence increases with each snapshot.
	Sequence uint64
	// Loaded indicates that everything readable has been read once.
	Loaded bool
	// Connected indicates that the API responds; Error is why it does not, and LastAnswer
	// when it last did.
	Connected  bool
	Error      string
	LastAnswer time.Time
}

// publish replaces the snapshot and wakes those who wait for it.
func (f *Feed) publish(change func(s *Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.now
	change(&next)
	next.Sequence++
	f.now = &next
	close(f.changed)
	f.changed = make(chan struct{})
}

// Now returns the newest snapshot, and a channel that is closed when there is a newer one.
func (f *Feed) Now() (*Snapshot, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.changed
}

// Touch wakes the readers when something other than the model has changed, such as rates.
func (f *Feed) Touch() { f.publish(func(*Snapshot) {}) }
