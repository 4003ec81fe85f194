// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// view is the client cluster as cached.
type view struct {
	ctx    context.Context //nolint:containedctx // a view lives as long as one reconciliation
	reader client.Reader
}

var _ publish.View = (*view)(nil)

func newView(ctx context.Context, reader client.Reader) *view { return &view{ctx, reader} }

// get reads an object from a cache, or returns nil if it does not exist.
func get[T any, P interface {
	*T
	client.Object
}](v *view, name types.NamespacedName) P {
	o := P(new(T))
	if err := v.reader.Get(v.ctx, name, o); err != nil {
		if !apierrors.IsNotFound(err) {
			klog.FromContext(v.ctx).Error(err, "Reading from the cache", "object", name)
		}
		return nil
	}
	return o
}

// list reads objects from a cache.
func list[L any, P interface {
	*L
	client.ObjectList
}](v *view, options ...client.ListOption) P {
	l := P(new(L))
	if err := v.reader.List(v.ctx, l, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		klog.FromContext(v.ctx).Error(err, "Listing from the cache")
	}
	return l
}

// pointers returns pointers to a list's items.
func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// Class implements publish.View.
func (v *view) Class(name string) *gatewayv1.GatewayClass {
	return get[gatewayv1.GatewayClass](v, types.NamespacedName{Name: name})
}

// Gateway implements publish.View.
func (v *view) Gateway(name types.NamespacedName) *gatewayv1.Gateway {
	return get[gatewayv1.Gateway](v, name)
}

// ListenerSet implements publish.View.
func (v *view) ListenerSet(name types.NamespacedName) *gatewayv1.ListenerSet {
	return get[gatewayv1.ListenerSet](v, name)
}

// Namespace implements publish.View.
func (v *view) Namespace(name string) *corev1.Namespace {
	return get[corev1.Namespace](v, types.NamespacedName{Name: name})
}

// Node implements publish.View.
func (v *view) Node(name string) *corev1.Node {
	return get[corev1.Node](v, types.NamespacedName{Name: name})
}

// Service implements publish.View.
func (v *view) Service(name types.NamespacedName) *corev1.Service {
	return get[corev1.Service](v, name)
}

// Secret implements publish.View.
func (v *view) Secret(name types.NamespacedName) *corev1.Secret { return get[corev1.Secret](v, name) }

// ConfigMap implements publish.View.
func (v *view) ConfigMap(name types.NamespacedName) *corev1.ConfigMap {
	return get[corev1.ConfigMap](v, name)
}

// ListenerSetsOf implements publish.View.
func (v *view) ListenerSetsOf(gateway types.NamespacedName) []*gatewayv1.ListenerSet {
	return pointers(list[gatewayv1.ListenerSetList](v, client.MatchingFields{gatewayIndex: gateway.String()}).Items)
}

// RoutesOf implements publish.View.
func (v *view) RoutesOf(parent publish.Parent, kinds ...gatewayv1.Kind) []*publish.Route {
	var routes []*publish.Route
	for i := range routeKinds {
		if len(kinds) == 0 || slices.Contains(kinds, routeKinds[i].kind) {
			routes = append(routes, routeKinds[i].list(v, client.MatchingFields{parentIndex: parentKey(parent)})...)
		}
	}
	return routes
}

// RoutesTo implements publish.View.
func (v *view) RoutesTo(service types.NamespacedName) []*publish.Route {
	return v.routes(client.MatchingFields{serviceIndex: service.String()})
}

// DefaultRoutes implements publish.View.
func (v *view) DefaultRoutes() []*publish.Route {
	return v.routes(client.MatchingFields{defaultIndex: yes})
}

// routes lists the routes of all kinds.
func (v *view) routes(options ...client.ListOption) []*publish.Route {
	var routes []*publish.Route
	for i := range routeKinds {
		routes = append(routes, routeKinds[i].list(v, options...)...)
	}
	return routes
}

// DefaultGateways implements publish.View.
func (v *view) DefaultGateways() []*gatewayv1.Gateway {
	return pointers(list[gatewayv1.GatewayList](v, client.MatchingFields{defaultIndex: yes}).Items)
}

// SlicesOf implements publish.View.
func (v *view) SlicesOf(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	return pointers(list[discoveryv1.EndpointSliceList](v, client.MatchingFields{serviceIndex: service.String()}).Items)
}

// PoliciesOf implements publish.View.
func (v *view) PoliciesOf(service types.NamespacedName) []*gatewayv1.BackendTLSPolicy {
	return pointers(list[gatewayv1.BackendTLSPolicyList](v, client.MatchingFields{serviceIndex: service.String()}).Items)
}

// GrantsIn implements publish.View.
func (v *view) GrantsIn(namespace string) []*gatewayv1.ReferenceGrant {
	return pointers(list[gatewayv1.ReferenceGrantList](v, client.InNamespace(namespace)).Items)
}
