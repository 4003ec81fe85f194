// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/registry/claims"
)

// Rules are those of gateway nodes, which claim nothing. No object depends on one:
// it can be deleted at any time.
type Rules struct{}

var _ claims.Rules = Rules{}

// Claims implements claims.Rules.
func (Rules) Claims(runtime.Object) *claims.Set { return &claims.Set{} }

// Plan implements claims.Rules.
func (Rules) Plan(context.Context, *claims.Plan, runtime.Object, runtime.Object) error { return nil }

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(context.Context, *claims.Plan, runtime.Object) error { return nil }

// Taken implements claims.Rules.
func (Rules) Taken(runtime.Object, claims.Claim, claims.Owner) error { return nil }

// HasChildren implements claims.Rules.
func (Rules) HasChildren(runtime.Object, claims.Owner) error { return nil }
