// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds for the parts of other projects' types that have no rule of their own
// here.
const (
	maxText    = 4096
	maxEntries = 128
)

// bounded checks that all strings in v, which is a struct or a pointer to one,
// are text of a bearable length, and that lists and maps are bearably long. It
// is for types that are not ours: they may gain fields, and a tenant may send
// any of them.
func bounded(path *field.Path, v any) field.ErrorList {
	return bound(path, reflect.ValueOf(v))
}

func bound(path *field.Path, v reflect.Value) field.ErrorList {
	var errs field.ErrorList
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return bound(path, v.Elem())
		}
	case reflect.String:
		return text(path, v.String(), maxText)
	case reflect.Slice, reflect.Array:
		if errs := atMost(path, v.Len(), maxEntries); len(errs) > 0 {
			return errs
		}
		for i := range v.Len() {
			if full(errs) {
				break
			}
			errs = append(errs, bound(path.Index(i), v.Index(i))...)
		}
	case reflect.Map:
		if errs := atMost(path, v.Len(), maxEntries); len(errs) > 0 {
			return errs
		}
		for it := v.MapRange(); it.Next(); {
			if full(errs) {
				break
			}
			errs = append(errs, bound(path, it.Key())...)
			errs = append(errs, bound(path.Key(quoted(it.Key().String())), it.Value())...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if full(errs) {
				break
			}
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			errs = append(errs, bound(child(path, f), v.Field(i))...)
		}
	}
	return errs
}

// child is the path of a field by its JSON name. An inlined one has its
// parent's.
func child(path *field.Path, f reflect.StructField) *field.Path {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name != "" && name != "-":
		return path.Child(name)
	case f.Anonymous:
		return path
	}
	return path.Child(f.Name)
}
