// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// gatewayReconciler publishes Gateways with their ListenerSets as gateway proxies.
type gatewayReconciler struct {
	*base
	refused *refused
}

func addGateways(w *watcher) error {
	watches := []watch{
		{object: &gatewayv1.Gateway{}, of: itself, status: true},
		{object: &gatewayv1.GatewayClass{}, of: gatewaysOfClass},
		{object: &gatewayv1.ListenerSet{}, of: gatewayOfSet},
		{object: &gatewayv1.ReferenceGrant{}, of: allGateways},
		{object: &corev1.Namespace{}, of: allGateways},
		{object: &corev1.Secret{}, of: gatewaysOfHolder("Secret")},
		{object: &corev1.ConfigMap{}, of: gatewaysOfHolder("ConfigMap")},
		{object: &epicv1.GWProxy{}, of: gatewaysOfProxy, inEPIC: true},
		{object: &epicv1.LBServiceGroup{}, of: allGateways, inEPIC: true},
	}
	for i := range routeKinds {
		watches = append(watches, watch{object: routeKinds[i].object(), of: gatewaysOfRoute})
	}
	return w.controller("gateway", &gatewayReconciler{w.base, newRefused("Gateway")}, watches...)
}

// Reconcile implements reconcile.Reconciler.
func (r *gatewayReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	view := r.view(ctx)
	gateway := view.Gateway(request.NamespacedName)
	if gateway == nil || gateway.DeletionTimestamp != nil {
		return reconcile.Result{}, r.withdraw(ctx, request.NamespacedName, gateway, "")
	}
	config, err := r.config(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	proxy, err := r.proxy(ctx, publish.ProxyName(gateway))
	if err != nil {
		return reconcile.Result{}, err
	}
	result := publish.Gateway(config, view, gateway, publish.Remote{Proxy: proxy, Refused: r.refused.get(request.NamespacedName)})
	if result == nil {
		// It may have belonged to the connector before.
		return reconcile.Result{}, r.withdraw(ctx, request.NamespacedName, gateway, "")
	}
	if err := hold(ctx, r.base, gateway); err != nil {
		return reconcile.Result{}, err
	}
	var after reconcile.Result
	refusal := publish.Refusal{}
	if err := r.write(ctx, config, request.NamespacedName, result, proxy); err != nil {
		if !isRefusal(err) {
			return reconcile.Result{}, err
		}
		refusal = refusalOf(err, string(gatewayv1.GatewayReasonInvalid))
		after.RequeueAfter = r.options.RetryRefused
	}
	if refusal.Reason == "" || refusal.Reason == string(gatewayv1.GatewayReasonNoResources) {
		// With another sharing key, or as an earlier Gateway of this name, it had another
		// proxy.
		if err := r.withdraw(ctx, request.NamespacedName, gateway, publish.ProxyName(gateway)); err != nil {
			return after, err
		}
	}
	if r.note(r.refused, gateway, refusal) {
		result = publish.Gateway(config, view, gateway, publish.Remote{Proxy: proxy, Refused: refusal})
	}
	if err := r.account(ctx, result.ServiceAccount); err != nil {
		return after, err
	}
	return after, r.statuses(ctx, view, gateway, result)
}

// proxy returns the gateway proxy of a name, or nil if it does not exist.
func (r *gatewayReconciler) proxy(ctx context.Context, name string) (*epicv1.GWProxy, error) {
	proxy := &epicv1.GWProxy{}
	err := r.epic.Get(ctx, types.NamespacedName{Namespace: r.options.Namespace, Name: name}, proxy)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read GWProxy %s: %w", name, err)
	}
	return proxy, nil
}

// write writes the objects of a Gateway to EPIC: first its Secrets, so its proxy finds
// them.
func (r *gatewayReconciler) write(ctx context.Context, config *publish.Config, name types.NamespacedName, result *publish.GatewayResult, now *epicv1.GWProxy) error {
	owner := "Gateway/" + name.String()
	if err := r.secrets.apply(ctx, owner, result.Secrets); err != nil {
		return err
	}
	if result.Proxy != nil {
		if now != nil && owners(now) != nil {
			if err := r.join(ctx, config, result.Proxy, now); err != nil {
				return err
			}
		} else if _, err := r.remote.apply(ctx, result.Proxy, object(now)); err != nil {
			return err
		}
	}
	return r.secrets.release(ctx, owner, result.Secrets)
}

