// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// selectable are the fields by which objects can be selected, beside their name
// and namespace.
var selectable = fieldset.Fields{
	fieldset.Many("spec.parent", parents),
}

// parents are the names of the gateway proxies to which a route belongs.
func parents(obj *epic.GWRoute) []string {
	var names []string
	for _, refs := range parentRefs(&obj.Spec) {
		for i := range refs {
			names = append(names, string(refs[i].Name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parentRefs are the parent references of each route that an object has.
func parentRefs(spec *epic.GWRouteSpec) [][]gatewayv1.ParentReference {
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
