// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateGWEndpointSlice checks a new object.
func ValidateGWEndpointSlice(obj *epic.GWEndpointSlice) field.ErrorList { return nil }

// ValidateGWEndpointSliceUpdate checks a change of an object.
func ValidateGWEndpointSliceUpdate(obj, old *epic.GWEndpointSlice) field.ErrorList { return nil }

// ValidateGWEndpointSliceStatusUpdate checks a change of an object's status.
func ValidateGWEndpointSliceStatusUpdate(obj, old *epic.GWEndpointSlice) field.ErrorList { return nil }
