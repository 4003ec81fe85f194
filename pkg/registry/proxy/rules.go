// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/registry/claims"
)

// Rules are the rules that load balancers and gateway proxies share. The kinds embed
// them.
type Rules struct {
	claims.NoRules
	// Grants decides who may configure a proxy beyond its group.
	Grants Grants
}

var (
	_ claims.Rules        = Rules{}
	_ claims.Checker      = Rules{}
	_ claims.CoolingRules = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set { return Claims(viewOf(obj)) }

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	var before *View
	if old != nil {
		v := viewOf(old)
		before = &v
	}
	return Plan(ctx, p, r.Grants, before, viewOf(obj))
}

// Taken implements claims.Rules.
func (Rules) Taken(obj runtime.Object, c claims.Claim, _ claims.Owner) error {
	return Taken(viewOf(obj), c)
}

// Cooling implements claims.CoolingRules.
func (Rules) Cooling(obj runtime.Object, c claims.Claim, until time.Time) error {
	return Cooling(viewOf(obj), c, until)
}

// Check implements claims.Checker.
func (Rules) Check(obj runtime.Object, find claims.Find) field.ErrorList {
	return Check(viewOf(obj), find)
}
