// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IsLoadBalancerReference reports whether an owner reference is the one that the
// server sets on a remote endpoint: to a load balancer, its controller.
func IsLoadBalancerReference(r *metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(r.APIVersion, "/")
	return group == GroupName && r.Kind == "LoadBalancer" && r.Controller != nil && *r.Controller
}

// LoadBalancerReference returns the reference of a remote endpoint to its load
// balancer, and nil where it has none.
func LoadBalancerReference(rep metav1.Object) *metav1.OwnerReference {
	refs := rep.GetOwnerReferences()
	for i := range refs {
		if IsLoadBalancerReference(&refs[i]) {
			return &refs[i]
		}
	}
	return nil
}

// BelongsTo reports whether a remote endpoint belongs to a load balancer, and not
// only to an earlier one of the same name: its owner reference has the load
// balancer's UID. An endpoint whose reference was removed, which earlier releases
// allowed, belongs to a load balancer that was there when the endpoint was created.
func BelongsTo(rep, lb metav1.Object) bool {
	if rep.GetNamespace() != lb.GetNamespace() || rep.GetLabels()[OwningLoadBalancerLabel] != lb.GetName() {
		return false
	}
	if r := LoadBalancerReference(rep); r != nil {
		return r.UID == lb.GetUID()
	}
	made, lbMade := rep.GetCreationTimestamp(), lb.GetCreationTimestamp()
	return !made.Before(&lbMade)
}
