// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	// fieldManager is who writes, in the objects' managed fields.
	fieldManager = "epic-controller"
	// An object that fails is tried again after minRetry, then after twice as
	// long each time, and no less often than every maxRetry.
	minRetry = 10 * time.Millisecond
	maxRetry = time.Minute
	// requestTimeout bounds one request, so no worker waits forever.
	requestTimeout = 30 * time.Second
)

// loop looks at the objects of one kind, one after the other, whenever something
// that concerns them changed.
type loop struct {
	// name is the kind of its objects, and that of its queue in metrics.
	name    string
	sources []source
	queue   workqueue.TypedRateLimitingInterface[cache.ObjectName]
	// settle is how long an object waits after a change, so more of them
	// are dealt with at once.
	settle time.Duration
	// reconcile deals with one object and describes what came of it.
	reconcile func(ctx context.Context, key cache.ObjectName) (result string, err error)
}

func newLoop(name string) *loop {
	return &loop{
		name: name,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](minRetry, maxRetry),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: name}),
	}
}

// add has an object looked at.
func (l *loop) add(key cache.ObjectName) {
	if l.settle <= 0 {
		l.queue.Add(key)
		return
	}
	l.queue.AddAfter(key, l.settle)
}

// work takes objects from the queue until it is shut down.
func (l *loop) work(ctx context.Context) {
	for {
		key, down := l.queue.Get()
		if down {
			return
		}
		// What is left when the program stops is the next leader's.
		if ctx.Err() == nil {
			l.handle(ctx, key)
		}
		l.queue.Done(key)
	}
}

// handle reconciles one object, and sees that it is tried again if that failed.
func (l *loop) handle(ctx context.Context, key cache.ObjectName) {
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "kind", l.name, "object", key)
	what, err := l.attempt(klog.NewContext(ctx, logger), key)
	switch {
	case err == nil:
		l.queue.Forget(key)
	case ctx.Err() != nil:
		return
	case apierrors.IsNotFound(err):
		// It went in the meantime, and its event is under way.
		l.queue.Forget(key)
		what = resultUnchanged
	case apierrors.IsConflict(err):
		// The cache is behind: the event that comes, or the retry, does it.
		logger.V(4).Info("The object changed meanwhile")
		l.queue.AddRateLimited(key)
		what = resultConflict
	default:
		logger.Error(err, "Writing the status failed; it is tried again", "tries", l.queue.NumRequeues(key)+1)
		l.queue.AddRateLimited(key)
		what = resultError
	}
	reconciles.WithLabelValues(l.name, what).Inc()
}

// attempt reconciles one object. A panic is an error of that object alone: no
// tenant's object stops the work for others.
func (l *loop) attempt(ctx context.Context, key cache.ObjectName) (what string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a defect of this program: %v\n%s", r, debug.Stack())
		}
	}()
	return l.reconcile(ctx, key)
}
