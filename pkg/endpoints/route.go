// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ProxiesOf are the names of the gateway proxies that a route belongs to, in the
// route's own namespace, each once and in order. The namespace in a parent
// reference is one of the tenant's cluster and means nothing here.
func ProxiesOf(route *epicv1.GWRoute) []string {
	var names []string
	add := func(refs []gatewayv1.ParentReference) {
		for i := range refs {
			names = append(names, string(refs[i].Name))
		}
	}
	if route.Spec.HTTP != nil {
		add(route.Spec.HTTP.ParentRefs)
	}
	if route.Spec.TCP != nil {
		add(route.Spec.TCP.ParentRefs)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ServicesOf are the uids of the tenant's Services that a route leads to, each
// once and in order.
func ServicesOf(route *epicv1.GWRoute) []string {
	var uids []string
	for _, b := range backendsOf(route) {
		uids = append(uids, b.service)
	}
	return slices.Compact(uids)
}

// backend is one Service, and one of its ports, that a route leads to.
type backend struct {
	service string
	// port is the number of the Service's port, and 0 when the route gives none.
	port int32
}

// backendsOf are all backends of a route, each once and in order. Those to which
// requests are mirrored are among them, and those of weight 0: requests that
// they got before are still being answered, and they may get others any moment.
func backendsOf(route *epicv1.GWRoute) []backend {
	var all []backend
	add := func(ref *gatewayv1.BackendObjectReference) {
		b := backend{service: string(ref.Name)}
		if ref.Port != nil {
			b.port = *ref.Port
		}
		all = append(all, b)
	}
	mirrors := func(filters []gatewayv1.HTTPRouteFilter) {
		for i := range filters {
			if m := filters[i].RequestMirror; m != nil {
				add(&m.BackendRef)
			}
		}
	}
	if http := route.Spec.HTTP; http != nil {
		for i := range http.Rules {
			rule := &http.Rules[i]
			mirrors(rule.Filters)
			for j := range rule.BackendRefs {
				add(&rule.BackendRefs[j].BackendObjectReference)
				mirrors(rule.BackendRefs[j].Filters)
			}
		}
	}
	if tcp := route.Spec.TCP; tcp != nil {
		for i := range tcp.Rules {
			for j := range tcp.Rules[i].BackendRefs {
				add(&tcp.Rules[i].BackendRefs[j].BackendObjectReference)
			}
		}
	}
	slices.SortFunc(all, func(a, b backend) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.port, b.port))
	})
	return slices.Compact(all)
}
