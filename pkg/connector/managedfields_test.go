// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func managed(t *testing.T, manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
	t.Helper()
	f := &metav1.FieldsV1{}
	if err := json.Unmarshal([]byte(fields), f); err != nil {
		t.Fatal(err)
	}
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, APIVersion: "epic.acnodal.io/v1", Subresource: subresource, FieldsType: "FieldsV1", FieldsV1: f}
}

func TestMoveFields(t *testing.T) {
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	spec := map[string]any{"gateway": map[string]any{}, "public-ports": []any{}}
	entries := func(all ...metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry { return all }
	own := func(fields string) metav1.ManagedFieldsEntry {
		return managed(t, "epic-connector", apply, "", fields)
	}
	operator := managed(t, "operator", update, "status", `{"f:status":{}}`)
	for _, test := range []struct {
		name      string
		have      []metav1.ManagedFieldsEntry
		want      []metav1.ManagedFieldsEntry
		unchanged bool
	}{
		{name: "nobody else", have: entries(own(`{"f:spec":{"f:gateway":{}}}`), operator), unchanged: true},
		{
			name: "the web-service's",
			have: entries(managed(t, "web-service", update, "", `{"f:metadata":{"f:labels":{}},"f:spec":{"f:gateway":{"f:listeners":{"k:{\"name\":\"a\"}":{}}},"f:envoy-template":{}}}`), operator),
			want: entries(managed(t, "web-service", update, "", `{"f:metadata":{"f:labels":{}},"f:spec":{"f:envoy-template":{}}}`), operator,
				own(`{"f:spec":{"f:gateway":{"f:listeners":{"k:{\"name\":\"a\"}":{}}}}}`)),
		},
		{
			name: "added to the connector's",
			have: entries(own(`{"f:spec":{"f:gateway":{"f:listeners":{"k:{\"name\":\"a\"}":{"f:port":{}}}}}}`),
				managed(t, "kubectl", apply, "", `{"f:spec":{"f:gateway":{"f:listeners":{"k:{\"name\":\"b\"}":{"f:port":{}}}}}}`)),
			want: entries(own(`{"f:spec":{"f:gateway":{"f:listeners":{"k:{\"name\":\"a\"}":{"f:port":{}},"k:{\"name\":\"b\"}":{"f:port":{}}}}}}`)),
		},
		{name: "other fields", have: entries(own(`{}`), managed(t, "rome", update, "", `{"f:metadata":{"f:annotations":{}}}`)), unchanged: true},
	} {
		got, changed, err := moveFields(test.have, spec)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		want := test.want
		if test.unchanged {
			want = test.have
		}
		if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" || changed == test.unchanged {
			t.Errorf("%s: changed is %t (-want +got):\n%s", test.name, changed, diff)
		}
	}
}

func text(t *testing.T, o any) string {
	t.Helper()
	data, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
