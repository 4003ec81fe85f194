// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ProxiesOf returns the distinct names of the gateway proxies to which a route belongs,
// in the route's own namespace, sorted. The namespace in a parent reference refers to the
// tenant's cluster and is ignored.
func ProxiesOf(route *epicv1.GWRoute) []string {
	var names []string
	for _, refs := range parentsOf(&route.Spec) {
		for i := range refs {
			names = append(names, string(refs[i].Name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ServicesOf returns the distinct UIDs of the tenant's Services to which a route leads,
// sorted.
func ServicesOf(route *epicv1.GWRoute) []string {
	var uids []string
	for _, b := range backendsOf(route) {
		uids = append(uids, b.Service)
	}
	return slices.Compact(uids)
}

// parentsOf returns the parent references of each route in a GWRoute.
func parentsOf(spec *epicv1.GWRouteSpec) [][]gatewayv1.ParentReference {
	var all [][]gatewayv1.ParentReference
	if spec.HTTP != nil {
		all = append(all, spec.HTTP.ParentRefs)
	}
	if spec.GRPC != nil {
		all = append(all, spec.GRPC.ParentRefs)
	}
	if spec.TLS != nil {
		all = append(all, spec.TLS.ParentRefs)
	}
	if spec.TCP != nil {
		all = append(all, spec.TCP.ParentRefs)
	}
	if spec.UDP != nil {
		all = append(all, spec.UDP.ParentRefs)
	}
	return all
}

// Backend is one port of a Service to which a route leads.
type Backend struct {
	// Service is the UID of the Service.
	Service string
	// Port is the number of the Service's port, 0 if the route sets none.
	Port int32
	// Protocol is the number of the transport protocol; 0 means TCP.
	Protocol uint8
}

func (b Backend) protocol() uint8 { return cmp.Or(b.Protocol, protocolTCP) }

// backendsOf returns all distinct backends of a route, sorted. It includes those to which
// requests are mirrored, and those of weight 0: earlier requests may still be in
// progress, and they may get new ones at any time.
func backendsOf(route *epicv1.GWRoute) []Backend {
	var all backends
	if http := route.Spec.HTTP; http != nil {
		for i := range http.Rules {
			all.addHTTPRule(&http.Rules[i])
		}
	}
	if grpc := route.Spec.GRPC; grpc != nil {
		for i := range grpc.Rules {
			all.addGRPCRule(&grpc.Rules[i])
		}
	}
	if tls := route.Spec.TLS; tls != nil {
		for i := range tls.Rules {
			all.addRefs(tls.Rules[i].BackendRefs, protocolTCP)
		}
	}
	if udp := route.Spec.UDP; udp != nil {
		for i := range udp.Rules {
			all.addRefs(udp.Rules[i].BackendRefs, protocolUDP)
		}
	}
	if tcp := route.Spec.TCP; tcp != nil {
		for i := range tcp.Rules {
			all.addRefs(tcp.Rules[i].BackendRefs, protocolTCP)
		}
	}
	slices.SortFunc(all, func(a, b Backend) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(all)
}

// backends collects backends.
type backends []Backend

func (bs *backends) add(ref *gatewayv1.BackendObjectReference, protocol uint8) {
	b := Backend{Service: string(ref.Name), Protocol: protocol}
	if ref.Port != nil {
		b.Port = *ref.Port
	}
	*bs = append(*bs, b)
}

func (bs *backends) addRefs(refs []gatewayv1.BackendRef, protocol uint8) {
	for i := range refs {
		bs.add(&refs[i].BackendObjectReference, protocol)
	}
}

func (bs *backends) addHTTPRule(rule *gatewayv1.HTTPRouteRule) {
	bs.addHTTPFilters(rule.Filters)
	for i := range rule.BackendRefs {
		bs.add(&rule.BackendRefs[i].BackendObjectReference, protocolTCP)
		bs.addHTTPFilters(rule.BackendRefs[i].Filters)
	}
}

func (bs *backends) addGRPCRule(rule *gatewayv1.GRPCRouteRule) {
	bs.addGRPCFilters(rule.Filters)
	for i := range rule.BackendRefs {
		bs.add(&rule.BackendRefs[i].BackendObjectReference, protocolTCP)
		bs.addGRPCFilters(rule.BackendRefs[i].Filters)
	}
}

func (bs *backends) addGRPCFilters(filters []gatewayv1.GRPCRouteFilter) {
	for i := range filters {
		if m := filters[i].RequestMirror; m != nil {
			bs.add(&m.BackendRef, protocolTCP)
		}
	}
}

// addHTTPFilters adds the backends to which filters send requests.
func (bs *backends) addHTTPFilters(filters []gatewayv1.HTTPRouteFilter) {
	for i := range filters {
		if m := filters[i].RequestMirror; m != nil {
			bs.add(&m.BackendRef, protocolTCP)
		}
		if a := filters[i].ExternalAuth; a != nil {
			bs.add(&a.BackendRef, protocolTCP)
		}
	}
}
