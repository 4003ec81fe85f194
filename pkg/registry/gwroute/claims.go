// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// NewRules returns the rules of this kind: an object belongs to the account of
// its namespace, and claims nothing.
func NewRules() tenancy.Member { return tenancy.Member{Kind: "GWRoute"} }
