// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// fieldManager is the manager in the objects' managed fields.
	fieldManager = "epic-controller"
	// An object that fails is retried after minRetry, then after twice as long each time,
	// up to maxRetry.
	minRetry = 10 * time.Millisecond
	maxRetry = time.Minute
	// conflictDelay is the delay before an object that was changed concurrently is
	// reconciled again, unless the event of that change triggers it earlier.
	conflictDelay = 100 * time.Millisecond
	// requestTimeout limits one request, so no worker waits forever.
	requestTimeout = 30 * time.Second
	// untilSynced is how long a controller waits for its caches to sync: indefinitely.
	untilSynced = math.MaxInt64
)

type queue = workqueue.TypedRateLimitingInterface[cache.ObjectName]

// reconciler is the part of a reconciler that all kinds share: the queue of its
// controller, its sources, and the handling of results.
type reconciler struct {
	// name is the plural of the kind, and the name of its controller and queue in
	// metrics.
	name    string
	sources []informed
	// queue is the controller's queue. It exists before the controller starts, because
	// objects are also reconciled for other reasons than cache events.
	queue queue
	// settle is how long an object waits after a change, so several changes are handled
	// together.
	settle time.Duration
	// reconcile reconciles one object.
	reconcile func(ctx context.Context, key cache.ObjectName) (outcome, error)
}

// outcome is the outcome of a reconciliation.
type outcome struct {
	// result is one of the results that are counted.
	result string
	// again is the time after which the object is reconciled again without an event; 0
	// means never.
	again time.Duration
}

var _ reconcile.TypedReconciler[cache.ObjectName] = &reconciler{}

func newReconciler(name string) *reconciler {
	return &reconciler{
		name: name,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](minRetry, maxRetry),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: name}),
	}
}

// add enqueues an object.
func (r *reconciler) add(key cache.ObjectName) {
	if r.settle <= 0 {
		r.queue.Add(key)
		return
	}
	r.queue.AddAfter(key, r.settle)
}

// options returns the options of the kind's controller.
func (r *reconciler) options(workers int, logger logr.Logger) controller.TypedOptions[cache.ObjectName] {
	return controller.TypedOptions[cache.ObjectName]{
		Reconciler: r, MaxConcurrentReconciles: workers, CacheSyncTimeout: untilSynced,
		NewQueue: func(string, workqueue.TypedRateLimiter[cache.ObjectName]) queue { return r.queue },
		LogConstructor: func(key *cache.ObjectName) logr.Logger {
			if key == nil {
				// Messages about the start of its sources and workers.
				return logger.V(1)
			}
			return logger.WithValues("kind", r.name, "object", *key)
		},
	}
}

// addTo adds the kind's controller to a manager. It starts once known returns.
func (r *reconciler) addTo(mgr manager.Manager, workers int, known source.TypedFunc[cache.ObjectName]) error {
	c, err := controller.NewTyped(r.name, mgr, r.options(workers, mgr.GetLogger()))
	if err != nil {
		return fmt.Errorf("create the controller of %s: %w", r.name, err)
	}
	sources := []source.TypedSource[cache.ObjectName]{known}
	for _, s := range r.sources {
		sources = append(sources, s)
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watch for the controller of %s: %w", r.name, err)
		}
	}
	return nil
}

// Reconcile implements reconcile.TypedReconciler.
func (r *reconciler) Reconcile(ctx context.Context, key cache.ObjectName) (reconcile.Result, error) {
	// The next leader does the remaining work when the program stops.
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	counted := resultError // includes panics
	defer func() { reconciles.WithLabelValues(r.name, counted).Inc() }()
	out, err := r.reconcile(ctx, key)
	switch {
	case err == nil:
		counted = out.result
		return reconcile.Result{RequeueAfter: out.again}, nil
	case apierrors.IsNotFound(err):
		// The object was deleted in the meantime, and its event will arrive.
		counted = resultUnchanged
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err):
		// The cache is outdated: the next event or the retry handles it.
		counted = resultConflict
		klog.FromContext(ctx).V(4).Info("The object changed in the meantime")
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	default:
		return reconcile.Result{}, err
	}
}
