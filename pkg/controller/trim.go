// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// trim removes the parts of an object that the controller does not read before it is
// cached: the managed fields, the copies of the status in specs, and the Envoy templates.
func trim(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		o.Spec.GUETunnelEndpoints, o.Spec.ProxyIfInfo, o.Spec.EnvoyTemplate = nil, nil, nil
	case *epicv1.LBServiceGroup:
		o.Spec.EnvoyTemplate = nil
	case *epicv1.GatewayNode:
		o.Status.DownTunnels = nil
	case *epicv1.GWProxy:
		o.Spec.GUETunnelEndpoints, o.Spec.ProxyIfInfo, o.Spec.EnvoyTemplate = nil, nil, nil
	}
	return obj, nil
}
