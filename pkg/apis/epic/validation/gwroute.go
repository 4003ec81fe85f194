// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateGWRoute checks a new object.
func ValidateGWRoute(obj *epic.GWRoute) field.ErrorList { return nil }

// ValidateGWRouteUpdate checks a change of an object.
func ValidateGWRouteUpdate(obj, old *epic.GWRoute) field.ErrorList { return nil }

// ValidateGWRouteStatusUpdate checks a change of an object's status.
func ValidateGWRouteStatusUpdate(obj, old *epic.GWRoute) field.ErrorList { return nil }
