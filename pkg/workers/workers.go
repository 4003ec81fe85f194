// SPDX-License-Identifier: Apache-2.0

// Package workers processes queues outside of controllers: in programs without a
// controller manager, and for work that every replica does.
package workers

import (
	"context"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Run runs n workers that pass the items of a queue to do until ctx ends, and returns
// when the last one has ended. It shuts the queue down. If do returns true, the item is
// retried later. A panic only counts as a failure of its item, which is also retried.
func Run[T comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[T], n int, do func(context.Context, T) (again bool)) {
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			for next(ctx, queue, do) {
				continue
			}
		})
	}
	<-ctx.Done()
	queue.ShutDown()
	running.Wait()
}

// next waits for an item and processes it. It returns false once the queue is shut down
// and empty.
func next[T comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[T], do func(context.Context, T) bool) (more bool) {
	item, down := queue.Get()
	if down {
		return false
	}
	defer queue.Done(item)
	more = true // also after a panic
	again := true
	defer func() {
		if r := recover(); r != nil {
			klog.FromContext(ctx).Error(nil, "A bug in this program; it continues with other objects", "item", item, "panic", r)
		}
		if again {
			queue.AddRateLimited(item)
		} else {
			queue.Forget(item)
		}
	}()
	again = do(ctx, item)
	return more
}
