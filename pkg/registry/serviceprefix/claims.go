// SPDX-License-Identifier: Apache-2.0

package serviceprefix

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for service prefixes: no two pools share an address, and
// no update or deletion removes an address in use.
type Rules struct{}

var _ claims.Rules = Rules{}

// namedPool is a pool and the field that declares it.
type namedPool struct {
	addresspool.Pool
	path *field.Path
}

// pools returns the valid pools of a prefix; validation reports others.
func pools(obj runtime.Object) []namedPool {
	spec := field.NewPath("spec")
	var out []namedPool
	add := func(p *epic.AddressPool, path *field.Path) {
		if p == nil {
			return
		}
		if pool, err := addresspool.Parse(p.Pool); err == nil {
			out = append(out, namedPool{pool, path.Child("pool")})
		}
	}
	s := obj.(*epic.ServicePrefix).Spec
	add(s.PublicPool, spec.Child("public-pool"))
	add(s.AltPool, spec.Child("alt-pool"))
	return out
}

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	s := &claims.Set{}
	for _, p := range pools(obj) {
		s.AddPool(p.Pool)
	}
	return s
}

// Plan implements claims.Rules.
func (Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	sp := obj.(*epic.ServicePrefix)
	now := pools(obj)
	var before []namedPool
	if old != nil {
		before = pools(old)
	}
	if samePools(before, now) {
		return nil
	}
	held, err := p.Pools(ctx)
	if err != nil {
		return err
	}
	for _, n := range now {
		for _, h := range held {
			if h.Owner.UID != string(sp.UID) && h.Pool.Overlaps(n.Pool) {
				return tenancy.Invalid("ServicePrefix", sp.Name, field.Invalid(n.path, n.String(),
					"it overlaps pool "+h.Pool.String()+" of service prefix "+h.Owner.Name+": choose addresses that no other prefix has"))
			}
		}
	}
	for _, b := range before {
		if !contains(now, b.Pool) {
			p.ForgetPool(b.Pool)
		}
		for _, gone := range removed(b, now) {
			p.RequireUnused(gone, func(inUse netip.Addr) error {
				return tenancy.Invalid("ServicePrefix", sp.Name, field.Invalid(b.path, b.String(),
					"address "+inUse.String()+" of this pool is in use: keep it in the pool, or delete its load balancer or proxy first"))
			})
		}
	}
	return nil
}

func samePools(a, b []namedPool) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Pool != b[i].Pool || a[i].path.String() != b[i].path.String() {
			return false
		}
	}
	return true
}

func contains(ps []namedPool, p addresspool.Pool) bool {
	for _, o := range ps {
		if o.Pool == p {
			return true
		}
	}
	return false
}

// removed returns the parts of a pool that are no longer in the pool of the same field. A
// public address that moved to the pool of alternate addresses, or the other way round,
// would be outside the pool that its proxy may use.
func removed(p namedPool, now []namedPool) []addresspool.Pool {
	for _, n := range now {
		if n.path.String() == p.path.String() {
			return p.Minus(n.Pool)
		}
	}
	return []addresspool.Pool{p.Pool}
}

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(_ context.Context, p *claims.Plan, obj runtime.Object) error {
	for _, pool := range pools(obj) {
		p.ForgetPool(pool.Pool)
	}
	return nil
}

// Taken implements claims.Rules. It is called if two prefixes are concurrently given the
// same pool.
func (Rules) Taken(obj runtime.Object, _ claims.Claim, holder claims.Owner) error {
	return tenancy.Invalid("ServicePrefix", obj.(*epic.ServicePrefix).Name, field.Invalid(field.NewPath("spec"), holder.Name,
		"a pool of this prefix is a pool of service prefix "+holder.Name+" too: choose addresses that no other prefix has"))
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(obj runtime.Object, child claims.Owner) error {
	return tenancy.InUse("ServicePrefix", obj.(*epic.ServicePrefix).Name, child)
}
