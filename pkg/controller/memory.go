// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

const (
	// freeEndpoints is how many endpoints an object may have before changes of
	// them wait, and waitPerEndpoint how long they wait for each that it has. One
	// reconciliation costs about a microsecond an endpoint, so that an object in
	// which one endpoint after the other changes never takes more than a few
	// percent of a CPU, and the work grows with the number of changes and not with
	// its square. An object of 1,500 endpoints waits 30 ms.
	freeEndpoints   = 100
	waitPerEndpoint = 20 * time.Microsecond
)

// memory is what a keeper remembers of its objects between two reconciliations.
type memory struct {
	mu   sync.Mutex
	objs map[cache.ObjectName]remembered
}

type remembered struct {
	// endpoints is how many the object had.
	endpoints int
	// version is that of the keeper's own last write.
	version string
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

func (m *memory) forget(key cache.ObjectName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objs, key)
}

// wrote reports whether a version of an object is the keeper's own last write.
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
