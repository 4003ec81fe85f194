// SPDX-License-Identifier: Apache-2.0

package publish

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// from identifies a referring object.
type from struct {
	kind      gatewayv1.Kind
	namespace string
}

// object identifies the object of a reference.
type object struct {
	group, kind, namespace, name string
}

// permits reports whether a reference is permitted: the object is in the same namespace,
// or a ReferenceGrant in its namespace permits it. The referring kind is in the Gateway
// API's group.
func permits(view View, f from, to object) bool {
	if f.namespace == to.namespace {
		return true
	}
	for _, grant := range view.GrantsIn(to.namespace) {
		if grantsFrom(grant, f) && grantsTo(grant, to) {
			return true
		}
	}
	return false
}

func grantsFrom(grant *gatewayv1.ReferenceGrant, f from) bool {
	for _, g := range grant.Spec.From {
		if g.Group == gatewayv1.GroupName && g.Kind == f.kind && string(g.Namespace) == f.namespace {
			return true
		}
	}
	return false
}

func grantsTo(grant *gatewayv1.ReferenceGrant, to object) bool {
	for _, g := range grant.Spec.To {
		if string(g.Group) == to.group && string(g.Kind) == to.kind && (g.Name == nil || *g.Name == "" || string(*g.Name) == to.name) {
			return true
		}
	}
	return false
}
