// SPDX-License-Identifier: Apache-2.0

// Package workers works off queues where no controller does: in programs without a
// manager of controllers, and for work that every replica does.
package workers

import (
	"context"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Run has n workers hand the items of a queue to do until ctx ends, and returns when the
// last is done. It shuts the queue down. An item for which do returns true is tried again
// later. A panic is the failure of its item alone, which is tried again too.
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

// next waits for an item and deals with it. It returns false once the queue is shut down
// and empty.
func next[T comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[T], do func(context.Context, T) bool) (more bool) {
	item, down := queue.Get()
	if down {
		return false
	}
	defer queue.Done(item)
	more = true // after a panic, too
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
