// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules are those of remote endpoints: no load balancer has the same one twice,
// and none is in the gateway cluster.
type Rules struct {
	// Reach decides which addresses endpoints without a tunnel may have.
	Reach reach.Rules
}

var _ claims.Rules = Rules{}

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
	if was, ok := old.(*epic.RemoteEndpoint); ok && was != nil {
		if was.Spec == rep.Spec {
			return nil
		}
		if was.Spec.Cluster == rep.Spec.Cluster {
			return r.checkReach(ctx, p, rep, nil)
		}
	}
	refuse := func(errs ...*field.Error) error { return tenancy.Invalid("RemoteEndpoint", rep.Name, errs...) }
	name, label := rep.Labels[epic.OwningLoadBalancerLabel], tenancy.Label(epic.OwningLoadBalancerLabel)
	if name == "" {
		return refuse(field.Required(label, "the label names the LoadBalancer that the endpoint belongs to"))
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
	case lb.DeletionTimestamp != nil:
		return refuse(field.Invalid(label, name, "the LoadBalancer is being deleted: name another"))
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

// checkReach refuses an address of the gateway cluster where no tunnel leads to
// the endpoint: it names no node, or its load balancer has true-ingress switched
// off, which is for ever. lb is nil where it has not been read.
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

// own makes the load balancer the endpoint's controller, so that the endpoint
// goes when the load balancer does.
func own(rep *epic.RemoteEndpoint, lb *epic.LoadBalancer) {
	rep.OwnerReferences = slices.DeleteFunc(rep.OwnerReferences, func(r metav1.OwnerReference) bool {
		return r.UID == lb.UID || r.Controller != nil && *r.Controller
	})
	rep.OwnerReferences = append(rep.OwnerReferences, *metav1.NewControllerRef(lb, epicv1.SchemeGroupVersion.WithKind("LoadBalancer")))
}

// PlanDelete implements claims.Rules.
func (Rules) PlanDelete(context.Context, *claims.Plan, runtime.Object) error { return nil }

// Taken implements claims.Rules. Existing clients look for "duplicate endpoint:
// NAME" at the end.
func (Rules) Taken(obj runtime.Object, _ claims.Claim, holder claims.Owner) error {
	rep := obj.(*epic.RemoteEndpoint)
	return tenancy.Invalid("RemoteEndpoint", rep.Name, field.Invalid(field.NewPath("spec", "address"), rep.Spec.Address,
		"its load balancer has an endpoint with this address, port and cluster already; use that one: duplicate endpoint: "+holder.Name))
}

// HasChildren implements claims.Rules.
func (Rules) HasChildren(runtime.Object, claims.Owner) error { return nil }
