// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateAccount checks a new object.
func ValidateAccount(obj *epic.Account) field.ErrorList { return nil }

// ValidateAccountUpdate checks a change of an object.
func ValidateAccountUpdate(obj, old *epic.Account) field.ErrorList { return nil }

// ValidateAccountStatusUpdate checks a change of an object's status.
func ValidateAccountStatusUpdate(obj, old *epic.Account) field.ErrorList { return nil }
