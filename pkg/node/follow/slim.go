// SPDX-License-Identifier: Apache-2.0

package follow

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// slim drops what a node does not use, before it is kept: most of an object is
// templates, records and who changed what.
func slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.LoadBalancerSpec{
			PublicAddress: o.Spec.PublicAddress, PublicPorts: o.Spec.PublicPorts,
			UpstreamClusters: o.Spec.UpstreamClusters, TrueIngress: o.Spec.TrueIngress,
		}
		o.Status.Conditions = nil
	case *epicv1.GWProxy:
		slimMeta(&o.ObjectMeta)
		o.Spec = epicv1.GWProxySpec{PublicAddress: o.Spec.PublicAddress, AltAddress: o.Spec.AltAddress, PublicPorts: o.Spec.PublicPorts}
		o.Status.Conditions = nil
	case *epicv1.RemoteEndpoint:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.RemoteEndpointStatus{}
	case *epicv1.GWRoute:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWRouteStatus{}
	case *epicv1.GWEndpointSlice:
		slimMeta(&o.ObjectMeta)
		o.Status = epicv1.GWEndpointSliceStatus{}
	}
	return obj, nil
}

var keptLabels = []string{epic.OwningLoadBalancerLabel, epic.OwningServicePrefixLabel}

func slimMeta(m *metav1.ObjectMeta) {
	kept := metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp,
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
