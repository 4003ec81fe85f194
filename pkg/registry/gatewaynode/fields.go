// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import "github.com/acnodal/epic/pkg/registry/fieldset"

// selectable are the fields by which objects can be selected, beside their name
// and namespace: none, since the name is the address.
var selectable fieldset.Fields
