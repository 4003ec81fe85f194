// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

func setPublicAddress(ctx context.Context, w *write) error {
	if w.up.prefix.Spec.PublicPool == nil {
		return w.refuse(field.Invalid(spec.Child("public-address"), *w.PublicAddress,
			"IP address allocation failed: ServicePrefix "+w.up.prefix.Name+" has no public-pool: ask the platform team, or use another group"))
	}
	return setAddress(ctx, w, spec.Child("public-address"), w.PublicAddress, w.up.prefix.Spec.PublicPool)
}

// setAltAddress does nothing for kinds without an alternate address, and leaves it empty
// if the prefix has no pool for it.
func setAltAddress(ctx context.Context, w *write) error {
	if w.AltAddress == nil {
		return nil
	}
	if w.up.prefix.Spec.AltPool == nil {
		if *w.AltAddress != "" {
			return w.refuse(field.Invalid(spec.Child("alt-address"), *w.AltAddress,
				"ServicePrefix "+w.up.prefix.Name+" has no alt-pool: leave it out"))
		}
		return nil
	}
	return setAddress(ctx, w, spec.Child("alt-address"), w.AltAddress, w.up.prefix.Spec.AltPool)
}

// setAddress checks an address that the caller requests, and allocates one if the caller
// leaves it out.
func setAddress(ctx context.Context, w *write, path *field.Path, address *string, pool *epic.AddressPool) error {
	prefix := w.up.prefix.Name
	refuse := func(why string) error { return w.refuse(field.Invalid(path, *address, why)) }
	from, assignable, err := addresspool.ParseAssignable(pool.Pool, pool.Subnet)
	if err != nil {
		return refuse("IP address allocation failed: the pool of ServicePrefix " + prefix + " can't be read: ask the platform team")
	}
	if *address != "" {
		asked, err := netip.ParseAddr(*address)
		if err != nil {
			return refuse("not an IP address: leave it out, so the server assigns one")
		}
		if !from.Contains(asked) {
			return refuse("it is not in pool " + pool.Pool + " of ServicePrefix " + prefix + ": leave it out, so the server assigns one, or request one from the pool")
		}
		return nil
	}
	var picked netip.Addr
	if w.Preview() {
		var left bool
		if left, err = w.AddressLeft(ctx, assignable); err == nil && left {
			return nil
		}
		if err == nil {
			err = claims.ErrExhausted
		}
	} else {
		picked, err = w.PickAddress(ctx, from, assignable)
	}
	if cooling, ok := errors.AsType[*claims.CoolingError](err); ok {
		return refuse("IP address allocation failed: every address of pool " + pool.Pool + " of ServicePrefix " + prefix + " is in use or was until recently; the next one is free at " + when(cooling.Until) + ": try again then, or ask the platform team for a larger pool")
	}
	if errors.Is(err, claims.ErrExhausted) {
		return refuse("IP address allocation failed: every address of pool " + pool.Pool + " of ServicePrefix " + prefix + " is in use: delete a load balancer or proxy, or ask the platform team for a larger pool")
	}
	if err != nil {
		return err
	}
	*address = picked.String()
	return nil
}
