// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// Rules are those of gateway proxies, which are what all proxies have.
type Rules struct {
	// Grants decides who may configure a proxy beyond its group.
	Grants proxy.Grants
}

var _ claims.Rules = Rules{}

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	return proxy.Claims(proxy.GWProxy(obj.(*epic.GWProxy)))
}

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	gwp := obj.(*epic.GWProxy)
	if old == nil {
		if err := proxy.PlanCreate(ctx, p, proxy.GWProxy(gwp), r.Grants); err != nil {
			return err
		}
	} else if err := r.Grants.CheckUpdate(ctx, p, proxy.GWProxy(gwp), proxy.GWProxy(old.(*epic.GWProxy))); err != nil {
		return err
	}
	return proxy.AssignTunnels(ctx, p, &gwp.Status)
}

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(context.Context, *claims.Plan, runtime.Object) error { return nil }

// Taken implements claims.Rules.
func (Rules) Taken(obj runtime.Object, c claims.Claim, _ claims.Owner) error {
	return proxy.Taken(proxy.GWProxy(obj.(*epic.GWProxy)), c)
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(runtime.Object, claims.Owner) error { return nil }
