// SPDX-License-Identifier: Apache-2.0

// Package publishtest provides a client cluster of plain objects, for tests of package
// publish.
package publishtest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// Snapshot is a client cluster with the given objects. It implements publish.View.
type Snapshot struct{ Objects []metav1.Object }

var _ publish.View = (*Snapshot)(nil)

// All returns the objects of one type.
func All[T metav1.Object](s *Snapshot) []T {
	var all []T
	for _, o := range s.Objects {
		if t, ok := o.(T); ok {
			all = append(all, t)
		}
	}
	return all
}

func get[T metav1.Object](s *Snapshot, name types.NamespacedName) T {
	for _, o := range All[T](s) {
		if o.GetNamespace() == name.Namespace && o.GetName() == name.Name {
			return o
		}
	}
	var none T
	return none
}

func filter[T metav1.Object](s *Snapshot, keep func(T) bool) []T {
	return slices.DeleteFunc(All[T](s), func(o T) bool { return !keep(o) })
}

// Class returns the GatewayClass of a name.
func (s *Snapshot) Class(name string) *gatewayv1.GatewayClass {
	return get[*gatewayv1.GatewayClass](s, types.NamespacedName{Name: name})
}

// Gateway returns the Gateway of a name.
func (s *Snapshot) Gateway(name types.NamespacedName) *gatewayv1.Gateway {
	return get[*gatewayv1.Gateway](s, name)
}

// ListenerSet returns the ListenerSet of a name.
func (s *Snapshot) ListenerSet(name types.NamespacedName) *gatewayv1.ListenerSet {
	return get[*gatewayv1.ListenerSet](s, name)
}

// Namespace returns the Namespace of a name.
func (s *Snapshot) Namespace(name string) *corev1.Namespace {
	return get[*corev1.Namespace](s, types.NamespacedName{Name: name})
}

// Node returns the Node of a name.
func (s *Snapshot) Node(name string) *corev1.Node {
	return get[*corev1.Node](s, types.NamespacedName{Name: name})
}

// Service returns the Service of a name.
func (s *Snapshot) Service(name types.NamespacedName) *corev1.Service {
	return get[*corev1.Service](s, name)
}

// Secret returns the Secret of a name.
func (s *Snapshot) Secret(name types.NamespacedName) *corev1.Secret {
	return get[*corev1.Secret](s, name)
}

// ConfigMap returns the ConfigMap of a name.
func (s *Snapshot) ConfigMap(name types.NamespacedName) *corev1.ConfigMap {
	return get[*corev1.ConfigMap](s, name)
}

// ListenerSetsOf returns the ListenerSets of a Gateway.
func (s *Snapshot) ListenerSetsOf(gateway types.NamespacedName) []*gatewayv1.ListenerSet {
	return filter(s, func(set *gatewayv1.ListenerSet) bool {
		of, ok := publish.GatewayOf(set)
		return ok && of == gateway
	})
}

// Routes returns the routes of all kinds.
func (s *Snapshot) Routes() []*publish.Route {
	var routes []*publish.Route
	for _, o := range s.Objects {
		if r := publish.RouteOf(o); r != nil {
			routes = append(routes, r)
		}
	}
	return routes
}

// RoutesOf returns the routes of some kinds, or of all, that refer to a parent.
func (s *Snapshot) RoutesOf(parent publish.Parent, kinds ...gatewayv1.Kind) []*publish.Route {
	return slices.DeleteFunc(s.Routes(), func(r *publish.Route) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, r.Kind) || !slices.Contains(r.Parents(), parent)
	})
}

// RoutesTo returns the routes that refer to a Service.
func (s *Snapshot) RoutesTo(service types.NamespacedName) []*publish.Route {
	return slices.DeleteFunc(s.Routes(), func(r *publish.Route) bool { return !slices.Contains(r.Services(), service) })
}

// DefaultRoutes returns the routes that request the default Gateways.
func (s *Snapshot) DefaultRoutes() []*publish.Route {
	return slices.DeleteFunc(s.Routes(), func(r *publish.Route) bool { return !r.WantsDefault() })
}

// DefaultGateways returns the default Gateways.
func (s *Snapshot) DefaultGateways() []*gatewayv1.Gateway { return filter(s, publish.IsDefault) }

// SlicesOf returns the EndpointSlices of a Service.
func (s *Snapshot) SlicesOf(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	return filter(s, func(slice *discoveryv1.EndpointSlice) bool { return publish.ServiceOfSlice(slice) == service })
}

// PoliciesOf returns the BackendTLSPolicies of a Service.
func (s *Snapshot) PoliciesOf(service types.NamespacedName) []*gatewayv1.BackendTLSPolicy {
	return filter(s, func(p *gatewayv1.BackendTLSPolicy) bool { return slices.Contains(publish.TargetsOf(p), service) })
}

// GrantsIn returns the ReferenceGrants of a namespace.
func (s *Snapshot) GrantsIn(namespace string) []*gatewayv1.ReferenceGrant {
	return filter(s, func(g *gatewayv1.ReferenceGrant) bool { return g.Namespace == namespace })
}
