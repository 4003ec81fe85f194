// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateLoadBalancer checks a new object.
func ValidateLoadBalancer(obj *epic.LoadBalancer) field.ErrorList { return nil }

// ValidateLoadBalancerUpdate checks a change of an object.
func ValidateLoadBalancerUpdate(obj, old *epic.LoadBalancer) field.ErrorList { return nil }

// ValidateLoadBalancerStatusUpdate checks a change of an object's status.
func ValidateLoadBalancerStatusUpdate(obj, old *epic.LoadBalancer) field.ErrorList { return nil }
