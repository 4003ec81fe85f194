// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fieldTree is the set of a manager's fields: below "f:NAME" are the fields of a field,
// below "k:KEYS" those of an item of a list.
type fieldTree map[string]fieldTree

// moveFields transfers fields that other managers own below the fields of a spec to the
// connector, and reports whether it moved any. Fields that the spec does not have, and
// those of the metadata and of the status, stay with their managers.
func moveFields(entries []metav1.ManagedFieldsEntry, spec map[string]any) ([]metav1.ManagedFieldsEntry, bool, error) {
	own, moved := -1, fieldTree{}
	out := make([]metav1.ManagedFieldsEntry, 0, len(entries))
	for _, e := range entries {
		if e.Subresource != "" || e.FieldsV1 == nil {
			out = append(out, e)
			continue
		}
		if e.Manager == string(fieldOwner) && e.Operation == metav1.ManagedFieldsOperationApply {
			own = len(out)
			out = append(out, e)
			continue
		}
		tree, err := parseFields(e.FieldsV1)
		if err != nil {
			return nil, false, err
		}
		for name := range spec {
			if sub, ok := tree["f:spec"]["f:"+name]; ok {
				moved.merge(fieldTree{"f:spec": {"f:" + name: sub}})
				delete(tree["f:spec"], "f:"+name)
			}
		}
		if s, ok := tree["f:spec"]; ok && len(s) == 0 {
			delete(tree, "f:spec")
		}
		if len(tree) == 0 {
			continue
		}
		if e.FieldsV1, err = tree.fields(); err != nil {
			return nil, false, err
		}
		out = append(out, e)
	}
	if len(moved) == 0 {
		return entries, false, nil
	}
	if own < 0 {
		e := entries[0]
		e.Manager, e.Operation, e.Subresource, e.FieldsV1 = string(fieldOwner), metav1.ManagedFieldsOperationApply, "", nil
		own = len(out)
		out = append(out, e)
	}
	tree, err := parseFields(out[own].FieldsV1)
	if err != nil {
		return nil, false, err
	}
	tree.merge(moved)
	out[own].FieldsV1, err = tree.fields()
	return out, true, err
}

func parseFields(fields *metav1.FieldsV1) (fieldTree, error) {
	tree := fieldTree{}
	if fields == nil {
		return tree, nil
	}
	data, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err != nil {
		return nil, fmt.Errorf("decode managed fields: %w", err)
	}
	return tree, nil
}

func (t fieldTree) fields() (*metav1.FieldsV1, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode managed fields: %w", err)
	}
	out := &metav1.FieldsV1{}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("encode managed fields: %w", err)
	}
	return out, nil
}

// merge adds the fields of another tree.
func (t fieldTree) merge(other fieldTree) {
	for name, sub := range other {
		if t[name] == nil {
			t[name] = fieldTree{}
		}
		t[name].merge(sub)
	}
}
