// SPDX-License-Identifier: Apache-2.0

package account

import "github.com/acnodal/epic/pkg/registry/fieldset"

// selectable are the fields by which objects can be selected, beside their name
// and namespace: none, since there are few of this kind.
var selectable fieldset.Fields
