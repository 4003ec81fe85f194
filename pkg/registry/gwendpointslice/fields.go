// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// fieldParentUID is the field by which the slices of one Service are found.
const fieldParentUID = "spec.parentRef.uid"

// selectable are the fields by which objects can be selected, beside their name
// and namespace. A list is served from the index of the first that its selector
// names, so those that leave the fewest objects come first.
var selectable = fieldset.Fields{
	fieldset.One(fieldParentUID, func(obj *epic.GWEndpointSlice) string { return obj.Spec.ParentRef.UID }),
	fieldset.One("spec.clientRef.clusterID", func(obj *epic.GWEndpointSlice) string { return obj.Spec.ClientRef.ClusterID }),
}
