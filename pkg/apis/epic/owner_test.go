// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestBelongsTo(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.Time{Time: time.Unix(second, 0)} }
	lb := &LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: "shop", UID: "new", CreationTimestamp: at(100)}}
	// The reference in question is the last one.
	refs := func(group, kind, uid string, controller *bool) []metav1.OwnerReference {
		return []metav1.OwnerReference{
			{APIVersion: group + "/v1", Kind: kind, Name: "shop", UID: "x"},
			{APIVersion: group + "/v1", Kind: kind, Name: "shop", UID: "y", Controller: ptr.To(false)},
			{APIVersion: group + "/v1", Kind: kind, Name: "shop", UID: types.UID(uid), Controller: controller},
		}
	}
	for name, test := range map[string]struct {
		refs []metav1.OwnerReference
		made metav1.Time
		want bool
	}{
		"its own":                            {refs(GroupName, "LoadBalancer", "new", ptr.To(true)), at(1), true},
		"an earlier one's":                   {refs(GroupName, "LoadBalancer", "old", ptr.To(true)), at(200), false},
		"no reference, made later":           {nil, at(101), true},
		"no reference, made within a second": {nil, at(100), true},
		"no reference, made before":          {nil, at(99), false},
		"a foreign group's, made before":     {refs("other.example", "LoadBalancer", "new", ptr.To(true)), at(99), false},
		"another kind's, made before":        {refs(GroupName, "GWProxy", "new", ptr.To(true)), at(99), false},
		"not its controller, made before":    {refs(GroupName, "LoadBalancer", "new", nil), at(99), false},
	} {
		rep := &RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{
			Namespace: "epic-a", Name: "r", Labels: map[string]string{OwningLoadBalancerLabel: "shop"}, OwnerReferences: test.refs, CreationTimestamp: test.made,
		}}
		if got := BelongsTo(rep, lb); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		rep.Labels[OwningLoadBalancerLabel] = "other"
		if BelongsTo(rep, lb) {
			t.Errorf("%s: an endpoint that names another load balancer belongs to this one", name)
		}
		rep.Labels[OwningLoadBalancerLabel], rep.Namespace = "shop", "epic-b"
		if BelongsTo(rep, lb) {
			t.Errorf("%s: an endpoint of another namespace belongs to this one", name)
		}
	}
}
