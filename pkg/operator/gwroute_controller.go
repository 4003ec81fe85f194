// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/operator/report"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// RouteReconciler reports whether Envoys serve a route.
type RouteReconciler struct {
	Client   versioned.Interface
	Store    *objects.Store
	States   States
	Outcomes Outcomes
	Events   *events.Recorder
}

var _ reconcile.TypedReconciler[types.NamespacedName] = &RouteReconciler{}

// Reconcile implements reconcile.TypedReconciler.
func (r *RouteReconciler) Reconcile(ctx context.Context, name types.NamespacedName) (reconcile.Result, error) {
	route := r.Store.GWRoute(name.Namespace, name.Name)
	if route == nil || route.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	var of []report.Parent
	for _, proxy := range endpoints.ProxiesOf(route) {
		gw := r.Store.GWProxy(route.Namespace, proxy)
		if gw == nil {
			continue
		}
		id := proxyidentity.Proxy{Namespace: gw.Namespace, Kind: string(workload.GWProxy), Name: gw.Name}
		of = append(of, report.Parent{
			Proxy: id, Outcome: r.Outcomes.Outcome(id), State: r.States.State(id),
			Programmed: meta.FindStatusCondition(gw.Status.Conditions, report.ConditionProgrammed),
		})
	}
	want := &own{
		Conditions: conditions(route.Status.Conditions, []metav1.Condition{report.Route(route, of)}),
		Parents:    parents(route.Status.Parents, report.RouteParents(route, of)),
	}
	if same(route.Status.Conditions, want.Conditions) && apiequality.Semantic.DeepEqual(route.Status.Parents, want.Parents) {
		return reconcile.Result{}, nil
	}
	err := apply(ctx, r.Client.EpicV1().GWRoutes(route.Namespace), "GWRoute", route, want)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil // its event will arrive
	}
	if err == nil {
		if e := programmedEvent(route.Status.Conditions, want.Conditions); e != nil {
			r.Events.Record("GWRoute", route, *e)
		}
	}
	return reconcile.Result{}, err
}
