// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateServicePrefix checks a new object.
func ValidateServicePrefix(obj *epic.ServicePrefix) field.ErrorList { return nil }

// ValidateServicePrefixUpdate checks a change of an object.
func ValidateServicePrefixUpdate(obj, old *epic.ServicePrefix) field.ErrorList { return nil }

// ValidateServicePrefixStatusUpdate checks a change of an object's status.
func ValidateServicePrefixStatusUpdate(obj, old *epic.ServicePrefix) field.ErrorList { return nil }
