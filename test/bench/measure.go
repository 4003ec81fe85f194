// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// result is one measurement.
type result struct {
	// rate is successes a second.
	rate     float64
	median   time.Duration
	p99      time.Duration
	failures int
	// tries is successes and failures.
	tries int
	// cpu is the servers' processor time for one success, where it was measured.
	cpu time.Duration
	// failure is one of the errors, if there were any.
	failure error
}

// operation does one thing for a worker: the nth.
type operation func(ctx context.Context, worker, n int) error

// measure runs an operation with a number of workers at once for a while.
func measure(ctx context.Context, workers int, length time.Duration, op operation) result {
	start := time.Now()
	return collect(ctx, workers, func() bool { return time.Since(start) < length }, op)
}

// measureCount runs an operation a number of times, by as many workers at once.
func measureCount(ctx context.Context, workers, count int, op func(ctx context.Context, i int) error) result {
	var next atomic.Int64
	return collect(ctx, workers, func() bool { return next.Load() < int64(count) }, func(ctx context.Context, _, _ int) error {
		i := int(next.Add(1)) - 1
		if i >= count {
			return errNothingLeft
		}
		return op(ctx, i)
	})
}

// errNothingLeft is from an operation that had nothing to do; it counts as none.
var errNothingLeft = errors.New("nothing left")

func collect(ctx context.Context, workers int, more func() bool, op operation) result {
	var (
		mu      sync.Mutex
		all     []time.Duration
		r       result
		wg      sync.WaitGroup
		started = time.Now()
	)
	for w := range workers {
		wg.Go(func() {
			var took []time.Duration
			failed, failure := 0, error(nil)
			for n := 0; more() && ctx.Err() == nil; n++ {
				t := time.Now()
				err := op(ctx, w, n)
				switch {
				case errors.Is(err, errNothingLeft):
				case err != nil:
					failed, failure = failed+1, err
				default:
					took = append(took, time.Since(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, r.failures = append(all, took...), r.failures+failed
			if failure != nil {
				r.failure = failure
			}
		})
	}
	wg.Wait()
	r.tries = len(all) + r.failures
	r.rate = float64(len(all)) / time.Since(started).Seconds()
	r.median, r.p99 = percentiles(all)
	return r
}

// percentiles returns the 50th and the 99th.
func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// withCPU adds the processor time that the servers used for each success.
func withCPU(servers []*process, run func() result) (result, error) {
	before, err := cpuOf(servers)
	if err != nil {
		return result{}, err
	}
	r := run()
	after, err := cpuOf(servers)
	r.cpu = (after - before) / time.Duration(max(r.tries-r.failures, 1))
	return r, err
}

// middle is the result with the median rate, with the tries and failures of all.
func middle(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.rate*1000) - int(b.rate*1000) })
	m := rs[len(rs)/2]
	m.failures, m.tries = 0, 0
	for _, r := range rs {
		m.failures, m.tries = m.failures+r.failures, m.tries+r.tries
	}
	return m
}

// failed is the share of tries that failed.
func (r result) failed() float64 { return float64(r.failures) / float64(max(r.tries, 1)) }

// parallel does something for each of a number of things, by as many workers at
// once, until one fails.
func parallel(ctx context.Context, workers, count int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	measureCount(ctx, workers, count, func(ctx context.Context, i int) error {
		err := do(ctx, i)
		if err != nil {
			cancel(err)
		}
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// progress says on standard error what continues, because the figures are all that
// goes to standard output.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
