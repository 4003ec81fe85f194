// SPDX-License-Identifier: Apache-2.0

package fieldset

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

const (
	fieldName      = "metadata.name"
	fieldNamespace = "metadata.namespace"
)

// Field is a field by which the objects of a kind can be selected.
type Field struct {
	name   string
	many   bool
	values func(obj runtime.Object) []string
}

// One returns a field with at most one value per object.
func One[T any](name string, value func(obj *T) string) Field {
	return Field{name: name, values: func(obj runtime.Object) []string {
		if o, ok := any(obj).(*T); ok {
			return []string{value(o)}
		}
		return nil
	}}
}

// Many returns a field with any number of values per object. An object matches NAME=VALUE
// if VALUE is one of its values, and NAME!=VALUE if it is not. An object without values
// matches the empty value.
func Many[T any](name string, values func(obj *T) []string) Field {
	return Field{name: name, many: true, values: func(obj runtime.Object) []string {
		if o, ok := any(obj).(*T); ok {
			return values(o)
		}
		return nil
	}}
}

// Fields are the fields of one kind, in addition to metadata.name and
// metadata.namespace, which every kind has.
type Fields []Field

// GetAttrs implements storage.AttrFunc.
func (fs Fields) GetAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, err
	}
	set := make(fields.Set, len(fs)+2)
	set[fieldName] = m.GetName()
	set[fieldNamespace] = m.GetNamespace()
	for _, f := range fs {
		if f.many {
			set[f.name] = join(f.values(obj))
		} else if v := f.values(obj); len(v) > 0 {
			set[f.name] = v[0]
		}
	}
	return m.GetLabels(), set, nil
}

// Predicate implements the PredicateFunc of a generic store.
func (fs Fields) Predicate(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	p := storage.SelectionPredicate{Label: label, Field: fs.Selector(field), GetAttrs: fs.GetAttrs}
	for _, f := range fs {
		p.IndexFields = append(p.IndexFields, f.name)
	}
	return p
}

// Indexers returns the indexes of the watch cache, one for each field.
func (fs Fields) Indexers() *cache.Indexers {
	out := cache.Indexers{}
	for _, f := range fs {
		out[storage.FieldIndex(f.name)] = func(obj any) ([]string, error) {
			o, ok := obj.(runtime.Object)
			if !ok {
				return nil, fmt.Errorf("%T is not an object", obj)
			}
			return indexValues(f.values(o)), nil
		}
	}
	return &out
}

// Trigger returns the trigger for a field, by which the watch cache finds the watchers of
// an event without evaluating all selectors. A kind can have one trigger, with one value
// per object. Trigger returns nil for an empty name.
func (fs Fields) Trigger(name string) storage.IndexerFuncs {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(fs, func(f Field) bool { return f.name == name && !f.many })
	if i < 0 {
		panic(fmt.Sprintf("%s is no field of one value", name))
	}
	values := fs[i].values
	return storage.IndexerFuncs{name: func(obj runtime.Object) string {
		if v := values(obj); len(v) > 0 {
			return v[0]
		}
		return ""
	}}
}

// registering serializes changes to a scheme by servers that are built at the same time,
// as in tests.
var registering sync.Mutex

// Register makes the API accept selectors of the fields for a kind. It may be called
// repeatedly for the same kind.
func (fs Fields) Register(scheme *runtime.Scheme, gvk schema.GroupVersionKind) error {
	registering.Lock()
	defer registering.Unlock()
	if fs.registered(scheme, gvk) {
		return nil
	}
	return scheme.AddFieldLabelConversionFunc(gvk, func(label, value string) (string, string, error) {
		if label == fieldName || label == fieldNamespace || slices.ContainsFunc(fs, func(f Field) bool { return f.name == label }) {
			return label, value, nil
		}
		return "", "", fmt.Errorf("objects of kind %s can't be selected by the field %q: use one of %s",
			gvk.Kind, label, strings.Join(fs.names(), ", "))
	})
}

// registered reports whether the scheme already accepts the fields. Avoiding a second
// write matters if a server that reads the scheme is already running.
func (fs Fields) registered(scheme *runtime.Scheme, gvk schema.GroupVersionKind) bool {
	for _, f := range fs {
		if _, _, err := scheme.ConvertFieldLabel(gvk, f.name, ""); err != nil {
			return false
		}
	}
	return true
}

func (fs Fields) names() []string {
	names := []string{fieldName, fieldNamespace}
	for _, f := range fs {
		names = append(names, f.name)
	}
	return names
}

// indexValues returns the values under which an object is indexed: the empty value for an
// object that has none.
func indexValues(values []string) []string {
	if len(values) == 0 {
		return []string{""}
	}
	return values
}
