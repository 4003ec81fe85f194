// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for gateway endpoint slices: an object belongs to the
// account of its namespace, claims nothing, and must not have endpoints in the gateway
// cluster.
type Rules struct {
	tenancy.Member
	// Reach decides which addresses endpoints without a tunnel may have.
	Reach reach.Rules
}

var _ claims.Rules = Rules{}

// NewRules returns the rules of this kind.
func NewRules(r reach.Rules) Rules {
	return Rules{Member: tenancy.Member{Kind: "GWEndpointSlice"}, Reach: r}
}

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if err := r.Member.Plan(ctx, p, old, obj); err != nil {
		return err
	}
	slice := obj.(*epic.GWEndpointSlice)
	if was, ok := old.(*epic.GWEndpointSlice); ok && was != nil && apiequality.Semantic.DeepEqual(was.Spec, slice.Spec) {
		return nil
	}
	errs, err := r.Reach.Check(ctx, p, withoutTunnel(slice))
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return tenancy.Invalid(r.Kind, slice.Name, errs...)
	}
	return nil
}

// withoutTunnel returns the addresses of the endpoints that are reached without a tunnel,
// because they name no node or one whose address is not in the slice.
func withoutTunnel(slice *epic.GWEndpointSlice) []reach.Endpoint {
	if slice.Spec.AddressType == discoveryv1.AddressTypeFQDN {
		// Nothing connects to these.
		return nil
	}
	var out []reach.Endpoint
	path := field.NewPath("spec", "endpoints")
	for i := range slice.Spec.Endpoints {
		e := &slice.Spec.Endpoints[i]
		if e.NodeName != nil && slice.Spec.NodeAddresses[*e.NodeName] != "" {
			continue
		}
		for j, a := range e.Addresses {
			out = append(out, reach.Endpoint{Path: path.Index(i).Child("addresses").Index(j), Address: a})
		}
	}
	return out
}
