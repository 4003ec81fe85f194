// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// classHolder adds a finalizer to GatewayClasses that Gateways use, as the Gateway API
// recommends. If such a class could be deleted, its Gateways would lose their addresses.
// It is separate from classReconciler because it watches every Gateway, and only reads
// caches.
type classHolder struct {
	*base
}

func addClassHolder(w *watcher) error {
	return w.controller("gatewayclass-finalizer", &classHolder{w.base},
		watch{object: &gatewayv1.GatewayClass{}, of: itself},
		watch{object: &gatewayv1.Gateway{}, of: classOfGateway},
	)
}

// Reconcile implements reconcile.Reconciler.
func (r *classHolder) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	class := r.view(ctx).Class(request.Name)
	if class == nil || class.Spec.ControllerName != publish.ControllerName {
		return reconcile.Result{}, nil
	}
	var gateways gatewayv1.GatewayList
	if err := r.local.List(ctx, &gateways, client.MatchingFields{classIndex: class.Name}, client.Limit(1), client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list the Gateways of the class: %w", err)
	}
	switch {
	case len(gateways.Items) == 0:
		return reconcile.Result{}, removeFinalizer(ctx, r.base, class, gatewayv1.GatewayClassFinalizerGatewaysExist)
	case class.DeletionTimestamp == nil:
		return reconcile.Result{}, addFinalizer(ctx, r.base, class, gatewayv1.GatewayClassFinalizerGatewaysExist)
	}
	// A finalizer can't be added to an object that is being deleted.
	return reconcile.Result{}, nil
}
