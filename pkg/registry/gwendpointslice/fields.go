// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"slices"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// fieldParentUID is the field by which the slices of one Service are found.
const fieldParentUID = "spec.parentRef.uid"

// fieldNodeAddress is the field by which a client node watches the slices that may
// have endpoints on it.
const fieldNodeAddress = "spec.node-address"

// selectable lists the fields by which objects can be selected, in addition to their name
// and namespace. A list is served from the index of the first field in its selector, so
// the most selective fields come first.
var selectable = fieldset.Fields{
	fieldset.One(fieldParentUID, func(obj *epic.GWEndpointSlice) string { return obj.Spec.ParentRef.UID }),
	fieldset.Many(fieldNodeAddress, nodeAddresses),
	fieldset.One("spec.clientRef.clusterID", func(obj *epic.GWEndpointSlice) string { return obj.Spec.ClientRef.ClusterID }),
}

// nodeAddresses returns the distinct addresses of the nodes in a slice, in the form that
// nodes use.
func nodeAddresses(obj *epic.GWEndpointSlice) []string {
	var out []string
	for _, a := range obj.Spec.NodeAddresses {
		out = append(out, fieldset.Address(a))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
