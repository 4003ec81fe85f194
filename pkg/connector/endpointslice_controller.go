// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// sliceReconciler publishes the EndpointSlices to which routes lead.
type sliceReconciler struct{ *base }

func addEndpointSlices(w *watcher) error {
	watches := []watch{
		{object: &discoveryv1.EndpointSlice{}, of: itself},
		{object: &corev1.Node{}, of: slicesOfNode},
		{object: &corev1.Service{}, of: func(v *view, o client.Object) []types.NamespacedName {
			return slicesOfServices(v, []types.NamespacedName{client.ObjectKeyFromObject(o)})
		}},
		{object: &epicv1.GWEndpointSlice{}, of: clientName, inEPIC: true, others: true},
	}
	// The accepted routes determine which slices are needed.
	watches = append(watches, watchesOfServices(slicesOfServices)...)
	return w.controller("endpointslice", &sliceReconciler{w.base}, watches...)
}

// Reconcile implements reconcile.Reconciler.
func (r *sliceReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var all epicv1.GWEndpointSliceList
	if err := r.epic.List(ctx, &all, client.MatchingFields{clientNameIndex: request.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list GWEndpointSlices: %w", err)
	}
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	slice := &discoveryv1.EndpointSlice{}
	err = r.local.Get(ctx, request.NamespacedName, slice)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("read the EndpointSlice: %w", err)
	}
	var want *epicv1.GWEndpointSlice
	if err == nil {
		want = publish.EndpointSlice(config, r.view(ctx), slice)
	} else if len(all.Items) > 0 {
		if err := r.confirmVersion(ctx, request.NamespacedName, slice, ""); err != nil {
			return reconcile.Result{}, err
		}
	}
	var now client.Object
	for i := range all.Items {
		o := &all.Items[i]
		if want != nil && o.Name == want.Name {
			now = o
			continue
		}
		if _, err := r.remote.remove(ctx, o); err != nil {
			return reconcile.Result{}, err
		}
	}
	if want == nil {
		return reconcile.Result{}, nil
	}
	_, err = r.remote.apply(ctx, want, now)
	if err != nil && isRefusal(err) {
		r.recorder.Eventf(slice, nil, corev1.EventTypeWarning, "Refused", "Publish", "%s", refusalOf(err, "Refused").Message)
		return reconcile.Result{RequeueAfter: r.options.RetryRefused}, nil
	}
	return reconcile.Result{}, err
}
