// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// classReconciler sets the status of GatewayClasses.
type classReconciler struct {
	*base
}

func addGatewayClasses(w *watcher) error {
	return w.controller("gatewayclass", &classReconciler{w.base},
		watch{object: &gatewayv1.GatewayClass{}, of: itself, status: true},
		watch{object: &epicv1.LBServiceGroup{}, inEPIC: true, of: func(v *view, _ client.Object) []types.NamespacedName {
			return namesOf(pointers(list[gatewayv1.GatewayClassList](v).Items))
		}},
	)
}

// Reconcile implements reconcile.Reconciler.
func (r *classReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	class := r.view(ctx).Class(request.Name)
	if class == nil || class.Spec.ControllerName != publish.ControllerName {
		return reconcile.Result{}, nil
	}
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	versions, err := r.versions(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	after := class.DeepCopy()
	publish.MergeClass(&after.Status, publish.Class(config, class, versions), metav1.Now().Rfc3339Copy())
	return reconcile.Result{}, r.writeStatus(ctx, class, after)
}

// definitions lists the CustomResourceDefinitions of the kinds that the connector reads.
var definitions = []string{
	"backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets",
	"referencegrants", "tcproutes", "tlsroutes", "udproutes",
}

// versions returns the versions of the Gateway API's CustomResourceDefinitions.
func (r *classReconciler) versions(ctx context.Context) (map[string]string, error) {
	versions := map[string]string{}
	for _, plural := range definitions {
		definition := &metav1.PartialObjectMetadata{}
		definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		name := plural + "." + gatewayv1.GroupName
		err := r.direct.Get(ctx, types.NamespacedName{Name: name}, definition)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read the CustomResourceDefinition %s: %w", name, err)
		}
		versions[name] = definition.Annotations[publish.BundleVersionAnnotation]
	}
	return versions, nil
}
