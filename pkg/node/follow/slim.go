// SPDX-License-Identifier: Apache-2.0

package follow

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/intent"
)

// loadBalancer and gwProxy are what is kept of an object with tunnels: those that end
// here, in the place of the maps in its status, which need many times the memory.
type (
	loadBalancer struct {
		*epicv1.LoadBalancer
		tunnels []intent.Tunnel
	}
	gwProxy struct {
		*epicv1.GWProxy
		tunnels []intent.Tunnel
	}
)

// slim drops what a node does not use, before it is kept: most of an object is
// templates, records and who changed what.
func (f *Follower) slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.LoadBalancerSpec{
			PublicAddress: o.Spec.PublicAddress, PublicPorts: o.Spec.PublicPorts,
			UpstreamClusters: o.Spec.UpstreamClusters, TrueIngress: o.Spec.TrueIngress,
		}
		return &loadBalancer{o, f.slimStatus(&o.Status)}, nil
	case *epicv1.GWProxy:
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.GWProxySpec{PublicAddress: o.Spec.PublicAddress, AltAddress: o.Spec.AltAddress, PublicPorts: o.Spec.PublicPorts}
		return &gwProxy{o, f.slimStatus(&o.Status)}, nil
	case *epicv1.RemoteEndpoint:
		owner := epic.LoadBalancerReference(o)
		slimMeta(&o.ObjectMeta)
		if owner != nil {
			// The texts are constants, which need no memory for each endpoint.
			o.OwnerReferences = []metav1.OwnerReference{{APIVersion: epic.GroupName + "/v1", Kind: "LoadBalancer", UID: owner.UID, Controller: &yes}}
		}
		o.Status = epicv1.RemoteEndpointStatus{}
	case *epicv1.GWRoute:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWRouteStatus{}
	case *epicv1.GWEndpointSlice:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWEndpointSliceStatus{}
		for i := range o.Spec.Endpoints {
			e := &o.Spec.Endpoints[i]
			*e = discoveryv1.Endpoint{
				Addresses: e.Addresses, NodeName: e.NodeName,
				Conditions: discoveryv1.EndpointConditions{Ready: shared(e.Conditions.Ready), Terminating: shared(e.Conditions.Terminating)},
			}
		}
	}
	return obj, nil
}

// slimStatus takes the tunnels that end here out of a status.
func (f *Follower) slimStatus(s *epicv1.ProxyStatus) []intent.Tunnel {
	tunnels := intent.TunnelsOf(s, f.here)
	s.GUETunnelEndpoints, s.Conditions = nil, nil
	return tunnels
}

// shared is the same in a place that all share.
func shared(b *bool) *bool {
	switch {
	case b == nil:
		return nil
	case *b:
		return &yes
	}
	return &no
}

var yes, no = true, false

var keptLabels = []string{epic.OwningLoadBalancerLabel, epic.OwningServicePrefixLabel}

func slimMeta(m *metav1.ObjectMeta) {
	kept := metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp,
		CreationTimestamp: m.CreationTimestamp,
	}
	for _, label := range keptLabels {
		if v, ok := m.Labels[label]; ok {
			if kept.Labels == nil {
				kept.Labels = map[string]string{}
			}
			kept.Labels[label] = v
		}
	}
	if v, ok := m.Annotations[endpoints.ServicePortsAnnotation]; ok {
		kept.Annotations = map[string]string{endpoints.ServicePortsAnnotation: v}
	}
	*m = kept
}
