// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// watcher makes controllers that watch objects of both clusters.
type watcher struct {
	*base
	mgr    manager.Manager
	remote cluster.Cluster
}

// mapping says which objects of a controller's kind an object concerns.
type mapping func(v *view, o client.Object) []types.NamespacedName

// watch is one kind of objects that a controller watches.
type watch struct {
	object client.Object
	of     mapping
	// inEPIC says that the object is in EPIC.
	inEPIC bool
}

// itself maps an object to itself.
func itself(_ *view, o client.Object) []types.NamespacedName {
	return []types.NamespacedName{client.ObjectKeyFromObject(o)}
}

// controller makes a controller.
func (w *watcher) controller(name string, r reconcile.Reconciler, watches ...watch) error {
	c, err := controller.New(name, w.mgr, controller.Options{Reconciler: patient{r}, MaxConcurrentReconciles: w.options.Workers})
	if err != nil {
		return fmt.Errorf("make the controller %s: %w", name, err)
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
		if err := c.Watch(source.Kind(from, each.object, h)); err != nil {
			return fmt.Errorf("watch %T for the controller %s: %w", each.object, name, err)
		}
	}
	return nil
}

// patient is a reconciler that is not bothered by a write that came too late: an object
// has changed since it was read. The event of the change starts it again, and so does a
// short while, since the event may have come first.
type patient struct{ reconcile.Reconciler }

const conflictDelay = 100 * time.Millisecond

// Reconcile implements reconcile.Reconciler.
func (p patient) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := p.Reconciler.Reconcile(ctx, request)
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return result, err
}
