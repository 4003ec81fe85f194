// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// reference is one reference of a route to a backend.
type reference struct {
	// field is its path in the spec.
	field string
	*gatewayv1.BackendObjectReference
}

// eachPlace calls f for each rule of a route and each of its backends, with its field,
// its filters, and the reference to the backend, which is nil for a rule. It converts the
// filters of a GRPCRoute to those of an HTTPRoute, which are a superset.
func eachPlace(route metav1.Object, f visitor) {
	plain := func(b *gatewayv1.BackendRef) ([]gatewayv1.HTTPRouteFilter, *gatewayv1.BackendObjectReference) {
		return nil, &b.BackendObjectReference
	}
	switch o := route.(type) {
	case *gatewayv1.HTTPRoute:
		visit(o.Spec.Rules, f, func(r *gatewayv1.HTTPRouteRule) ([]gatewayv1.HTTPRouteFilter, []gatewayv1.HTTPBackendRef) {
			return r.Filters, r.BackendRefs
		}, func(b *gatewayv1.HTTPBackendRef) ([]gatewayv1.HTTPRouteFilter, *gatewayv1.BackendObjectReference) {
			return b.Filters, &b.BackendObjectReference
		})
	case *gatewayv1.GRPCRoute:
		visit(o.Spec.Rules, f, func(r *gatewayv1.GRPCRouteRule) ([]gatewayv1.HTTPRouteFilter, []gatewayv1.GRPCBackendRef) {
			return asHTTP(r.Filters), r.BackendRefs
		}, func(b *gatewayv1.GRPCBackendRef) ([]gatewayv1.HTTPRouteFilter, *gatewayv1.BackendObjectReference) {
			return asHTTP(b.Filters), &b.BackendObjectReference
		})
	case *gatewayv1.TLSRoute:
		visit(o.Spec.Rules, f, func(r *gatewayv1.TLSRouteRule) ([]gatewayv1.HTTPRouteFilter, []gatewayv1.BackendRef) {
			return nil, r.BackendRefs
		}, plain)
	case *gatewayv1.TCPRoute:
		visit(o.Spec.Rules, f, func(r *gatewayv1.TCPRouteRule) ([]gatewayv1.HTTPRouteFilter, []gatewayv1.BackendRef) {
			return nil, r.BackendRefs
		}, plain)
	case *gatewayv1.UDPRoute:
		visit(o.Spec.Rules, f, func(r *gatewayv1.UDPRouteRule) ([]gatewayv1.HTTPRouteFilter, []gatewayv1.BackendRef) {
			return nil, r.BackendRefs
		}, plain)
	}
}

// visitor is called for a place in a route.
type visitor func(at string, filters []gatewayv1.HTTPRouteFilter, ref *gatewayv1.BackendObjectReference)

// visit calls f for each rule and each of its backends.
func visit[R, B any](rules []R, f visitor, rule func(*R) ([]gatewayv1.HTTPRouteFilter, []B), backend func(*B) ([]gatewayv1.HTTPRouteFilter, *gatewayv1.BackendObjectReference)) {
	for i := range rules {
		filters, backends := rule(&rules[i])
		f(fmt.Sprintf("rules[%d]", i), filters, nil)
		for j := range backends {
			filters, ref := backend(&backends[j])
			f(fmt.Sprintf("rules[%d].backendRefs[%d]", i, j), filters, ref)
		}
	}
}

// asHTTP converts filters of a GRPCRoute to those of an HTTPRoute. The results share
// pointers with the originals.
func asHTTP(filters []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	out := make([]gatewayv1.HTTPRouteFilter, len(filters))
	for i, f := range filters {
		out[i] = gatewayv1.HTTPRouteFilter{
			Type:                   gatewayv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier:  f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror:          f.RequestMirror,
			ExtensionRef:           f.ExtensionRef,
		}
	}
	return out
}

// references returns all references of a route to backends, including those of its
// filters.
func references(route metav1.Object) []reference {
	var all []reference
	eachPlace(route, func(at string, filters []gatewayv1.HTTPRouteFilter, ref *gatewayv1.BackendObjectReference) {
		if ref != nil {
			all = append(all, reference{at, ref})
		}
		for i := range filters {
			if m := filters[i].RequestMirror; m != nil {
				all = append(all, reference{fmt.Sprintf("%s.filters[%d].requestMirror.backendRef", at, i), &m.BackendRef})
			}
			if a := filters[i].ExternalAuth; a != nil {
				all = append(all, reference{fmt.Sprintf("%s.filters[%d].externalAuth.backendRef", at, i), &a.BackendRef})
			}
		}
	})
	return all
}

