// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// policyReconciler sets the status of BackendTLSPolicies. Their settings reach EPIC with
// the routes that they affect.
type policyReconciler struct{ *base }

func addPolicies(w *watcher) error {
	ofServices := func(v *view, services []types.NamespacedName) []types.NamespacedName {
		var names []types.NamespacedName
		for _, service := range services {
			names = append(names, namesOf(v.PoliciesOf(service))...)
		}
		return names
	}
	watches := []watch{
		{object: &gatewayv1.BackendTLSPolicy{}, status: true, of: func(v *view, o client.Object) []types.NamespacedName {
			names := itself(v, o)
			if policy, ok := o.(*gatewayv1.BackendTLSPolicy); ok {
				// It may take precedence over others.
				names = append(names, ofServices(v, publish.TargetsOf(policy))...)
			}
			return names
		}},
		{object: &corev1.Service{}, of: func(v *view, o client.Object) []types.NamespacedName {
			return ofServices(v, []types.NamespacedName{client.ObjectKeyFromObject(o)})
		}},
		{object: &corev1.ConfigMap{}, of: policiesOfHolder("ConfigMap")},
		{object: &corev1.Secret{}, of: policiesOfHolder("Secret")},
	}
	watches = append(watches, watchesOfServices(ofServices)...)
	return w.controller("backendtlspolicy", &policyReconciler{w.base}, watches...)
}

// Reconcile implements reconcile.Reconciler.
func (r *policyReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	view := r.view(ctx)
	before := get[gatewayv1.BackendTLSPolicy](view, request.NamespacedName)
	if before == nil || before.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	want := publish.Policy(config, view, before)
	if len(want) == 0 && len(before.Status.Ancestors) == 0 {
		return reconcile.Result{}, nil
	}
	after := before.DeepCopy()
	publish.MergePolicy(&after.Status, want, metav1.Now().Rfc3339Copy())
	return reconcile.Result{}, r.writeStatus(ctx, before, after)
}
