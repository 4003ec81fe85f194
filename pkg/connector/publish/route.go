// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Route is a route of any kind.
type Route struct {
	metav1.Object
	// Kind is the kind of the route.
	Kind gatewayv1.Kind
	// Common is the part of its spec that all kinds share.
	Common *gatewayv1.CommonRouteSpec
	// Hostnames are its hostnames; routes for TCP and UDP have none.
	Hostnames []gatewayv1.Hostname
	// Status is its status.
	Status *gatewayv1.RouteStatus
}

// RouteOf returns a Route for an HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or UDPRoute,
// and nil for other objects. It copies nothing.
func RouteOf(o metav1.Object) *Route {
	switch o := o.(type) {
	case *gatewayv1.HTTPRoute:
		return &Route{Object: o, Kind: HTTPRouteKind, Common: &o.Spec.CommonRouteSpec, Hostnames: o.Spec.Hostnames, Status: &o.Status.RouteStatus}
	case *gatewayv1.GRPCRoute:
		return &Route{Object: o, Kind: GRPCRouteKind, Common: &o.Spec.CommonRouteSpec, Hostnames: o.Spec.Hostnames, Status: &o.Status.RouteStatus}
	case *gatewayv1.TLSRoute:
		return &Route{Object: o, Kind: TLSRouteKind, Common: &o.Spec.CommonRouteSpec, Hostnames: o.Spec.Hostnames, Status: &o.Status.RouteStatus}
	case *gatewayv1.TCPRoute:
		return &Route{Object: o, Kind: TCPRouteKind, Common: &o.Spec.CommonRouteSpec, Status: &o.Status.RouteStatus}
	case *gatewayv1.UDPRoute:
		return &Route{Object: o, Kind: UDPRouteKind, Common: &o.Spec.CommonRouteSpec, Status: &o.Status.RouteStatus}
	}
	return nil
}

// ParentOf returns the Gateway or ListenerSet to which a reference of a route in a
// namespace refers, and false if it refers to another kind.
func ParentOf(ref *gatewayv1.ParentReference, namespace string) (Parent, bool) {
	kind := ptr.Deref(ref.Kind, GatewayKind)
	if ptr.Deref(ref.Group, gatewayv1.GroupName) != gatewayv1.GroupName || (kind != GatewayKind && kind != ListenerSetKind) {
		return Parent{}, false
	}
	name := types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(namespace))), Name: string(ref.Name)}
	return Parent{Kind: kind, NamespacedName: name}, true
}

// Parents returns the distinct Gateways and ListenerSets that the route names.
func (r *Route) Parents() []Parent {
	var parents []Parent
	seen := map[Parent]bool{}
	for i := range r.Common.ParentRefs {
		if p, ok := ParentOf(&r.Common.ParentRefs[i], r.GetNamespace()); ok && !seen[p] {
			seen[p] = true
			parents = append(parents, p)
		}
	}
	return parents
}

// WantsDefault reports whether the route requests the default Gateways.
func (r *Route) WantsDefault() bool {
	return r.Common.UseDefaultGateways == gatewayv1.GatewayDefaultScopeAll
}

// IsDefault reports whether a Gateway is a default for routes that request one.
func IsDefault(gateway *gatewayv1.Gateway) bool {
	return gateway.Spec.DefaultScope == gatewayv1.GatewayDefaultScopeAll
}

// refsTo returns the route's references to a parent. A default Gateway that the route
// does not name has an implicit one.
func (r *Route) refsTo(view View, parent Parent) []gatewayv1.ParentReference {
	var refs []gatewayv1.ParentReference
	for i := range r.Common.ParentRefs {
		if p, ok := ParentOf(&r.Common.ParentRefs[i], r.GetNamespace()); ok && p == parent {
			refs = append(refs, r.Common.ParentRefs[i])
		}
	}
	if len(refs) == 0 && r.WantsDefault() && parent.Kind == GatewayKind {
		if gateway := view.Gateway(parent.NamespacedName); gateway != nil && IsDefault(gateway) {
			refs = append(refs, defaultRef(gateway))
		}
	}
	return refs
}

// defaultRef returns the implicit reference of a route to a default Gateway.
func defaultRef(gateway *gatewayv1.Gateway) gatewayv1.ParentReference {
	return gatewayv1.ParentReference{
		Group: ptr.To[gatewayv1.Group](gatewayv1.GroupName), Kind: ptr.To(GatewayKind),
		Namespace: ptr.To(gatewayv1.Namespace(gateway.Namespace)), Name: gatewayv1.ObjectName(gateway.Name),
	}
}

// allRefs returns all references of the route to Gateways and ListenerSets, explicit and
// implicit.
func (r *Route) allRefs(view View) []gatewayv1.ParentReference {
	var refs []gatewayv1.ParentReference
	named := map[Parent]bool{}
	for i := range r.Common.ParentRefs {
		if p, ok := ParentOf(&r.Common.ParentRefs[i], r.GetNamespace()); ok {
			named[p] = true
			refs = append(refs, r.Common.ParentRefs[i])
		}
	}
	if !r.WantsDefault() {
		return refs
	}
	for _, gateway := range sorted(view.DefaultGateways()) {
		if !named[Parent{GatewayKind, nameOf(gateway)}] {
			refs = append(refs, defaultRef(gateway))
		}
	}
	return refs
}

// compareAge orders objects by the Gateway API's rule for conflicts: oldest first, then
// by namespace and name.
func compareAge(a, b metav1.Object) int {
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	return cmp.Or(at.Compare(bt.Time), cmp.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName()))
}

// compareRoutes orders routes by compareAge. Routes of two kinds may have the same name.
func compareRoutes(a, b *Route) int { return cmp.Or(compareAge(a, b), cmp.Compare(a.Kind, b.Kind)) }