// extensions returns the fields of a route that refer to filters which nobody provides.
func extensions(route metav1.Object) []string {
	var fields []string
	eachPlace(route, func(at string, filters []gatewayv1.HTTPRouteFilter, _ *gatewayv1.BackendObjectReference) {
		for i := range filters {
			if filters[i].Type == gatewayv1.HTTPRouteFilterExtensionRef {
				fields = append(fields, fmt.Sprintf("%s.filters[%d].extensionRef", at, i))
			}
		}
	})
	return fields
}

// ServiceOf returns the Service to which a reference of a route in a namespace refers,
// and false if it refers to another kind.
func ServiceOf(ref *gatewayv1.BackendObjectReference, namespace string) (types.NamespacedName, bool) {
	name := types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(namespace))), Name: string(ref.Name)}
	return name, ptr.Deref(ref.Group, "") == "" && ptr.Deref(ref.Kind, "Service") == "Service"
}

// Services returns the distinct Services to which a route refers.
func (r *Route) Services() []types.NamespacedName {
	var names []types.NamespacedName
	seen := map[types.NamespacedName]bool{}
	for _, ref := range references(r.Object) {
		if name, ok := ServiceOf(ref.BackendObjectReference, r.GetNamespace()); ok && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// transportOf returns the transport protocol of the requests of a kind of route.
func transportOf(kind gatewayv1.Kind) corev1.Protocol {
	if kind == UDPRouteKind {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// backend is what a reference resolves to.
type backend struct {
	service *corev1.Service
	port    *corev1.ServicePort
}

// resolve returns the Service and the port to which a reference of a route refers.
func (p *publisher) resolve(route *Route, ref *gatewayv1.BackendObjectReference) (*backend, *problem) {
	name, ok := ServiceOf(ref, route.GetNamespace())
	if !ok {
		return nil, problemf(string(gatewayv1.RouteReasonInvalidKind), "it names the kind %s of the group %q: use a Service",
			ptr.Deref(ref.Kind, "Service"), ptr.Deref(ref.Group, ""))
	}
	f := from{route.Kind, route.GetNamespace()}
	if !permits(p.view, f, object{"", "Service", name.Namespace, name.Name}) {
		return nil, notPermitted(f, "Service", name)
	}
	notFound := string(gatewayv1.RouteReasonBackendNotFound)
	service := p.view.Service(name)
	switch {
	case service == nil:
		return nil, problemf(notFound, "Service %s does not exist: create it, or change the reference", name)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return nil, problemf(string(gatewayv1.RouteReasonInvalidKind), "the Service %s is of type ExternalName, which has no endpoints: use another type", name)
	case ref.Port == nil:
		return nil, problemf(notFound, "it does not specify a port of the Service %s: add one", name)
	}
	var other bool
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.Port != *ref.Port {
			continue
		}
		if protocolOf(port) == transportOf(route.Kind) {
			return &backend{service, port}, nil
		}
		other = true
	}
	if other {
		return nil, problemf(string(gatewayv1.RouteReasonUnsupportedProtocol), "port %d of the Service %s does not use %s, which a %s requires: use another port",
			*ref.Port, name, transportOf(route.Kind), route.Kind)
	}
	return nil, problemf(notFound, "the Service %s has no port %d: use one of its ports", name, *ref.Port)
}

func protocolOf(port *corev1.ServicePort) corev1.Protocol {
	if port.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return port.Protocol
}

// lead replaces a reference by one to what it resolved to, or by an unresolved one.
func lead(ref *gatewayv1.BackendObjectReference, to *backend, why *problem) {
	ref.Namespace = nil
	if why != nil {
		ref.Group, ref.Kind = ptr.To[gatewayv1.Group](epic.GroupName), ptr.To[gatewayv1.Kind](epic.UnresolvedKind)
		ref.Name, ref.Port = gatewayv1.ObjectName(strings.ToLower(why.reason)), nil
		return
	}
	ref.Group, ref.Kind = ptr.To[gatewayv1.Group](""), ptr.To[gatewayv1.Kind]("Service")
	ref.Name, ref.Port = gatewayv1.ObjectName(to.service.UID), ptr.To(to.port.Port)
}
