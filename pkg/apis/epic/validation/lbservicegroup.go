// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateLBServiceGroup checks a new object.
func ValidateLBServiceGroup(obj *epic.LBServiceGroup) field.ErrorList { return nil }

// ValidateLBServiceGroupUpdate checks a change of an object.
func ValidateLBServiceGroupUpdate(obj, old *epic.LBServiceGroup) field.ErrorList { return nil }

// ValidateLBServiceGroupStatusUpdate checks a change of an object's status.
func ValidateLBServiceGroupStatusUpdate(obj, old *epic.LBServiceGroup) field.ErrorList { return nil }
