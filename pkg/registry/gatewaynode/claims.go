// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import "github.com/acnodal/epic/pkg/registry/claims"

// Rules are those of gateway nodes, which claim nothing. No object depends on one:
// it can be deleted at any time.
type Rules struct{ claims.NoRules }

var _ claims.Rules = Rules{}
