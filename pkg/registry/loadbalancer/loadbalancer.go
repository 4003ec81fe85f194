// SPDX-License-Identifier: Apache-2.0

// Package loadbalancer stores load balancers.
package loadbalancer

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.LoadBalancer, epic.LoadBalancerList]{
	Resource:   epic.ResourceLoadBalancers,
	Singular:   "loadbalancer",
	ShortNames: []string{"lb", "lbs"},
	Strategy: kind.Strategy[epic.LoadBalancer]{
		PrepareCreate: func(obj *epic.LoadBalancer) {
			obj.Spec.EnvoyReplicaCount = proxy.Replicas(obj.Spec.EnvoyReplicaCount, nil)
			equateGroup(obj)
		},
		PrepareUpdate:  func(obj, old *epic.LoadBalancer) { proxy.Keep(proxy.LoadBalancer(obj), proxy.LoadBalancer(old)) },
		PrepareStatus:  func(obj, old *epic.LoadBalancer) { proxy.NormalizeStatus(&obj.Status, &old.Status) },
		Validate:       validation.ValidateLoadBalancer,
		ValidateUpdate: validation.ValidateLoadBalancerUpdate,
		ValidateStatus: validation.ValidateLoadBalancerStatusUpdate,
		Reset:          proxy.Copies(),
	},
	Table:  newTable(),
	Fields: selectable,
}.NewREST

// equateGroup copies the group's name from the label to the spec or back if only one of
// them has it. If they differ, validation rejects the object.
func equateGroup(obj *epic.LoadBalancer) {
	label := obj.Labels[epic.OwningLBServiceGroupLabel]
	switch {
	case obj.Spec.ServiceGroup == "":
		obj.Spec.ServiceGroup = label
	case label == "":
		if obj.Labels == nil {
			obj.Labels = map[string]string{}
		}
		obj.Labels[epic.OwningLBServiceGroupLabel] = obj.Spec.ServiceGroup
	}
}
