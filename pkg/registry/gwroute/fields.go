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
	var refs []gatewayv1.ParentReference
	if obj.Spec.HTTP != nil {
		refs = append(refs, obj.Spec.HTTP.ParentRefs...)
	}
	if obj.Spec.TCP != nil {
		refs = append(refs, obj.Spec.TCP.ParentRefs...)
	}
	var names []string
	for _, r := range refs {
		names = append(names, string(r.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
