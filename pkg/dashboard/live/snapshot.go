// SPDX-License-Identifier: Apache-2.0

package live

import (
	"time"

	"github.com/acnodal/epic/pkg/overview"
)

// Snapshot is what is known at one time. Nobody changes it.
type Snapshot struct {
	// Model is never nil.
	Model *overview.Model
	// Sequence grows with each snapshot.
	Sequence uint64
	// Loaded is whether everything was read once that can be read.
	Loaded bool
	// Connected is whether the API answers; Error is why it does not, and LastAnswer
	// when it did last.
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

// Touch wakes the readers when something other than the model is new, such as rates.
func (f *Feed) Touch() { f.publish(func(*Snapshot) {}) }
