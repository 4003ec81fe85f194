// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

const (
	// freeEndpoints is the number of endpoints up to which changes of an object's
	// endpoints are not delayed, and waitPerEndpoint the delay for each endpoint of a
	// larger object. One reconciliation costs about a microsecond per endpoint, so an
	// object whose endpoints change one after the other never takes more than a few
	// percent of a CPU, and the work grows linearly with the number of changes, not
	// quadratically. An object of 1,500 endpoints waits 30 ms.
	freeEndpoints   = 100
	waitPerEndpoint = 20 * time.Microsecond
)

// memory holds what a tunnelReconciler remembers about its objects between two
// reconciliations.
type memory struct {
	mu   sync.Mutex
	objs map[cache.ObjectName]remembered
}

type remembered struct {
	// endpoints is the number of endpoints of the object.
	endpoints int
	// version is the version of the reconciler's own last write.
	version string
	// lingering holds the tunnels that are no longer needed, and until when they stay.
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

// lingers reports whether a tunnel that is no longer needed stays. It returns true for a
// period that starts with the first call for the tunnel.
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

// keepLingering forgets all tunnels of an object except those that linger.
func (m *memory) keepLingering(key cache.ObjectName, all map[pair]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.objs[key].lingering, func(q pair, _ time.Time) bool { return !all[q] })
}

// nextEnd returns the time until a tunnel of an object stops lingering.
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

// wait returns how long a change of one endpoint of an object is delayed.
func (m *memory) wait(key cache.ObjectName) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Duration(max(0, m.objs[key].endpoints-freeEndpoints)) * waitPerEndpoint
}
