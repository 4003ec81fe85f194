// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// selectable lists the fields by which objects can be selected, in addition to their name
// and namespace.
var selectable = fieldset.Fields{
	fieldset.Many("spec.parent", parents),
}

// parents returns the names of the gateway proxies to which a route belongs.
func parents(obj *epic.GWRoute) []string {
	var route epicv1.GWRoute
	if err := epicv1.Convert_epic_GWRouteSpec_To_v1_GWRouteSpec(&obj.Spec, &route.Spec, nil); err != nil {
		return nil // the two are alike, and the conversion is a cast
	}
	return endpoints.ProxiesOf(&route)
}
