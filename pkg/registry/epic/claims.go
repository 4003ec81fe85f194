// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules are those of the EPIC object, which claims nothing and on which every
// account depends.
type Rules struct{}

var (
	_ claims.Rules        = Rules{}
	_ claims.LastIDShower = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(runtime.Object) *claims.Set { return &claims.Set{} }

// LastIDs implements claims.LastIDShower.
func (Rules) LastIDs(obj runtime.Object) []claims.LastID {
	status := &obj.(*epic.EPIC).Status
	return []claims.LastID{{Space: claims.TunnelIDs, ID: &status.CurrentTunnelID}, {Space: claims.GroupIDs, ID: &status.CurrentGroupID}}
}

// Plan implements claims.Rules.
func (Rules) Plan(context.Context, *claims.Plan, runtime.Object, runtime.Object) error { return nil }

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(context.Context, *claims.Plan, runtime.Object) error { return nil }

// Taken implements claims.Rules.
func (Rules) Taken(runtime.Object, claims.Claim, claims.Owner) error { return nil }

// HasChildren implements claims.Rules.
func (Rules) HasChildren(obj runtime.Object, child claims.Owner) error {
	return tenancy.InUse("EPIC", obj.(*epic.EPIC).Name, child)
}
