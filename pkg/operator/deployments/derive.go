// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// derives reports whether an object has all wanted values. A field that is zero in want
// is not set, and may have any value, such as a default or one that somebody else set.
// The equivalent function in apimachinery treats a zero number as set.
func derives(want, has any) bool { return derived(reflect.ValueOf(want), reflect.ValueOf(has), false) }

// derived is derives for one value. If set is true, the value counts even if it is zero.
func derived(want, has reflect.Value, set bool) bool {
	if !set && want.IsZero() {
		return true
	}
	switch value := want.Interface().(type) {
	case resource.Quantity:
		other, ok := has.Interface().(resource.Quantity)
		return ok && value.Cmp(other) == 0
	case intstr.IntOrString:
		return want.Equal(has)
	}
	switch want.Kind() {
	case reflect.Pointer:
		return !has.IsNil() && derived(want.Elem(), has.Elem(), true)
	case reflect.Struct:
		for i := range want.NumField() {
			if !derived(want.Field(i), has.Field(i), false) {
				return false
			}
		}
		return true
	case reflect.Slice:
		for i := range want.Len() {
			if i >= has.Len() || !derived(want.Index(i), has.Index(i), true) {
				return false
			}
		}
		return true
	case reflect.Map:
		for _, key := range want.MapKeys() {
			other := has.MapIndex(key)
			if !other.IsValid() || !derived(want.MapIndex(key), other, true) {
				return false
			}
		}
		return true
	default:
		return want.Equal(has)
	}
}
