// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateRemoteEndpoint checks a new object.
func ValidateRemoteEndpoint(obj *epic.RemoteEndpoint) field.ErrorList { return nil }

// ValidateRemoteEndpointUpdate checks a change of an object.
func ValidateRemoteEndpointUpdate(obj, old *epic.RemoteEndpoint) field.ErrorList { return nil }

// ValidateRemoteEndpointStatusUpdate checks a change of an object's status.
func ValidateRemoteEndpointStatusUpdate(obj, old *epic.RemoteEndpoint) field.ErrorList { return nil }
