// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/denied"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Denied is a set of addresses that endpoints without a tunnel must not have.
type Denied = denied.List

// Cluster adds the addresses of the gateway cluster's Nodes and their pods to the denied
// ones.
type Cluster interface {
	Deny(d *Denied) error
}

// Rules checks endpoints that are reached without a tunnel. The zero value knows no
// cluster, which is correct for a server that runs without one.
type Rules struct {
	Cluster Cluster
}

// Endpoint is the address of an endpoint without a tunnel, and the field that contains
// it.
type Endpoint struct {
	Path    *field.Path
	Address string
}

// maxErrors limits the response to a request that names many denied addresses.
const maxErrors = 16

// Check returns an error for each endpoint whose address is denied. It ignores addresses
// that do not parse, which validation rejects.
func (r Rules) Check(ctx context.Context, p *claims.Plan, endpoints []Endpoint) (field.ErrorList, error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	d, err := r.denied(ctx, p)
	if err != nil {
		return nil, err
	}
	return refuse(d, endpoints), nil
}

func refuse(d *Denied, endpoints []Endpoint) field.ErrorList {
	var errs field.ErrorList
	for _, e := range endpoints {
		a, err := netip.ParseAddr(e.Address)
		if err != nil {
			continue
		}
		what, is := d.Check(a)
		if !is {
			continue
		}
		errs = append(errs, field.Forbidden(e.Path, e.Address+" is "+what+
			", which an endpoint without a tunnel must not have: set the endpoint's node and the node's address to create a tunnel, or use an address of your own network"))
		if len(errs) == maxErrors {
			break
		}
	}
	return errs
}

// denied returns the addresses denied in this installation.
func (r Rules) denied(ctx context.Context, p *claims.Plan) (*Denied, error) {
	d := &Denied{}
	if r.Cluster != nil {
		if err := r.Cluster.Deny(d); err != nil {
			return nil, err
		}
	}
	objs, err := p.Read(ctx, tenancy.EPICRef())
	if err != nil {
		return nil, err
	}
	if config, ok := objs[0].(*epic.EPIC); ok && config != nil {
		addSpec(d, &config.Spec)
	}
	pools, err := p.Pools(ctx)
	if err != nil {
		return nil, err
	}
	for _, pool := range pools {
		d.AddRange(pool.IPRange, "a public address of this gateway")
	}
	return d, nil
}

// addSpec denies the addresses that the platform team configured.
func addSpec(d *Denied, spec *epic.EPICSpec) {
	add := func(cidrs []string, what string) {
		for _, c := range cidrs {
			if p, err := netip.ParsePrefix(strings.TrimSpace(c)); err == nil {
				d.AddPrefix(p, what)
			}
		}
	}
	add(strings.Split(spec.ServiceCIDR, ","), "a service address of the gateway cluster")
	add(spec.DeniedEndpointCIDRs, "in denied-endpoint-cidrs of the EPIC object")
}
