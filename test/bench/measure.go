// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// result is one measurement.
type result struct {
	// rate is successes a second.
	rate     float64
	median   time.Duration
	p99      time.Duration
	failures int
}

// operation does one write for a writer. prepare, if it says so, ran before and
// is not measured.
type operation func(ctx context.Context, writer, n int) error

// measure runs an operation with a number of writers at once for a while.
func measure(ctx context.Context, writers int, length time.Duration, op operation) result {
	var (
		mu       sync.Mutex
		all      []time.Duration
		failures int
		wg       sync.WaitGroup
	)
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			var took []time.Duration
			failed := 0
			for n := 0; time.Since(start) < length && ctx.Err() == nil; n++ {
				t := time.Now()
				if err := op(ctx, w, n); err != nil {
					failed++
					continue
				}
				took = append(took, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failures = append(all, took...), failures+failed
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	r := result{failures: failures, rate: float64(len(all)) / elapsed.Seconds()}
	if len(all) > 0 {
		slices.Sort(all)
		r.median, r.p99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r
}

// middle is the result with the median rate, with the failures of all.
func middle(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.rate*1000) - int(b.rate*1000) })
	m := rs[len(rs)/2]
	m.failures = 0
	for _, r := range rs {
		m.failures += r.failures
	}
	return m
}
