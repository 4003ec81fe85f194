// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for the EPIC object, which claims nothing and on which
// every account depends.
type Rules struct{ claims.NoRules }

var (
	_ claims.Rules        = Rules{}
	_ claims.LastIDShower = Rules{}
)

// LastIDs implements claims.LastIDShower.
func (Rules) LastIDs(obj runtime.Object) []claims.LastID {
	status := &obj.(*epic.EPIC).Status
	return []claims.LastID{{Space: claims.TunnelIDs, ID: &status.CurrentTunnelID}, {Space: claims.GroupIDs, ID: &status.CurrentGroupID}}
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(obj runtime.Object, child claims.Owner) error {
	return tenancy.InUse("EPIC", obj.(*epic.EPIC).Name, child)
}
