// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// fieldNodeAddress is the field by which a client node watches its own
// endpoints.
const fieldNodeAddress = "spec.node-address"

// selectable are the fields by which objects can be selected, in addition to their name
// and namespace. A list is served from the index of the first that its selector
// names, so those that leave the fewest objects come first.
var selectable = fieldset.Fields{
	fieldset.One(fieldNodeAddress, func(obj *epic.RemoteEndpoint) string { return fieldset.Address(obj.Spec.NodeAddress) }),
	fieldset.One("spec.cluster", func(obj *epic.RemoteEndpoint) string { return obj.Spec.Cluster }),
}
