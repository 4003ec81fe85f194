// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// serviceReconciler publishes Services of the connector's class as load balancers.
type serviceReconciler struct {
	*base
	refused *refused
}

func addServices(w *watcher) error {
	balanced := func(v *view, names []types.NamespacedName) []types.NamespacedName {
		return slices.DeleteFunc(names, func(name types.NamespacedName) bool {
			service := v.Service(name)
			return service == nil || !publish.Balanced(service)
		})
	}
	return w.controller("service", &serviceReconciler{w.base, newRefused("Service")},
		watch{object: &corev1.Service{}, status: true, of: func(_ *view, o client.Object) []types.NamespacedName {
			service, ok := o.(*corev1.Service)
			if !ok || !publish.Balanced(service) && !controllerutil.ContainsFinalizer(service, publish.Finalizer) {
				return nil
			}
			return []types.NamespacedName{client.ObjectKeyFromObject(o)}
		}},
		watch{object: &discoveryv1.EndpointSlice{}, of: func(v *view, o client.Object) []types.NamespacedName {
			slice, ok := o.(*discoveryv1.EndpointSlice)
			if !ok {
				return nil
			}
			return balanced(v, []types.NamespacedName{publish.ServiceOfSlice(slice)})
		}},
		watch{object: &corev1.Node{}, of: func(v *view, o client.Object) []types.NamespacedName {
			var names []types.NamespacedName
			for _, slice := range pointers(list[discoveryv1.EndpointSliceList](v, client.MatchingFields{nodeIndex: o.GetName()}).Items) {
				names = append(names, publish.ServiceOfSlice(slice))
			}
			return balanced(v, names)
		}},
		watch{object: &epicv1.LoadBalancer{}, inEPIC: true, of: servicesOfLoadBalancer},
		watch{object: &epicv1.RemoteEndpoint{}, inEPIC: true, others: true, of: func(v *view, o client.Object) []types.NamespacedName {
			return servicesNamed(v, o.GetLabels()[epic.OwningLoadBalancerLabel])
		}},
		watch{object: &epicv1.LBServiceGroup{}, inEPIC: true, of: func(v *view, _ client.Object) []types.NamespacedName {
			return balanced(v, namesOf(pointers(list[corev1.ServiceList](v).Items)))
		}},
	)
}

// servicesOfLoadBalancer returns the Service of a load balancer, even if it no longer
// exists.
func servicesOfLoadBalancer(v *view, o client.Object) []types.NamespacedName {
	names := servicesNamed(v, o.GetName())
	if name := o.GetAnnotations()[publish.ClientNameAnnotation]; name != "" {
		names = append(names, types.NamespacedName{Namespace: o.GetAnnotations()[publish.ClientNamespaceAnnotation], Name: name})
	}
	return names
}

// servicesNamed returns the Services whose load balancer has a name.
func servicesNamed(v *view, lb string) []types.NamespacedName {
	return namesOf(pointers(list[corev1.ServiceList](v, client.MatchingFields{lbIndex: lb}).Items))
}

// Reconcile implements reconcile.Reconciler.
func (r *serviceReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	view := r.view(ctx)
	service := view.Service(request.NamespacedName)
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	if service == nil || service.DeletionTimestamp != nil || !publish.Balanced(service) {
		return reconcile.Result{}, r.withdraw(ctx, request.NamespacedName, service, "")
	}
	lb, err := r.loadBalancer(ctx, publish.LoadBalancerName(service))
	if err != nil {
		return reconcile.Result{}, err
	}
	result := publish.Service(config, view, service, publish.Remote{LoadBalancer: lb})
	if result == nil {
		return reconcile.Result{}, nil
	}
	var after reconcile.Result
	refusal := publish.Refusal{Message: result.Problem}
	if result.Problem != "" {
		refusal.Reason = "NotPublished"
	}
	if result.LoadBalancer != nil {
		if err := hold(ctx, r.base, service); err != nil {
			return after, err
		}
		if err := r.write(ctx, service, result, lb); err != nil {
			if !isRefusal(err) {
				return after, err
			}
			refusal = refusalOf(err, "Refused")
			after.RequeueAfter = r.options.RetryRefused
		}
		if refusal.Reason == "" || refusal.Reason == string(gatewayv1.GatewayReasonNoResources) {
			// With another sharing key, or as an earlier Service of this name, it had
			// another one.
			if err := r.withdraw(ctx, request.NamespacedName, service, result.LoadBalancer.Name); err != nil {
				return after, err
			}
		}
	}
	r.note(r.refused, service, refusal)
	current := view.Service(request.NamespacedName)
	if current == nil || equality.Semantic.DeepEqual(current.Status.LoadBalancer, result.Status) {
		return after, nil
	}
	changed := current.DeepCopy()
	changed.Status.LoadBalancer = result.Status
	return after, r.writeStatus(ctx, current, changed)
}

