// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import "github.com/acnodal/epic/pkg/registry/claims"

// Rules implements claims.Rules for gateway nodes, which claim nothing. No object depends
// on a gateway node, so it can be deleted at any time.
type Rules struct{ claims.NoRules }

var _ claims.Rules = Rules{}
