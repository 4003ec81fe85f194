// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// keepController ensures that only the load balancer is the endpoint's controller, which
// determines the owner of the endpoint and when it is deleted. Callers may set other
// owners. A reference that the write leaves out is restored later, by keepReference,
// unless the garbage collector may remove it.
func keepController(m, old *metav1.ObjectMeta) {
	ref := epic.LoadBalancerReference(old)
	if ref == nil {
		return
	}
	if slices.ContainsFunc(m.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == ref.UID }) {
		setController(m, *ref)
		return
	}
	m.OwnerReferences = slices.DeleteFunc(slices.Clone(m.OwnerReferences), isController)
}

// keepReference restores the reference to the load balancer. Only the garbage collector
// may remove it, on the deletion of a load balancer whose dependents must be orphaned. lb
// is the load balancer of that name, or nil.
func keepReference(rep, old *epic.RemoteEndpoint, lb *epic.LoadBalancer) {
	ref := epic.LoadBalancerReference(old)
	orphaning := lb != nil && lb.UID == ref.UID && lb.DeletionTimestamp != nil && slices.Contains(lb.Finalizers, metav1.FinalizerOrphanDependents)
	if !orphaning {
		setController(&rep.ObjectMeta, *ref)
	}
}

func isController(r metav1.OwnerReference) bool { return r.Controller != nil && *r.Controller }

// own makes the load balancer the endpoint's controller, so the endpoint is deleted with
// it.
func own(rep *epic.RemoteEndpoint, lb *epic.LoadBalancer) {
	setController(&rep.ObjectMeta, *metav1.NewControllerRef(lb, epicv1.SchemeGroupVersion.WithKind("LoadBalancer")))
}

// setController makes a reference the one of the controller. It keeps its position, so a
// write that changes nothing remains a no-op.
func setController(m *metav1.ObjectMeta, ref metav1.OwnerReference) {
	refs := make([]metav1.OwnerReference, 0, len(m.OwnerReferences)+1)
	set := false
	for _, r := range m.OwnerReferences {
		switch {
		case !set && r.UID == ref.UID:
			refs, set = append(refs, ref), true
		case r.UID == ref.UID, isController(r):
		default:
			refs = append(refs, r)
		}
	}
	if !set {
		refs = append(refs, ref)
	}
	m.OwnerReferences = slices.Clip(refs)
}
