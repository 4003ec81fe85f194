// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

// Items that fail, or whose work panics, are tried again. Others are not, and wait for
// none of them.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))))
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, time.Minute))
		var mu sync.Mutex
		tries := map[string]int{}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Run(ctx, queue, 2, func(_ context.Context, item string) bool {
				mu.Lock()
				defer mu.Unlock()
				tries[item]++
				if item == "panics" && tries[item] < 3 {
					panic("a defect")
				}
				return item == "fails" && tries[item] < 3
			})
		}()
		expect := func(when string, fails, panics, works int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if tries["fails"] != fails || tries["panics"] != panics || tries["works"] != works {
				t.Errorf("%s: %v", when, tries)
			}
		}
		for _, item := range []string{"fails", "panics", "works"} {
			queue.Add(item)
		}
		expect("at once", 1, 1, 1)
		time.Sleep(time.Second)
		expect("after a second", 2, 2, 1)
		time.Sleep(2 * time.Second)
		expect("after twice as long", 3, 3, 1)
		time.Sleep(time.Hour)
		expect("later", 3, 3, 1)
		for _, item := range []string{"fails", "panics", "works"} {
			if n := queue.NumRequeues(item); n != 0 {
				t.Errorf("%d failures of %q are remembered after a success", n, item)
			}
		}
		cancel()
		<-ended
	})
}

// Run returns when the work is done, and the queue takes no more.
func TestRunWaitsForTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[int]())
		queue.Add(1)
		var done atomic.Bool
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		Run(ctx, queue, 3, func(context.Context, int) bool {
			time.Sleep(time.Minute)
			done.Store(true)
			return false
		})
		if !done.Load() || !queue.ShuttingDown() {
			t.Errorf("done: %v, shutting down: %v", done.Load(), queue.ShuttingDown())
		}
	})
}
