// SPDX-License-Identifier: Apache-2.0

package validation

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// maxParentStatuses is the number of parents that the specs of a route may name in all:
// http, grpc, tls, tcp and udp have references of their own.
const maxParentStatuses = 5 * epic.MaxParentRefs

// listenerStatuses checks what the operator reports of the listeners of a gateway proxy.
func listenerStatuses(path *field.Path, all []epic.GatewayListenerStatus) field.ErrorList {
	if errs := atMost(path, len(all), epic.MaxListeners); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	seen := make(map[string]bool, len(all))
	for i, l := range all {
		at := path.Index(i)
		if seen[l.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), quoted(l.Name)))
		}
		seen[l.Name] = true
		errs = append(errs, word(at.Child("name"), l.Name, maxName)...)
		errs = append(errs, notNegative(at.Child("attachedRoutes"), l.AttachedRoutes)...)
		errs = append(errs, conditions(at.Child("conditions"), l.Conditions)...)
	}
	return few(errs)
}

// parentStatuses checks what the operator reports of a route at its parents.
func parentStatuses(path *field.Path, all []epic.RouteParentStatus) field.ErrorList {
	if errs := atMost(path, len(all), maxParentStatuses); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	for i, p := range all {
		at, ref := path.Index(i), path.Index(i).Child("parentRef")
		errs = append(errs, word(ref.Child("name"), p.ParentRef.Name, maxName)...)
		errs = append(errs, word(ref.Child("sectionName"), p.ParentRef.SectionName, maxName)...)
		errs = append(errs, between(ref.Child("port"), p.ParentRef.Port, 0, 65535)...)
		errs = append(errs, conditions(at.Child("conditions"), p.Conditions)...)
	}
	return few(errs)
}

// conditions checks a list of conditions.
func conditions(path *field.Path, all []metav1.Condition) field.ErrorList {
	if errs := atMost(path, len(all), maxConditions); len(errs) > 0 {
		return errs
	}
	return few(metav1validation.ValidateConditions(all, path))
}
