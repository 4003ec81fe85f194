// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/proxy"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Rules implements claims.Rules for load balancers: the rules shared by all proxies, and
// an ID that is unique in the account.
type Rules struct {
	// No object depends on a load balancer: its remote endpoints are deleted with it, by
	// owner reference.
	proxy.Rules
	// NamespaceTerminating reports whether a namespace is being deleted, with everything
	// in it.
	NamespaceTerminating func(ctx context.Context, name string) (bool, error)
}

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if old != nil {
		if err := noNewClusters(old.(*epic.LoadBalancer), obj.(*epic.LoadBalancer)); err != nil {
			return err
		}
	}
	return r.Rules.Plan(ctx, p, old, obj)
}

// PlanDelete implements claims.Rules. A load balancer that client clusters still use
// can't be deleted, unless its whole namespace is.
func (r Rules) PlanDelete(ctx context.Context, _ *claims.Plan, obj runtime.Object) error {
	lb := obj.(*epic.LoadBalancer)
	if len(lb.Spec.UpstreamClusters) == 0 || lb.DeletionTimestamp != nil {
		// A deletion that has started may always end.
		return nil
	}
	going, err := r.NamespaceTerminating(ctx, lb.Namespace)
	if err != nil || going {
		return err
	}
	return tenancy.Invalid("LoadBalancer", lb.Name, field.Forbidden(field.NewPath("spec", "upstream-clusters"),
		fmt.Sprintf("empty the list first, with: kubectl patch loadbalancers.epic.acnodal.io --namespace %s %s --type merge --patch '{\"spec\":{\"upstream-clusters\":null}}': load balancer %s has upstream clusters, can't delete",
			lb.Namespace, lb.Name, lb.Name)))
}

// noNewClusters prevents clusters from joining a load balancer that is being deleted.
func noNewClusters(old, lb *epic.LoadBalancer) error {
	if old.DeletionTimestamp == nil {
		return nil
	}
	for i, c := range lb.Spec.UpstreamClusters {
		if !slices.Contains(old.Spec.UpstreamClusters, c) {
			return tenancy.Invalid("LoadBalancer", lb.Name, field.Invalid(field.NewPath("spec", "upstream-clusters").Index(i), c,
				"the load balancer is being deleted: create another one for the cluster"))
		}
	}
	return nil
}
