// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

var _ claims.Checker = Rules{}

var referencesPath = field.NewPath("metadata", "ownerReferences")

// Check implements claims.Checker: the labels of an endpoint name the account of its
// namespace and the load balancer that controls it. An endpoint may outlive its load
// balancer until the garbage collector removes it, or permanently if the load
// balancer was deleted without its dependents, so the audit reports neither.
func (Rules) Check(obj runtime.Object, find claims.Find) field.ErrorList {
	rep := obj.(*epic.RemoteEndpoint)
	var errs field.ErrorList
	if is, should := rep.Labels[epic.OwningAccountLabel], tenancy.AccountRef(rep.Namespace).Name; is != should {
		errs = append(errs, field.Invalid(tenancy.Label(epic.OwningAccountLabel), is, "should be "+should))
	}
	name := rep.Labels[epic.OwningLoadBalancerLabel]
	if name == "" {
		return append(errs, field.Required(tenancy.Label(epic.OwningLoadBalancerLabel), "every endpoint must belong to a load balancer"))
	}
	ref := epic.LoadBalancerReference(rep)
	if ref != nil && ref.Name != name {
		errs = append(errs, field.Invalid(referencesPath, ref.Name, "should be "+name+", as the label "+epic.OwningLoadBalancerLabel+" says"))
	}
	found, err := find(tenancy.LoadBalancerRef(rep.Namespace, name))
	if err != nil {
		return append(errs, field.InternalError(tenancy.Label(epic.OwningLoadBalancerLabel), err))
	}
	lb, _ := found.(*epic.LoadBalancer)
	switch {
	case lb == nil:
	case ref == nil && lb.DeletionTimestamp == nil && epic.BelongsTo(rep, lb):
		errs = append(errs, field.Required(referencesPath, "the endpoint has no reference to load balancer "+name+", its controller: any write of the endpoint restores it"))
	case ref != nil && ref.UID != lb.UID && lb.CreationTimestamp.Before(&rep.CreationTimestamp):
		// The load balancer existed before the endpoint, which therefore is not left over
		// from an earlier one of that name.
		errs = append(errs, field.Invalid(referencesPath, string(ref.UID), "should be "+string(lb.UID)+", the UID of load balancer "+name))
	}
	return errs
}
