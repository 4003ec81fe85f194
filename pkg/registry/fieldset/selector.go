// SPDX-License-Identifier: Apache-2.0

package fieldset

import (
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/selection"
)

const separator = ","

// join joins values with a separator that also encloses the result, so each value can be
// found with the separators around it.
func join(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return separator + strings.Join(values, separator) + separator
}

func contains(joined, value string) bool {
	if value == "" {
		return joined == ""
	}
	return !strings.Contains(value, separator) && strings.Contains(joined, separator+value+separator)
}

// selector compares the values of some fields one by one. All methods but Matches
// delegate to the selector that it wraps.
type selector struct {
	fields.Selector
	fs Fields
	// single selects by fields with one value.
	single fields.Selector
	// many selects by fields with many values.
	many fields.Requirements
}

// Selector returns s with fields of many values compared value by value.
func (fs Fields) Selector(s fields.Selector) fields.Selector {
	if s == nil {
		return nil
	}
	lists := map[string]bool{}
	for _, f := range fs {
		if f.many {
			lists[f.name] = true
		}
	}
	var many fields.Requirements
	for _, r := range s.Requirements() {
		if lists[r.Field] {
			many = append(many, r)
		}
	}
	if len(many) == 0 {
		return s
	}
	single, err := s.Transform(func(field, value string) (string, string, error) {
		if lists[field] {
			return "", "", nil
		}
		return field, value, nil
	})
	if err != nil {
		// The function above returns no error, so this is not reached.
		return fields.Nothing()
	}
	return &selector{Selector: s, fs: fs, single: single, many: many}
}

// Matches implements fields.Selector.
func (s *selector) Matches(f fields.Fields) bool {
	if !s.single.Matches(f) {
		return false
	}
	for _, r := range s.many {
		wanted := r.Operator != selection.NotEquals
		if contains(f.Get(r.Field), r.Value) != wanted {
			return false
		}
	}
	return true
}

// Transform implements fields.Selector.
func (s *selector) Transform(fn fields.TransformFunc) (fields.Selector, error) {
	out, err := s.Selector.Transform(fn)
	if err != nil {
		return nil, err
	}
	return s.fs.Selector(out), nil
}

// DeepCopySelector implements fields.Selector.
func (s *selector) DeepCopySelector() fields.Selector {
	return s.fs.Selector(s.Selector.DeepCopySelector())
}
