// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// parts holds the fields that objects of all kinds have. They point into the object.
type parts struct {
	meta         *metav1.ObjectMeta
	spec, status reflect.Value
	conditions   *[]metav1.Condition
	observed     *int64
}

// partsOf returns the parts of an object whose type checkType has accepted.
func partsOf(obj runtime.Object) parts {
	v := reflect.ValueOf(obj).Elem()
	status := v.FieldByName("Status")
	return parts{
		meta:       pointer[metav1.ObjectMeta](v, "ObjectMeta"),
		spec:       v.FieldByName("Spec"),
		status:     status,
		conditions: pointer[[]metav1.Condition](status, "Conditions"),
		observed:   pointer[int64](status, "ObservedGeneration"),
	}
}

// pointer returns a pointer to a field of a struct.
func pointer[F any](v reflect.Value, name string) *F {
	p, _ := v.FieldByName(name).Addr().Interface().(*F)
	return p
}

// checkType reports an error if a type lacks one of the parts.
func checkType(t reflect.Type) error {
	for _, want := range []struct {
		path []string
		is   reflect.Type
	}{
		{[]string{"ObjectMeta"}, reflect.TypeFor[metav1.ObjectMeta]()},
		{[]string{"Spec"}, nil},
		{[]string{"Status", "Conditions"}, reflect.TypeFor[[]metav1.Condition]()},
		{[]string{"Status", "ObservedGeneration"}, reflect.TypeFor[int64]()},
	} {
		at := t
		for _, name := range want.path {
			if at.Kind() != reflect.Struct {
				return fmt.Errorf("%s is no struct", at)
			}
			f, ok := at.FieldByName(name)
			if !ok {
				return fmt.Errorf("%s has no field %s", at, name)
			}
			at = f.Type
		}
		if want.is != nil && at != want.is {
			return fmt.Errorf("field %v of %s is a %s, not a %s", want.path, t, at, want.is)
		}
	}
	return nil
}

// typed returns an object as its own type. Another type would be a bug in the program:
// the store only decodes objects of its kind.
func typed[T any](obj runtime.Object) *T {
	return any(obj).(*T) //nolint:errcheck,forcetypeassert // a panic is right here
}

// empty returns an empty object of type T, which must be an object.
func empty[T any]() runtime.Object {
	obj, _ := any(new(T)).(runtime.Object)
	return obj
}
