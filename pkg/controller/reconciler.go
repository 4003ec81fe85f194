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
	// fieldManager is who writes, in the objects' managed fields.
	fieldManager = "epic-controller"
	// An object that fails is tried again after minRetry, then after twice as
	// long each time, and no less often than every maxRetry.
	minRetry = 10 * time.Millisecond
	maxRetry = time.Minute
	// conflictDelay is after how long an object is reconciled again that another
	// changed in the meantime, if the event of that change has not done it before.
	conflictDelay = 100 * time.Millisecond
	// requestTimeout bounds one request, so no worker waits forever.
	requestTimeout = 30 * time.Second
	// untilSynced is how long a controller waits for the API server: as long as it
	// takes.
	untilSynced = math.MaxInt64
)

type queue = workqueue.TypedRateLimitingInterface[cache.ObjectName]

// reconciler is the part of a kind's reconciler that all kinds have in common: the
// queue of its controller, what fills the queue, and what happens to results.
type reconciler struct {
	// name is the plural of the kind, and the name of its controller and queue in
	// metrics.
	name    string
	sources []informed
	// queue is the controller's. It exists before the controller starts, because
	// objects are reconciled for other reasons than events of caches too.
	queue queue
	// settle is how long an object waits after a change, so more changes are
	// dealt with at once.
	settle time.Duration
	// reconcile deals with one object.
	reconcile func(ctx context.Context, key cache.ObjectName) (outcome, error)
}

// outcome is what came of a reconciliation.
type outcome struct {
	// result is one of those that are counted.
	result string
	// again is after how long the object is reconciled again though nothing changed;
	// 0 is never.
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

// add has an object reconciled.
func (r *reconciler) add(key cache.ObjectName) {
	if r.settle <= 0 {
		r.queue.Add(key)
		return
	}
	r.queue.AddAfter(key, r.settle)
}

// options are those of the kind's controller.
func (r *reconciler) options(workers int, logger logr.Logger) controller.TypedOptions[cache.ObjectName] {
	return controller.TypedOptions[cache.ObjectName]{
		Reconciler: r, MaxConcurrentReconciles: workers, CacheSyncTimeout: untilSynced,
		NewQueue: func(string, workqueue.TypedRateLimiter[cache.ObjectName]) queue { return r.queue },
		LogConstructor: func(key *cache.ObjectName) logr.Logger {
			if key == nil {
				// Its sources and workers start.
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
	// The next leader does the work that is left when the program stops.
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	counted := resultError // A panic is one.
	defer func() { reconciles.WithLabelValues(r.name, counted).Inc() }()
	out, err := r.reconcile(ctx, key)
	switch {
	case err == nil:
		counted = out.result
		return reconcile.Result{RequeueAfter: out.again}, nil
	case apierrors.IsNotFound(err):
		// It was deleted in the meantime, and the event is under way.
		counted = resultUnchanged
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err):
		// The cache is behind: the event that comes, or the retry, does it.
		counted = resultConflict
		klog.FromContext(ctx).V(4).Info("The object changed in the meantime")
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	default:
		return reconcile.Result{}, err
	}
}
