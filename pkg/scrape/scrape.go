// SPDX-License-Identifier: Apache-2.0

// Package scrape reads values for metrics from another server without delaying a scrape.
// Prometheus drops all metrics of a target that responds late. Therefore, a scrape does not wait
// for a server that does not respond, which is when the other metrics are needed most. The
// package does not register or format metrics.
package scrape

import (
	"context"
	"sync"
	"time"
)

const (
	// DefaultWait is much shorter than the timeout of a scrape, and much longer than a
	// query of a healthy server.
	DefaultWait = 300 * time.Millisecond
	// DefaultTimeout ends a query, so the next scrape starts another one.
	DefaultTimeout = 5 * time.Second
)

// Value is the result of a query for scrapes. The query runs when there is a scrape, and one
// at a time. A scrape waits for it only briefly, and otherwise gets the result of the last
// query that succeeded.
type Value[T any] struct {
	query         func(context.Context) (T, error)
	wait, timeout time.Duration

	mu sync.Mutex
	// done is closed when the query that runs now has ended; nil if none runs.
	done  chan struct{}
	last  T
	known bool
	err   error
}

// NewValue returns the value of a query, which must end when its context does.
func NewValue[T any](query func(context.Context) (T, error)) *Value[T] {
	return &Value[T]{query: query, wait: DefaultWait, timeout: DefaultTimeout}
}

// Get returns the last known result, and false if no query has succeeded yet. The error is
// that of the last query that ended, or nil.
func (v *Value[T]) Get() (result T, known bool, err error) {
	done := v.ask()
	timer := time.NewTimer(v.wait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, v.known, v.err
}

// ask starts the query unless it runs, and returns what is closed when it has ended.
func (v *Value[T]) ask() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.done != nil {
		return v.done
	}
	done := make(chan struct{})
	v.done = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), v.timeout)
		defer cancel()
		result, err := v.query(ctx)
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.done, v.err = nil, err; err == nil {
			v.last, v.known = result, true
		}
	}()
	return done
}
