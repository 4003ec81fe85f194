// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
)

func TestPreview(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	parents := storeFor(t, b, "parents", &idRules{})
	children := storeFor(t, b, "children", &idRules{space: TunnelIDs, parent: "parents", pool: pool(t, "192.0.2.0/24")})
	mustCreate(t, parents, "parents", pod("p"))
	c := mustCreate(t, children, "children", pod("c", parentAnnotation, "p", addressAnnotation, "192.0.2.1"))
	before := dump(t, b)
	for name, tc := range map[string]struct {
		old, obj *example.Pod
		want     func(error) bool
	}{
		"fine":            {nil, pod("d", parentAnnotation, "p", addressAnnotation, "192.0.2.2", wantAnnotation, "3"), nil},
		"its own address": {c, pod("c", parentAnnotation, "p", addressAnnotation, "192.0.2.1"), nil},
		"taken address":   {nil, pod("d", addressAnnotation, "192.0.2.1"), apierrors.IsInvalid},
		"twice":           {nil, pod("d", haveAnnotation, "9 9"), apierrors.IsInvalid},
		"no parent":       {nil, pod("d", parentAnnotation, "x"), apierrors.IsBadRequest},
	} {
		var old runtime.Object
		if tc.old != nil {
			old = tc.old
		}
		err := b.Preview(t.Context(), "children", old, tc.obj)
		if tc.want == nil && err != nil || tc.want != nil && !tc.want(err) {
			t.Errorf("%s: got %v", name, err)
		}
		if tc.obj.Annotations[wantAnnotation] != "" && tc.obj.Annotations[haveAnnotation] != "" {
			t.Errorf("%s: a preview promises %s", name, tc.obj.Annotations[haveAnnotation])
		}
	}
	if err := b.PreviewDelete(t.Context(), "parents", pod("p")); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
	if err := b.PreviewDelete(t.Context(), "children", c); err != nil {
		t.Errorf("got %v", err)
	}
	if after := dump(t, b); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
	if err := b.Preview(t.Context(), "unknown", nil, pod("x")); err == nil {
		t.Error("an unknown resource has a preview")
	}
	// Nothing can be assigned in one.
	if _, err := newPlan(b, true, true).AssignIDs(t.Context(), TunnelIDs, 1); err == nil {
		t.Error("a preview assigned a number")
	}
}

// TestPreviewPlansAgain: a change that a preview meets is not its caller's
// fault, and what the lost attempt did to the object is undone.
func TestPreviewPlansAgain(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	parents := storeFor(t, b, "parents", &idRules{})
	mustCreate(t, parents, "parents", pod("p"))
	ref := Ref{Resource: "parents", Namespace: "ns", Name: "p"}
	times := 0
	storeFor(t, b, "children", &funcRules{plan: func(ctx context.Context, p *Plan, _, obj *example.Pod) error {
		times++
		obj.Annotations["times"] += "x"
		if _, err := p.Read(ctx, ref); err != nil {
			return err
		}
		p.DependOnContent(ref)
		if times == 1 {
			mustAnnotate(t, parents, "parents", "p", "x", "y")
		}
		return nil
	}})
	c := pod("c")
	if err := b.Preview(t.Context(), "children", nil, c); err != nil || times != 2 {
		t.Errorf("got %v after %d", err, times)
	}
	if got := c.Annotations["times"]; got != "x" {
		t.Errorf("the object shows %q of the attempts", got)
	}
}
