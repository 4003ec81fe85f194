// SPDX-License-Identifier: Apache-2.0

// Package deployments runs proxies as Deployments of the gateway cluster.
package deployments

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Runner runs proxies as Deployments.
type Runner struct {
	// Client reads from a cache and writes to the API server.
	Client client.Client
	// Platform is the configuration that all proxies share.
	Platform workload.Platform
	// CA returns the certificates that proxies trust, in PEM.
	CA func() []byte
}

var _ runner.Runner = &Runner{}

// Ensure implements runner.Runner.
func (r *Runner) Ensure(ctx context.Context, p *workload.Proxy) (runner.Progress, error) {
	progress := runner.Progress{Desired: p.Replicas, Image: r.Platform.ImageOf(p)}
	if progress.Image == "" {
		progress.Reason = ReasonNoImage
		progress.Message = "No Envoy image is known: set envoy-image of the service group or of the EPIC object, or start the operator with --envoy-image"
		return progress, nil
	}
	if err := r.authority(ctx, p.Namespace); err != nil {
		return progress, err
	}
	deployment := r.Platform.Deployment(p)
	for _, step := range []func() error{
		func() error {
			return ensure(ctx, r.Client, r.Platform.NetworkPolicy(p), &networkingv1.NetworkPolicy{}, func(has, want *networkingv1.NetworkPolicy) bool {
				return differs(&has.Spec, want.Spec)
			})
		},
		func() error {
			return ensure(ctx, r.Client, r.Platform.DisruptionBudget(p), &policyv1.PodDisruptionBudget{}, func(has, want *policyv1.PodDisruptionBudget) bool {
				return differs(&has.Spec, want.Spec)
			})
		},
		func() error {
			return ensure(ctx, r.Client, deployment, &appsv1.Deployment{}, func(has, want *appsv1.Deployment) bool {
				return differs(&has.Spec, want.Spec)
			})
		},
	} {
		if err := step(); err != nil {
			return progress, err
		}
	}
	var has appsv1.Deployment
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(deployment), &has); client.IgnoreNotFound(err) != nil {
		return progress, err
	}
	if has.Status.ObservedGeneration >= has.Generation {
		progress.Updated = has.Status.UpdatedReplicas
	}
	progress.Ready = has.Status.ReadyReplicas
	// A rollout is complete when only new pods are left, and all are ready.
	if progress.Ready == p.Replicas && progress.Updated == p.Replicas && has.Status.Replicas == p.Replicas {
		return progress, nil
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(p.Namespace), client.MatchingLabels(p.Labels())); err != nil {
		return progress, err
	}
	progress.Reason, progress.Message = trouble(pods.Items, &has)
	return progress, nil
}

// Remove implements runner.Runner. The cluster's garbage collector deletes objects whose
// owner no longer exists.
func (r *Runner) Remove(context.Context, proxyidentity.Proxy) error { return nil }

// Keys implements runner.Runner.
func (r *Runner) Keys(context.Context) ([]proxyidentity.Proxy, error) { return nil, nil }

// ensure creates an object, or updates an existing one. It never updates an object with
// another owner.
func ensure[T client.Object](ctx context.Context, c client.Client, want, has T, change func(has, want T) bool) error {
	err := c.Get(ctx, client.ObjectKeyFromObject(want), has)
	if apierrors.IsNotFound(err) {
		return c.Create(ctx, want, client.FieldOwner(fieldOwner))
	}
	if err != nil {
		return err
	}
	owner, is := metav1.GetControllerOf(want), metav1.GetControllerOf(has)
	switch {
	case owner == nil:
	case is == nil || is.Kind != owner.Kind || is.Name != owner.Name:
		return fmt.Errorf("%T %s exists and does not belong to the operator: delete it", want, client.ObjectKeyFromObject(want))
	case is.UID != owner.UID:
		// It belongs to an earlier object of the name, and the garbage collector will
		// delete it.
		return fmt.Errorf("%T %s of an earlier %s still exists", want, client.ObjectKeyFromObject(want), owner.Kind)
	}
	has, ok := has.DeepCopyObject().(T) // it is shared with the cache
	if !ok {
		return fmt.Errorf("%T can't be copied", want)
	}
	changed := change(has, want)
	changed = labeled(has, want) || changed
	if !changed {
		return nil
	}
	return c.Update(ctx, has, client.FieldOwner(fieldOwner))
}

const fieldOwner = "epic-operator"

// differs sets a part of an object to the wanted value, unless it already has it apart
// from defaults, and reports whether it changed it.
func differs[T any](has *T, want T) bool {
	if derives(want, *has) {
		return false
	}
	*has = want
	return true
}

// labeled adds labels and annotations that are missing, and reports whether any was.
func labeled(has, want client.Object) bool {
	changed := false
	add := func(to, from map[string]string) map[string]string {
		for key, value := range from {
			if to[key] == value {
				continue
			}
			if to == nil {
				to = map[string]string{}
			}
			to[key], changed = value, true
		}
		return to
	}
	has.SetLabels(add(has.GetLabels(), want.GetLabels()))
	has.SetAnnotations(add(has.GetAnnotations(), want.GetAnnotations()))
	return changed
}

// authority creates or updates the ConfigMap with the CA, which proxies mount.
func (r *Runner) authority(ctx context.Context, namespace string) error {
	want := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: workload.CAConfigMap,
			Labels: map[string]string{epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent},
		},
		Data: map[string]string{workload.CAKey: string(r.CA())},
	}
	return ensure(ctx, r.Client, want, &corev1.ConfigMap{}, func(has, want *corev1.ConfigMap) bool {
		if has.Data[workload.CAKey] == want.Data[workload.CAKey] {
			return false
		}
		has.Data = want.Data
		return true
	})
}

// Selector selects the objects that the runner creates, and the pods.
func Selector() labels.Selector {
	return labels.SelectorFromSet(labels.Set{epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent})
}

// OwnerOf returns the object to which an object of the runner, or one of its pods,
// belongs.
func OwnerOf(o metav1.Object) (proxyidentity.Proxy, bool) {
	for label, kind := range map[string]workload.Kind{epic.OwningLoadBalancerLabel: workload.LoadBalancer, epic.OwningProxyLabel: workload.GWProxy} {
		name := o.GetAnnotations()[label]
		if name == "" {
			name = o.GetLabels()[label]
		}
		if name != "" {
			return proxyidentity.Proxy{Namespace: o.GetNamespace(), Kind: string(kind), Name: name}, true
		}
	}
	return proxyidentity.Proxy{}, false
}
