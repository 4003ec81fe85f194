// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// Rules are those of gateway proxies, which are what all proxies have.
type Rules struct {
	claims.NoRules
	// Grants decides who may configure a proxy beyond its group.
	Grants proxy.Grants
}

var (
	_ claims.Rules        = Rules{}
	_ claims.Checker      = Rules{}
	_ claims.CoolingRules = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	return proxy.Claims(proxy.GWProxy(obj.(*epic.GWProxy)))
}

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	var before *proxy.View
	if o, ok := old.(*epic.GWProxy); ok {
		v := proxy.GWProxy(o)
		before = &v
	}
	return proxy.Plan(ctx, p, r.Grants, before, proxy.GWProxy(obj.(*epic.GWProxy)))
}

// Taken implements claims.Rules.
func (Rules) Taken(obj runtime.Object, c claims.Claim, _ claims.Owner) error {
	return proxy.Taken(proxy.GWProxy(obj.(*epic.GWProxy)), c)
}

// Cooling implements claims.CoolingRules.
func (Rules) Cooling(obj runtime.Object, c claims.Claim, until time.Time) error {
	return proxy.Cooling(proxy.GWProxy(obj.(*epic.GWProxy)), c, until)
}

// Check implements claims.Checker.
func (Rules) Check(obj runtime.Object, find claims.Find) field.ErrorList {
	return proxy.Check(proxy.GWProxy(obj.(*epic.GWProxy)), find)
}