func (r *serviceReconciler) loadBalancer(ctx context.Context, name string) (*epicv1.LoadBalancer, error) {
	lb := &epicv1.LoadBalancer{}
	err := r.epic.Get(ctx, types.NamespacedName{Namespace: r.options.Namespace, Name: name}, lb)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read LoadBalancer %s: %w", name, err)
	}
	return lb, nil
}

// write writes a load balancer and its endpoints.
func (r *serviceReconciler) write(ctx context.Context, service *corev1.Service, result *publish.ServiceResult, lb *epicv1.LoadBalancer) error {
	if err := r.writeLoadBalancer(ctx, service, result.LoadBalancer, lb); err != nil {
		return err
	}
	now, err := r.endpoints(ctx, result.LoadBalancer.Name)
	if err != nil {
		return err
	}
	return replace(ctx, r.remote, result.Endpoints, now)
}

// writeLoadBalancer writes a load balancer. It joins one that another cluster created.
func (r *serviceReconciler) writeLoadBalancer(ctx context.Context, service *corev1.Service, want, now *epicv1.LoadBalancer) error {
	if now == nil {
		_, err := r.remote.apply(ctx, want, nil)
		return err
	}
	shared := service.Annotations[publish.SharingKeyAnnotation] != ""
	if !shared && !r.remote.mine(now) {
		return &foreignError{"LoadBalancer", now.Name, now.Labels[epic.OwningClusterLabel]}
	}
	changed := now.DeepCopy()
	// If no cluster created it, for example because PureLB did, it belongs to this one
	// from now on.
	if r.remote.mine(now) || now.Labels[epic.OwningClusterLabel] == "" || r.succeeds(now) {
		changed.Spec.PublicPorts = want.Spec.PublicPorts
		changed.Spec.DisplayName = want.Spec.DisplayName
		changed.Spec.Edge = want.Spec.Edge
		metav1.SetMetaDataLabel(&changed.ObjectMeta, epic.OwningClusterLabel, want.Labels[epic.OwningClusterLabel])
		for key, value := range want.Annotations {
			metav1.SetMetaDataAnnotation(&changed.ObjectMeta, key, value)
		}
	}
	if shared {
		metav1.SetMetaDataAnnotation(&changed.ObjectMeta, epic.OwnerAnnotation(r.options.Cluster), string(service.UID))
	}
	// The endpoints of former clusters are kept until those of this one exist.
	unlist(changed, r.former())
	if !slices.Contains(changed.Spec.UpstreamClusters, r.options.Cluster) {
		changed.Spec.UpstreamClusters = append(changed.Spec.UpstreamClusters, r.options.Cluster)
	}
	return r.patch(ctx, now, changed)
}

// succeeds reports whether this cluster becomes responsible for the spec of a shared load
// balancer: the cluster that created it has left, and this one is the first of those that
// use it.
func (r *serviceReconciler) succeeds(lb *epicv1.LoadBalancer) bool {
	maker := lb.Labels[epic.OwningClusterLabel]
	if slices.ContainsFunc(lb.Spec.UpstreamClusters, func(c string) bool { return epic.LabelValue(c) == maker }) {
		return false
	}
	return r.options.Cluster == slices.Min(append(slices.Clone(lb.Spec.UpstreamClusters), r.options.Cluster))
}

// unlist removes clusters from those that use a load balancer, and from its owners.
func unlist(lb *epicv1.LoadBalancer, clusters []string) {
	lb.Spec.UpstreamClusters = slices.DeleteFunc(lb.Spec.UpstreamClusters, func(c string) bool { return slices.Contains(clusters, c) })
	disown(lb, clusters)
}

// patch writes a change if the version is still the one that was read.
func (r *serviceReconciler) patch(ctx context.Context, before, after *epicv1.LoadBalancer) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if err := r.remote.client.Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner); err != nil {
		return fmt.Errorf("write LoadBalancer %s: %w", before.Name, err)
	}
	writes.WithLabelValues("LoadBalancer", "apply").Inc()
	return nil
}

