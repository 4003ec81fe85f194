// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// conditionTypes returns the types of an object's conditions.
func conditionTypes(t *testing.T, object *unstructured.Unstructured) []string {
	t.Helper()
	list, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, c := range list {
		types = append(types, c.(map[string]any)["type"].(string))
	}
	return types
}

// A program that does not know conditions, or a field that came later, writes the
// status without. What others report stays, whatever kind of write it is.
func TestStatusWritesKeepConditions(t *testing.T) {
	t.Parallel()
	const both = `{"status":{"observedGeneration":1,"conditions":[
		{"type":"Ready","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"},
		{"type":"Other","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	for _, o := range createMinimal(t, apiservertesting.StartTestServer(t)) {
		t.Run(o.resource, func(t *testing.T) {
			name := o.object.GetName()
			patch := func(kind types.PatchType, body string) *unstructured.Unstructured {
				t.Helper()
				out, err := o.client.Patch(t.Context(), name, kind, []byte(body), metav1.PatchOptions{FieldManager: "test", Force: force(kind)}, "status")
				if err != nil {
					t.Fatalf("%s of %s: %v", kind, body, err)
				}
				return out
			}
			keeps := func(what string, out *unstructured.Unstructured) {
				t.Helper()
				if got := conditionTypes(t, out); len(got) != 2 {
					t.Errorf("After %s the conditions are %q", what, got)
				}
				if n, _, _ := unstructured.NestedInt64(out.Object, "status", "observedGeneration"); n != 1 {
					t.Errorf("After %s the observedGeneration is %d", what, n)
				}
			}
			before := patch(types.MergePatchType, both)
			keeps("the patch that set them", before)

			put := before.DeepCopy()
			put.Object["status"] = map[string]any{}
			put.SetResourceVersion("")
			out, err := o.client.UpdateStatus(t.Context(), put, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			keeps("a PUT without them", out)
			keeps("a merge patch of something else", patch(types.MergePatchType, `{"status":{"observedGeneration":1}}`))
			keeps("a strategic merge patch of something else", patch(types.StrategicMergePatchType, `{"status":{"observedGeneration":1}}`))
			keeps("a JSON patch that replaces the status", patch(types.JSONPatchType, `[{"op":"replace","path":"/status","value":{}}]`))
			keeps("a strategic merge patch of one of them", patch(types.StrategicMergePatchType,
				`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`))
			if got, err := o.client.Get(t.Context(), name, metav1.GetOptions{}); err != nil || got.GetGeneration() != before.GetGeneration() {
				t.Errorf("Writes of the status count as a generation: %v, %v", got.GetGeneration(), err)
			}
			if got := conditionTypes(t, patch(types.MergePatchType, `{"status":{"conditions":[]}}`)); len(got) != 0 {
				t.Errorf("An empty list leaves the conditions %q", got)
			}
		})
	}
}

// force is what an apply needs to take a field over, and no other patch may say.
func force(kind types.PatchType) *bool {
	if kind != types.ApplyPatchType {
		return nil
	}
	yes := true
	return &yes
}