// object returns a proxy as an object, or a nil object if there is none.
func object(proxy *epicv1.GWProxy) client.Object {
	if proxy == nil {
		return nil
	}
	return proxy
}

// owners returns the annotations of a shared proxy that name its owners, or nil if it has
// none.
func owners(proxy *epicv1.GWProxy) map[string]string {
	var all map[string]string
	for key, value := range proxy.Annotations {
		if strings.HasPrefix(key, epic.OwnerAnnotationPrefix) {
			if all == nil {
				all = map[string]string{}
			}
			all[key] = value
		}
	}
	return all
}

// join adds this cluster to the owners of a shared proxy, and writes the spec of the
// proxy if this cluster is responsible for it.
func (r *gatewayReconciler) join(ctx context.Context, config *publish.Config, want, now *epicv1.GWProxy) error {
	joined := now.DeepCopy()
	disown(joined, r.former())
	if r.remote.mine(now) && len(joined.Annotations) == len(now.Annotations) {
		_, err := r.remote.apply(ctx, want, now)
		return err
	}
	key := config.OwnerAnnotation()
	joined.Annotations[key] = want.Annotations[key]
	if r.remote.mine(now) || succeeds(joined, key) {
		// The event of this write triggers the next one, with all other fields.
		joined.Spec.ClientRef = want.Spec.ClientRef
		joined.Labels[epic.OwningClusterLabel] = want.Labels[epic.OwningClusterLabel]
		delete(joined.Annotations, publish.ClusterUIDKey)
		if uid := want.Annotations[publish.ClusterUIDKey]; uid != "" {
			joined.Annotations[publish.ClusterUIDKey] = uid
		}
	}
	if equality.Semantic.DeepEqual(joined, now) {
		return nil
	}
	if err := r.remote.client.Patch(ctx, joined, client.MergeFromWithOptions(now, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("join GWProxy %s: %w", now.Name, err)
	}
	writes.WithLabelValues("GWProxy", "apply").Inc()
	return nil
}

// succeeds reports whether the owner of a shared proxy named by its annotation is now
// responsible for the spec of the proxy. The cluster that created the proxy is
// responsible as long as it is an owner; after that, the first of the others is.
func succeeds(proxy *epicv1.GWProxy, owner string) bool {
	all := owners(proxy)
	maker := proxy.Spec.ClientRef.ClusterID
	if _, owns := all[epic.OwnerAnnotation(maker)]; owns && maker != "" {
		return false
	}
	return owner == slices.Min(slices.Collect(maps.Keys(all)))
}

// withdraw removes the proxies of a Gateway in EPIC, except the one named but.
// If but is empty, it removes the Gateway's finalizer when nothing is left.
func (r *gatewayReconciler) withdraw(ctx context.Context, name types.NamespacedName, gateway *gatewayv1.Gateway, but string) error {
	proxies, err := r.proxies(ctx, name, gateway)
	if err != nil {
		return err
	}
	proxies = slices.DeleteFunc(proxies, func(proxy *epicv1.GWProxy) bool { return proxy.Name == but })
	if len(proxies) > 0 {
		if err := confirm(ctx, r.base, name, gateway); err != nil {
			return err
		}
	}
	gone := true
	for _, proxy := range proxies {
		done, err := r.leave(ctx, proxy)
		if err != nil {
			return err
		}
		gone = gone && done
	}
	if !gone || but != "" {
		// Its deletion triggers another reconciliation.
		return nil
	}
	if err := r.secrets.release(ctx, "Gateway/"+name.String(), nil); err != nil {
		return err
	}
	r.refused.set(name, publish.Refusal{})
	if gateway == nil {
		return nil
	}
	return free(ctx, r.base, gateway)
}

// proxies returns the proxies that this cluster created for a Gateway of a name, and
// those that it shares through the Gateway.
func (r *gatewayReconciler) proxies(ctx context.Context, name types.NamespacedName, gateway *gatewayv1.Gateway) ([]*epicv1.GWProxy, error) {
	var uid types.UID
	if gateway != nil {
		uid = gateway.UID
	}
	return published(r.base, name, uid, func(key string) ([]*epicv1.GWProxy, error) {
		var some epicv1.GWProxyList
		if err := r.epic.List(ctx, &some, client.MatchingFields{clientNameIndex: key}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list GWProxies: %w", err)
		}
		return pointers(some.Items), nil
	})
}

// leave removes a proxy, or this cluster from its owners if there are others. It returns
// true when nothing is left to do.
func (r *gatewayReconciler) leave(ctx context.Context, proxy *epicv1.GWProxy) (bool, error) {
	left := proxy.DeepCopy()
	disown(left, r.clusters())
	if owners(left) == nil {
		if owners(proxy) == nil {
			return r.remote.remove(ctx, proxy)
		}
		if proxy.DeletionTimestamp == nil {
			// This cluster is the last owner, unless another one joined since the cache
			// was filled.
			uid, version := proxy.UID, proxy.ResourceVersion
			err := r.remote.client.Delete(ctx, proxy, client.Preconditions{UID: &uid, ResourceVersion: &version})
			switch {
			case apierrors.IsNotFound(err):
				return true, nil
			case err != nil:
				return false, fmt.Errorf("delete GWProxy %s: %w", proxy.Name, err)
			}
			writes.WithLabelValues("GWProxy", "delete").Inc()
		}
		return false, nil
	}
	if len(left.Annotations) == len(proxy.Annotations) {
		// It was removed from the owners before.
		return true, nil
	}
	if err := r.remote.client.Patch(ctx, left, client.MergeFromWithOptions(proxy, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("leave GWProxy %s: %w", proxy.Name, err)
	}
	writes.WithLabelValues("GWProxy", "apply").Inc()
	return true, nil
}

// account creates or updates the ServiceAccount that represents a Gateway.
func (r *gatewayReconciler) account(ctx context.Context, want *corev1.ServiceAccount) error {
	now := &corev1.ServiceAccount{}
	err := r.local.Get(ctx, client.ObjectKeyFromObject(want), now)
	switch {
	case apierrors.IsNotFound(err):
		if err := r.local.Create(ctx, want); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the ServiceAccount: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("read the ServiceAccount: %w", err)
	case !metav1.IsControlledBy(now, &metav1.ObjectMeta{UID: want.OwnerReferences[0].UID}):
		// It has another owner.
		return nil
	}
	after := now.DeepCopy()
	if after.Labels == nil {
		after.Labels = map[string]string{}
	}
	if after.Annotations == nil {
		after.Annotations = map[string]string{}
	}
	maps.Copy(after.Labels, want.Labels)
	maps.Copy(after.Annotations, want.Annotations)
	if maps.Equal(after.Labels, now.Labels) && maps.Equal(after.Annotations, now.Annotations) {
		return nil
	}
	if err := r.local.Patch(ctx, after, client.MergeFrom(now)); err != nil {
		return fmt.Errorf("label the ServiceAccount: %w", err)
	}
	return nil
}

// statuses writes the statuses of a Gateway and of its ListenerSets.
func (r *gatewayReconciler) statuses(ctx context.Context, view *view, gateway *gatewayv1.Gateway, result *publish.GatewayResult) error {
	now := metav1.Now().Rfc3339Copy()
	// An object that was patched before has a later version than the one in the cache.
	current := view.Gateway(client.ObjectKeyFromObject(gateway))
	if current == nil {
		return nil
	}
	after := current.DeepCopy()
	publish.MergeGateway(&after.Status, &result.Status, now)
	if err := r.writeStatus(ctx, current, after); err != nil {
		return err
	}
	for name, want := range result.ListenerSets {
		set := view.ListenerSet(name)
		if set == nil {
			continue
		}
		after := set.DeepCopy()
		publish.MergeListenerSet(&after.Status, &want, now)
		if err := r.writeStatus(ctx, set, after); err != nil {
			return err
		}
	}
	return nil
}
