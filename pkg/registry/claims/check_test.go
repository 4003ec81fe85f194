// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/example"
)

// checkedRules find a pod broken whose label names another that is not there.
type checkedRules struct{ funcRules }

func (*checkedRules) Check(obj runtime.Object, find Find) field.ErrorList {
	friend := obj.(*example.Pod).Labels["friend"]
	if friend == "" {
		return nil
	}
	path := field.NewPath("metadata", "labels").Key("friend")
	other, err := find(Ref{Resource: "pods", Namespace: "ns", Name: friend})
	switch {
	case err != nil:
		return field.ErrorList{field.InternalError(path, err)}
	case other == nil:
		return field.ErrorList{field.NotFound(path, friend)}
	case other.(*example.Pod).Name != friend:
		return field.ErrorList{field.Invalid(path, friend, "found another")}
	}
	return nil
}

// An audit asks the rules what else is wrong with an object, and lets them see
// others.
func TestAuditChecks(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &checkedRules{})
	for name, friend := range map[string]string{"a": "b", "b": "a", "c": "nobody", "d": "nobody", "e": ""} {
		p := pod(name)
		p.Labels = map[string]string{"friend": friend}
		mustCreate(t, s, "pods", p)
	}
	r, err := b.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range r.Problems {
		got = append(got, string(p.Type)+" "+p.Owner.Name+" "+p.Claim+" "+p.Message)
	}
	slices.Sort(got)
	want := []string{
		`Broken c metadata.labels[friend] pods/ns/c: Not found: "nobody"`,
		`Broken d metadata.labels[friend] pods/ns/d: Not found: "nobody"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
