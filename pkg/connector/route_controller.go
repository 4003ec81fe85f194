// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// routeReconciler publishes the routes of one kind as gateway routes.
type routeReconciler struct {
	*base
	kind    *routeKind
	refused *refused
}

func addRoutes(w *watcher) error {
	for i := range routeKinds {
		kind := &routeKinds[i]
		concerned := func(v *view, o client.Object) []types.NamespacedName {
			var names []types.NamespacedName
			for _, route := range routesConcerned(v, o) {
				if route.Kind == kind.kind {
					names = append(names, types.NamespacedName{Namespace: route.GetNamespace(), Name: route.GetName()})
				}
			}
			return names
		}
		watches := []watch{
			{object: kind.object(), of: itself, status: true},
			{object: &epicv1.GWRoute{}, inEPIC: true, others: true, of: func(v *view, o client.Object) []types.NamespacedName {
				if route, ok := o.(*epicv1.GWRoute); !ok || !kind.of(&route.Spec) {
					return nil
				}
				return clientName(v, o)
			}},
		}
		for _, o := range []client.Object{
			&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, &gatewayv1.ReferenceGrant{},
			&gatewayv1.BackendTLSPolicy{}, &corev1.Service{}, &corev1.Namespace{}, &corev1.ConfigMap{}, &corev1.Secret{},
		} {
			watches = append(watches, watch{object: o, of: concerned})
		}
		if kind.kind == publish.HTTPRouteKind {
			watches = append(watches, watch{object: &gatewayv1.GRPCRoute{}, of: concerned})
		}
		if kind.kind == publish.GRPCRouteKind {
			watches = append(watches, watch{object: &gatewayv1.HTTPRoute{}, of: concerned})
		}
		r := &routeReconciler{w.base, kind, newRefused(string(kind.kind))}
		if err := w.controller(strings.ToLower(string(kind.kind)), r, watches...); err != nil {
			return err
		}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (r *routeReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	view := r.view(ctx)
	before := r.kind.object()
	err := r.local.Get(ctx, request.NamespacedName, before)
	if err != nil && !apierrors.IsNotFound(err) {
		return reconcile.Result{}, fmt.Errorf("read the %s: %w", r.kind.kind, err)
	}
	remotes, err := r.remotes(ctx, request.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	if before.GetUID() == "" {
		if len(remotes) > 0 {
			if err := r.confirmVersion(ctx, request.NamespacedName, before, ""); err != nil {
				return reconcile.Result{}, err
			}
		}
		return reconcile.Result{}, r.write(ctx, request.NamespacedName, &publish.RouteResult{}, remotes)
	}
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	route := publish.RouteOf(before)
	var current []*epicv1.GWRoute
	for _, o := range remotes {
		if o.Spec.ClientRef.UID == string(before.GetUID()) {
			current = append(current, o)
		}
	}
	// Only a write shows whether EPIC accepts it now.
	result := route.Publish(config, view, publish.RemoteRoute{Routes: current})
	var after reconcile.Result
	refusal := publish.Refusal{}
	if err := r.write(ctx, request.NamespacedName, result, remotes); err != nil {
		if !isRefusal(err) {
			return reconcile.Result{}, err
		}
		refusal = refusalOf(err, string(gatewayv1.RouteReasonUnsupportedValue))
		after.RequeueAfter = r.options.RetryRefused
		result = route.Publish(config, view, publish.RemoteRoute{Routes: current, Refused: refusal})
	}
	r.note(r.refused, before, refusal)
	changed, ok := before.DeepCopyObject().(client.Object)
	if !ok {
		return after, fmt.Errorf("%T is not an object", before)
	}
	status := publish.RouteOf(changed).Status
	if len(result.Parents) == 0 && len(status.Parents) == 0 {
		// The route does not belong to the connector.
		return after, nil
	}
	publish.MergeRoute(status, result.Parents, metav1.Now().Rfc3339Copy())
	return after, r.writeStatus(ctx, before, changed)
}

// remotes returns the gateway routes in EPIC that represent a route of a name, with any
// UID.
func (r *routeReconciler) remotes(ctx context.Context, name types.NamespacedName) ([]*epicv1.GWRoute, error) {
	var all epicv1.GWRouteList
	if err := r.epic.List(ctx, &all, client.MatchingFields{clientNameIndex: name.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list GWRoutes: %w", err)
	}
	var routes []*epicv1.GWRoute
	for i := range all.Items {
		if o := &all.Items[i]; r.kind.of(&o.Spec) && r.remote.mine(o) {
			routes = append(routes, o)
		}
	}
	return routes, nil
}

// write creates, updates and removes the gateway routes in EPIC and their Secrets.
func (r *routeReconciler) write(ctx context.Context, name types.NamespacedName, result *publish.RouteResult, now []*epicv1.GWRoute) error {
	owner := string(r.kind.kind) + "/" + name.String()
	if err := r.secrets.apply(ctx, owner, result.Secrets); err != nil {
		return err
	}
	if err := replace(ctx, r.remote, result.Routes, now); err != nil {
		return err
	}
	return r.secrets.release(ctx, owner, result.Secrets)
}
