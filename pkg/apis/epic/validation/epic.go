// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateEPIC checks a new object.
func ValidateEPIC(obj *epic.EPIC) field.ErrorList { return nil }

// ValidateEPICUpdate checks a change of an object.
func ValidateEPICUpdate(obj, old *epic.EPIC) field.ErrorList { return nil }

// ValidateEPICStatusUpdate checks a change of an object's status.
func ValidateEPICStatusUpdate(obj, old *epic.EPIC) field.ErrorList { return nil }
