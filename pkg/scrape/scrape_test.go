// SPDX-License-Identifier: Apache-2.0

package scrape

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A scrape waits briefly for a server that does not answer, and gets what is known.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		var answer atomic.Int64
		v := NewValue(func(ctx context.Context) (int64, error) {
			if hangs.Load() {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(10 * time.Millisecond)
			return answer.Load(), nil
		})
		want := func(result int64, known bool, err error, took time.Duration) {
			t.Helper()
			began := time.Now()
			r, k, e := v.Get()
			if r != result || k != known || !errors.Is(e, err) || time.Since(began) != took {
				t.Errorf("got %d, %t, %v after %s; want %d, %t, %v after %s", r, k, e, time.Since(began), result, known, err, took)
			}
		}
		hangs.Store(true)
		want(0, false, nil, DefaultWait)
		time.Sleep(DefaultTimeout)
		hangs.Store(false)
		answer.Store(7)
		want(7, true, nil, 10*time.Millisecond)
		answer.Store(8)
		want(8, true, nil, 10*time.Millisecond)
		hangs.Store(true)
		want(8, true, nil, DefaultWait)
		want(8, true, nil, DefaultWait)
		time.Sleep(DefaultTimeout - 2*DefaultWait)
		synctest.Wait()
		// The next query hangs, too, so the error is still that of the previous one.
		want(8, true, context.DeadlineExceeded, DefaultWait)
		time.Sleep(DefaultTimeout)
		hangs.Store(false)
		answer.Store(9)
		want(9, true, nil, 10*time.Millisecond)
	})
}

// A query that is slower than scrapes wait still brings its result to the next one.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queries int
		v := NewValue(func(context.Context) (int, error) {
			queries++
			time.Sleep(3 * time.Second)
			return queries, nil
		})
		var scrapes sync.WaitGroup
		for range 10 {
			scrapes.Go(func() {
				if _, known, _ := v.Get(); known {
					t.Error("the first result is there at once")
				}
			})
		}
		scrapes.Wait()
		time.Sleep(3 * time.Second)
		if r, known, err := v.Get(); r != 1 || !known || err != nil {
			t.Errorf("got %d, %t, %v", r, known, err)
		}
		time.Sleep(3 * time.Second)
		if queries != 2 {
			t.Errorf("there were %d queries", queries)
		}
	})
}
