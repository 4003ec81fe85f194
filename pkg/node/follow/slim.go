// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/intent"
)

// loadBalancer and gwProxy are the cached forms of objects with tunnels: with the tunnels
// that end here, instead of the maps in the status, which need many times the memory.
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

// slim drops what a node does not use before an object is cached: most of an object
// consists of templates, records and managed fields.
func (f *Follower) slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		here := f.o.Cluster == "" || slices.Contains(o.Spec.UpstreamClusters, f.o.Cluster)
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.LoadBalancerSpec{
			PublicAddress: o.Spec.PublicAddress, PublicPorts: o.Spec.PublicPorts,
			UpstreamClusters: o.Spec.UpstreamClusters, TrueIngress: o.Spec.TrueIngress,
		}
		return &loadBalancer{o, f.slimStatus(&o.Status, here)}, nil
	case *epicv1.GWProxy:
		here := f.o.Cluster == "" || epic.ProxyOf(o, f.o.Cluster)
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.GWProxySpec{PublicAddress: o.Spec.PublicAddress, AltAddress: o.Spec.AltAddress, PublicPorts: o.Spec.PublicPorts}
		return &gwProxy{o, f.slimStatus(&o.Status, here)}, nil
	case *epicv1.RemoteEndpoint:
		owner := epic.LoadBalancerReference(o)
		slimMeta(&o.ObjectMeta)
		if owner != nil {
			// The texts are constants, which use no memory per endpoint.
			o.OwnerReferences = []metav1.OwnerReference{{APIVersion: epic.GroupName + "/v1", Kind: "LoadBalancer", UID: owner.UID, Controller: &yes}}
		}
		o.Status = epicv1.RemoteEndpointStatus{}
	case *epicv1.GWRoute:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWRouteStatus{}
	case *epicv1.GWEndpointSlice:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWEndpointSliceStatus{}
		slimEndpoints(&o.Spec)
	}
	return obj, nil
}

// slimEndpoints keeps the used parts of endpoints, with all their texts in one string. A
// slice may have a thousand endpoints, and a gateway node caches the endpoints of all its
// tunnels.
func slimEndpoints(spec *epicv1.GWEndpointSliceSpec) {
	size, addresses := 0, 0
	for i := range spec.Endpoints {
		addresses += len(spec.Endpoints[i].Addresses)
		for _, address := range spec.Endpoints[i].Addresses {
			size += len(address)
		}
		if name := spec.Endpoints[i].NodeName; name != nil && spec.NodeAddresses[*name] == "" {
			size += len(*name)
		}
	}
	for name, address := range spec.NodeAddresses {
		size += len(name) + len(address)
	}
	var all strings.Builder
	all.Grow(size)
	kept := func(text string) string {
		from := all.Len()
		all.WriteString(text)
		return all.String()[from:]
	}
	nodes, names := make(map[string]*string, len(spec.NodeAddresses)), make([]string, 0, len(spec.Endpoints))
	node := func(name string) *string {
		at := nodes[name]
		if at == nil {
			names = append(names, kept(name))
			at = &names[len(names)-1]
			nodes[*at] = at
		}
		return at
	}
	texts, slim := make([]string, 0, addresses), make([]discoveryv1.Endpoint, len(spec.Endpoints))
	for i := range spec.Endpoints {
		e, from := &spec.Endpoints[i], len(texts)
		for _, address := range e.Addresses {
			texts = append(texts, kept(address))
		}
		slim[i] = discoveryv1.Endpoint{
			Addresses:  texts[from:len(texts):len(texts)],
			Conditions: discoveryv1.EndpointConditions{Ready: shared(e.Conditions.Ready), Terminating: shared(e.Conditions.Terminating)},
		}
		if e.NodeName != nil {
			slim[i].NodeName = node(*e.NodeName)
		}
	}
	spec.Endpoints = slim
	where := make(map[string]string, len(spec.NodeAddresses))
	for name, address := range spec.NodeAddresses {
		if at := nodes[name]; at != nil {
			name = *at
		} else {
			name = kept(name)
		}
		where[name] = kept(address)
	}
	spec.NodeAddresses = where
}

// slimStatus returns the tunnels of a status that end here, or none if the object does
// not concern this node's cluster, and removes them from the status.
func (f *Follower) slimStatus(s *epicv1.ProxyStatus, concerns bool) []intent.Tunnel {
	var tunnels []intent.Tunnel
	if concerns {
		tunnels = intent.TunnelsOf(s, f.here)
	}
	s.GUETunnelEndpoints, s.Conditions = nil, nil
	if s.Envoy != nil {
		// All TCP ports are in the spec.
		s.Envoy = &epicv1.EnvoyStatus{Listeners: slices.DeleteFunc(s.Envoy.Listeners, func(l epicv1.EnvoyListenerStatus) bool { return l.Protocol != corev1.ProtocolUDP })}
		if len(s.Envoy.Listeners) == 0 {
			s.Envoy = nil
		}
	}
	return tunnels
}

// shared returns a shared pointer to an equal value.
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
