// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// tcpRoute checks the spec of a TCPRoute.
func tcpRoute(path *field.Path, spec *gatewayv1.TCPRouteSpec) field.ErrorList {
	return streamRoute(path, spec, "TCP", spec.ParentRefs, len(spec.Rules),
		func(i int) []gatewayv1.BackendRef { return spec.Rules[i].BackendRefs })
}

// udpRoute checks the spec of a UDPRoute.
func udpRoute(path *field.Path, spec *gatewayv1.UDPRouteSpec) field.ErrorList {
	return streamRoute(path, spec, "UDP", spec.ParentRefs, len(spec.Rules),
		func(i int) []gatewayv1.BackendRef { return spec.Rules[i].BackendRefs })
}

// tlsRoute checks the spec of a TLSRoute.
func tlsRoute(path *field.Path, spec *gatewayv1.TLSRouteSpec) field.ErrorList {
	errs := atMost(path.Child("hostnames"), len(spec.Hostnames), epic.MaxHostnames)
	if len(errs) > 0 {
		return errs
	}
	if len(spec.Hostnames) == 0 {
		errs = append(errs, field.Required(path.Child("hostnames"), "a TLS route must have the hostnames that clients request (SNI): add one"))
	}
	errs = append(errs, hostnames(path.Child("hostnames"), spec.Hostnames)...)
	return append(errs, streamRoute(path, spec, "TLS", spec.ParentRefs, len(spec.Rules),
		func(i int) []gatewayv1.BackendRef { return spec.Rules[i].BackendRefs })...)
}

// streamRoute checks what the routes have in common whose rules are lists of backends.
func streamRoute(path *field.Path, spec any, kind string, refs []gatewayv1.ParentReference, rules int, backends func(int) []gatewayv1.BackendRef) field.ErrorList {
	errs := atMost(path.Child("rules"), rules, epic.MaxRouteRules)
	errs = append(errs, atMost(path.Child("parentRefs"), len(refs), epic.MaxParentRefs)...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, bounded(path, spec)...)
	errs = append(errs, parents(path.Child("parentRefs"), refs)...)
	if rules == 0 {
		errs = append(errs, field.Required(path.Child("rules"), "a "+kind+" route must have a rule: add one"))
	}
	for i := range rules {
		if full(errs) {
			break
		}
		at := path.Child("rules").Index(i).Child("backendRefs")
		refs := backends(i)
		if len(refs) == 0 {
			errs = append(errs, field.Required(at, "a rule of a "+kind+" route must have a backend: add one"))
		}
		if more := atMost(at, len(refs), epic.MaxRuleBackends); len(more) > 0 {
			errs = append(errs, more...)
			continue
		}
		for j := range refs {
			if full(errs) {
				break
			}
			errs = append(errs, backend(at.Index(j), &refs[j])...)
		}
	}
	return errs
}

// hostnames checks the names for which a route is.
func hostnames(path *field.Path, names []gatewayv1.Hostname) field.ErrorList {
	var errs field.ErrorList
	for i, h := range names {
		if full(errs) {
			break
		}
		errs = append(errs, hostname(path.Index(i), string(h))...)
	}
	return errs
}
