// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// watcher creates controllers that watch objects of both clusters.
type watcher struct {
	*base
	mgr    manager.Manager
	remote cluster.Cluster
}

// mapping maps an object to the affected objects of a controller's kind.
type mapping func(v *view, o client.Object) []types.NamespacedName

// watch describes a kind of object that a controller watches.
type watch struct {
	object client.Object
	of     mapping
	// inEPIC is set if the object is in EPIC.
	inEPIC bool
	// status is set if changes of only the status also matter.
	status bool
	// others is set if the connector's own writes do not matter.
	others bool
}

// itself maps an object to itself.
func itself(_ *view, o client.Object) []types.NamespacedName {
	return []types.NamespacedName{client.ObjectKeyFromObject(o)}
}

// controller makes a controller.
func (w *watcher) controller(name string, r reconcile.Reconciler, watches ...watch) error {
	c, err := controller.New(name, w.mgr, controller.Options{
		Reconciler: patient{r}, MaxConcurrentReconciles: w.options.Workers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	})
	if err != nil {
		return fmt.Errorf("create the controller %s: %w", name, err)
	}
	for _, each := range watches {
		from := w.mgr.GetCache()
		if each.inEPIC {
			from = w.remote.GetCache()
		}
		h := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			names := each.of(w.view(ctx), o)
			requests := make([]reconcile.Request, 0, len(names))
			seen := make(map[types.NamespacedName]bool, len(names))
			for _, n := range names {
				if !seen[n] {
					seen[n] = true
					requests = append(requests, reconcile.Request{NamespacedName: n})
				}
			}
			return requests
		})
		matters := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return each.inEPIC || each.status || changed(e.ObjectOld, e.ObjectNew)
		}}
		if each.others {
			matters.CreateFunc = func(e event.CreateEvent) bool { return !w.base.remote.wrote(e.Object) }
			matters.UpdateFunc = func(e event.UpdateEvent) bool { return !w.base.remote.wrote(e.ObjectNew) }
			matters.DeleteFunc = func(e event.DeleteEvent) bool {
				w.base.remote.forget(e.Object)
				return true
			}
		}
		if err := c.Watch(source.Kind(from, each.object, h, matters)); err != nil {
			return fmt.Errorf("watch %T for the controller %s: %w", each.object, name, err)
		}
	}
	return nil
}

// changed reports whether a local object changed in more than its status. Statuses
// written by the connector would otherwise trigger all dependent reconciliations again.
func changed(before, after client.Object) bool {
	if (before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil) ||
		!maps.Equal(before.GetLabels(), after.GetLabels()) || !maps.Equal(before.GetAnnotations(), after.GetAnnotations()) {
		return true
	}
	if old, ok := before.(*corev1.Node); ok {
		// Its conditions change all the time.
		if now, ok := after.(*corev1.Node); ok {
			return !slices.Equal(old.Status.Addresses, now.Status.Addresses)
		}
	}
	// Kinds without generations have no status that is written often.
	return after.GetGeneration() == 0 || before.GetGeneration() != after.GetGeneration()
}

// patient wraps a reconciler to handle conflicts: an object has changed since it was
// read. The event of the change triggers another reconciliation, and so does a short
// delay, because the event may have arrived first.
type patient struct{ reconcile.Reconciler }

const (
	conflictDelay = 100 * time.Millisecond
	// After a long outage, no object waits longer than lastRetry.
	firstRetry = 5 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Reconcile implements reconcile.Reconciler.
func (p patient) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := p.Reconciler.Reconcile(ctx, request)
	if apierrors.IsConflict(err) || errors.Is(err, errStale) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return result, err
}
