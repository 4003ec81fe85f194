// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

const (
	// freeEndpoints is how many endpoints an object may have before changes of
	// them wait, and waitPerEndpoint how long they wait for each that it has. One
	// reconciliation costs about a microsecond an endpoint, so an object in
	// which one endpoint after the other changes never takes more than a few
	// percent of a CPU, and the work grows with the number of changes and not with
	// its square. An object of 1,500 endpoints waits 30 ms.
	freeEndpoints   = 100
	waitPerEndpoint = 20 * time.Microsecond
)

// memory is what a tunnelReconciler remembers of its objects between two reconciliations.
type memory struct {
	mu   sync.Mutex
	objs map[cache.ObjectName]remembered
}

type remembered struct {
	// endpoints is how many the object had.
	endpoints int
	// version is that of the reconciler's own last write.
	version string
	// lingering are the tunnels that are no longer needed, and until when they stay.
	lingering map[pair]time.Time
}

func (m *memory) update(key cache.ObjectName, change func(*remembered)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objs == nil {
		m.objs = map[cache.ObjectName]remembered{}
	}
	r := m.objs[key]
	change(&r)
	m.objs[key] = r
}

// lingers reports whether a tunnel that is no longer needed stays. It does so for a while
// after it was asked for the first time.
func (m *memory) lingers(key cache.ObjectName, q pair, now time.Time, linger time.Duration) (stays bool) {
	m.update(key, func(r *remembered) {
		until, known := r.lingering[q]
		if !known {
			until = now.Add(linger)
			if r.lingering == nil {
				r.lingering = map[pair]time.Time{}
			}
			r.lingering[q] = until
		}
		stays = until.After(now)
	})
	return stays
}

// keepLingering forgets the tunnels of an object but those that linger.
func (m *memory) keepLingering(key cache.ObjectName, all map[pair]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.objs[key].lingering, func(q pair, _ time.Time) bool { return !all[q] })
}

// nextEnd is how long it is until a tunnel of an object has lingered.
func (m *memory) nextEnd(key cache.ObjectName, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var next time.Duration
	for _, until := range m.objs[key].lingering {
		if wait := until.Sub(now); next == 0 || wait < next {
			next = wait
		}
	}
	return next
}

func (m *memory) forget(key cache.ObjectName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objs, key)
}

// wrote reports whether a version of an object is the reconciler's own last write.
func (m *memory) wrote(key cache.ObjectName, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return version != "" && m.objs[key].version == version
}

// wait is how long a change of one endpoint of an object waits for others.
func (m *memory) wait(key cache.ObjectName) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Duration(max(0, m.objs[key].endpoints-freeEndpoints)) * waitPerEndpoint
}