// endpoints returns this cluster's endpoints of a load balancer.
func (r *serviceReconciler) endpoints(ctx context.Context, lb string) ([]*epicv1.RemoteEndpoint, error) {
	var all epicv1.RemoteEndpointList
	if err := r.epic.List(ctx, &all, client.MatchingFields{lbIndex: lb}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list RemoteEndpoints: %w", err)
	}
	clusters := r.clusters()
	return slices.DeleteFunc(pointers(all.Items), func(o *epicv1.RemoteEndpoint) bool {
		return !r.remote.mine(o) || !slices.Contains(clusters, o.Spec.Cluster)
	}), nil
}

// withdraw removes the load balancers of a Service in EPIC, except the one named but.
// If but is empty, it removes the Service's finalizer when nothing is left.
func (r *serviceReconciler) withdraw(ctx context.Context, name types.NamespacedName, service *corev1.Service, but string) error {
	balancers, err := r.loadBalancers(ctx, name, service)
	if err != nil {
		return err
	}
	balancers = slices.DeleteFunc(balancers, func(lb *epicv1.LoadBalancer) bool { return lb.Name == but })
	if len(balancers) > 0 {
		if err := confirm(ctx, r.base, name, service); err != nil {
			return err
		}
	}
	gone := true
	for _, lb := range balancers {
		done, err := r.leave(ctx, lb)
		if err != nil {
			return err
		}
		gone = gone && done
	}
	if !gone || but != "" {
		// Its event triggers another reconciliation.
		return nil
	}
	r.refused.set(name, publish.Refusal{})
	if service == nil {
		return nil
	}
	return free(ctx, r.base, service)
}

// loadBalancers returns the load balancers that this cluster created for a Service of a
// name, and those that it shares through the Service.
func (r *serviceReconciler) loadBalancers(ctx context.Context, name types.NamespacedName, service *corev1.Service) ([]*epicv1.LoadBalancer, error) {
	var uid types.UID
	if service != nil {
		uid = service.UID
	}
	found, err := published(r.base, name, uid, func(key string) ([]*epicv1.LoadBalancer, error) {
		var some epicv1.LoadBalancerList
		if err := r.epic.List(ctx, &some, client.MatchingFields{clientNameIndex: key}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list LoadBalancers: %w", err)
		}
		return pointers(some.Items), nil
	})
	if err != nil || service == nil {
		return found, err
	}
	lb, err := r.loadBalancer(ctx, publish.LoadBalancerName(service))
	if err == nil && lb != nil && !named(found, lb.Name) && (slices.Contains(lb.Spec.UpstreamClusters, r.options.Cluster) || abandoned(service, lb)) {
		found = append(found, lb)
	}
	return found, err
}

// abandoned reports whether the last cluster that shared a load balancer has left it, so
// this one may delete it.
func abandoned(service *corev1.Service, lb *epicv1.LoadBalancer) bool {
	return service.Annotations[publish.SharingKeyAnnotation] != "" && lb.Labels[epic.OwningClusterLabel] != "" && len(lb.Spec.UpstreamClusters) == 0
}

// leave removes this cluster's endpoints from a load balancer, then the cluster, and then
// the load balancer if no other cluster uses it.
func (r *serviceReconciler) leave(ctx context.Context, lb *epicv1.LoadBalancer) (bool, error) {
	now, err := r.endpoints(ctx, lb.Name)
	if err != nil {
		return false, err
	}
	if err := replace(ctx, r.remote, nil, now); err != nil {
		return false, err
	}
	left := lb.DeepCopy()
	unlist(left, r.clusters())
	if !equality.Semantic.DeepEqual(left, lb) {
		// Its event triggers another reconciliation.
		return false, r.patch(ctx, lb, left)
	}
	if len(lb.Spec.UpstreamClusters) > 0 {
		return true, nil
	}
	if lb.DeletionTimestamp != nil {
		return false, nil
	}
	uid, version := lb.UID, lb.ResourceVersion
	if err := r.remote.client.Delete(ctx, lb, client.Preconditions{UID: &uid, ResourceVersion: &version}); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("delete LoadBalancer %s: %w", lb.Name, err)
	}
	writes.WithLabelValues("LoadBalancer", "delete").Inc()
	return false, nil
}
