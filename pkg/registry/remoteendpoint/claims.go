// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for remote endpoints: a load balancer has each endpoint
// only once, and no endpoint is in the gateway cluster.
type Rules struct {
	claims.NoRules
	// Reach decides which addresses endpoints without a tunnel may have.
	Reach reach.Rules
}

var (
	_ claims.Rules     = Rules{}
	_ claims.Displacer = Rules{}
)

// Claims implements claims.Rules.
func (Rules) Claims(obj runtime.Object) *claims.Set {
	rep, s := obj.(*epic.RemoteEndpoint), &claims.Set{}
	address := rep.Spec.Address
	if a, err := netip.ParseAddr(address); err == nil {
		address = a.String()
	}
	s.AddUnique("endpoint", rep.Namespace, rep.Labels[epic.OwningLoadBalancerLabel],
		rep.Spec.Cluster, address, strconv.Itoa(int(rep.Spec.Port.Port)), string(rep.Spec.Port.Protocol))
	return s
}

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	rep := obj.(*epic.RemoteEndpoint)
	before, _ := old.(*epic.RemoteEndpoint)
	if before != nil && epic.LoadBalancerReference(rep) == nil {
		if err := refer(ctx, p, rep, before); err != nil {
			return err
		}
	}
	if before != nil && before.Spec.Cluster == rep.Spec.Cluster {
		if before.Spec == rep.Spec {
			return nil
		}
		return r.checkReach(ctx, p, rep, nil)
	}
	refuse := func(errs ...*field.Error) error { return tenancy.Invalid("RemoteEndpoint", rep.Name, errs...) }
	name, label := rep.Labels[epic.OwningLoadBalancerLabel], tenancy.Label(epic.OwningLoadBalancerLabel)
	if name == "" {
		return refuse(field.Required(label, "set the label to the name of the endpoint's LoadBalancer"))
	}
	ref := tenancy.LoadBalancerRef(rep.Namespace, name)
	objs, err := p.Read(ctx, ref)
	if err != nil {
		return err
	}
	lb, _ := objs[0].(*epic.LoadBalancer)
	switch {
	case lb == nil:
		return refuse(field.NotFound(label, name+" (create the LoadBalancer in namespace "+rep.Namespace+" first, or name another)"))
	case before != nil && !epic.BelongsTo(rep, lb):
		return refuse(field.Invalid(label, name, "the endpoint's LoadBalancer was deleted, and another has its name: delete the endpoint, and create it again"))
	case lb.DeletionTimestamp != nil:
		return refuse(field.Invalid(label, name, "the LoadBalancer is being deleted: use another"))
	case !slices.Contains(lb.Spec.UpstreamClusters, rep.Spec.Cluster):
		return refuse(field.Invalid(field.NewPath("spec", "cluster"), rep.Spec.Cluster,
			"LoadBalancer "+name+" has no cluster "+rep.Spec.Cluster+": add it to its upstream-clusters first"))
	}
	p.DependOnExistence(ref)
	if err := r.checkReach(ctx, p, rep, lb); err != nil {
		return err
	}
	own(rep, lb)
	account := tenancy.AccountRef(rep.Namespace).Name
	if e := tenancy.SetLabel(&rep.ObjectMeta, epic.OwningAccountLabel, account, "it is the Account of the namespace"); e != nil {
		return refuse(e)
	}
	return nil
}

// checkReach rejects an address of the gateway cluster if the endpoint is reached without
// a tunnel: it names no node, or its load balancer has true-ingress disabled, which can't
// be changed. lb is nil if it has not been read.
func (r Rules) checkReach(ctx context.Context, p *claims.Plan, rep *epic.RemoteEndpoint, lb *epic.LoadBalancer) error {
	if rep.Spec.NodeAddress != "" {
		if lb == nil {
			objs, err := p.Read(ctx, tenancy.LoadBalancerRef(rep.Namespace, rep.Labels[epic.OwningLoadBalancerLabel]))
			if err != nil {
				return err
			}
			lb, _ = objs[0].(*epic.LoadBalancer)
		}
		if lb == nil || lb.Spec.TrueIngress == nil || *lb.Spec.TrueIngress {
			return nil
		}
	}
	errs, err := r.Reach.Check(ctx, p, []reach.Endpoint{{Path: field.NewPath("spec", "address"), Address: rep.Spec.Address}})
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return tenancy.Invalid("RemoteEndpoint", rep.Name, errs...)
	}
	return nil
}

// refer restores the reference to the load balancer if an endpoint is written without it,
// or sets it if the endpoint never had one.
func refer(ctx context.Context, p *claims.Plan, rep, before *epic.RemoteEndpoint) error {
	ref := tenancy.LoadBalancerRef(rep.Namespace, rep.Labels[epic.OwningLoadBalancerLabel])
	objs, err := p.ReadNow(ctx, ref)
	if err != nil {
		return err
	}
	lb, _ := objs[0].(*epic.LoadBalancer)
	switch {
	case epic.LoadBalancerReference(before) != nil:
		keepReference(rep, before, lb)
	case lb != nil && lb.DeletionTimestamp == nil && epic.BelongsTo(rep, lb):
		p.DependOnExistence(ref)
		own(rep, lb)
	}
	return nil
}

// Taken implements claims.Rules. Existing clients look for "duplicate endpoint: NAME" at
// the end of the error.
func (Rules) Taken(obj runtime.Object, _ claims.Claim, holder claims.Owner) error {
	rep := obj.(*epic.RemoteEndpoint)
	return tenancy.Invalid("RemoteEndpoint", rep.Name, field.Invalid(field.NewPath("spec", "address"), rep.Spec.Address,
		"its load balancer already has an endpoint with this address, port and cluster: use that one: duplicate endpoint: "+holder.Name))
}

// Displaces implements claims.Displacer. The claim contains the name of the load
// balancer, so an endpoint of an earlier load balancer of that name may still hold it,
// until it is garbage collected. It must not block an endpoint of the new one.
func (Rules) Displaces(ctx context.Context, p *claims.Plan, obj, holder runtime.Object) (bool, error) {
	rep, has := obj.(*epic.RemoteEndpoint), holder.(*epic.RemoteEndpoint)
	ref := tenancy.LoadBalancerRef(rep.Namespace, rep.Labels[epic.OwningLoadBalancerLabel])
	objs, err := p.Read(ctx, ref)
	if err != nil {
		return false, err
	}
	lb, _ := objs[0].(*epic.LoadBalancer)
	return lb != nil && epic.BelongsTo(rep, lb) && !epic.BelongsTo(has, lb), nil
}
