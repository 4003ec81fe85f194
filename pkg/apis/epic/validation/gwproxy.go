// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateGWProxy checks a new object.
func ValidateGWProxy(obj *epic.GWProxy) field.ErrorList { return nil }

// ValidateGWProxyUpdate checks a change of an object.
func ValidateGWProxyUpdate(obj, old *epic.GWProxy) field.ErrorList { return nil }

// ValidateGWProxyStatusUpdate checks a change of an object's status.
func ValidateGWProxyStatusUpdate(obj, old *epic.GWProxy) field.ErrorList { return nil }
