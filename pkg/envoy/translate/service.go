// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// Service is what the endpoint slices of one Service show of the Service: that it exists,
// and its ports. It does not include endpoints, so it rarely changes.
type Service struct {
	slices []*epicv1.GWEndpointSlice
}

// ServiceOf returns the Service of slices, which all belong to it. It returns nil if
// there is no slice. Slices that are being deleted do not count.
func ServiceOf(all []*epicv1.GWEndpointSlice) *Service {
	s := &Service{}
	for _, slice := range all {
		if slice == nil || slice.DeletionTimestamp != nil {
			continue
		}
		shape := &epicv1.GWEndpointSlice{}
		if said, ok := slice.Annotations[endpoints.ServicePortsAnnotation]; ok {
			shape.ObjectMeta = metav1.ObjectMeta{Annotations: map[string]string{endpoints.ServicePortsAnnotation: said}}
		}
		shape.Spec.Ports = slice.Spec.Ports
		if !slices.ContainsFunc(s.slices, func(o *epicv1.GWEndpointSlice) bool { return sameShape(o, shape) }) {
			s.slices = append(s.slices, shape)
		}
	}
	if len(s.slices) == 0 {
		return nil
	}
	return s
}

func sameShape(a, b *epicv1.GWEndpointSlice) bool {
	return maps.Equal(a.Annotations, b.Annotations) && apiequality.Semantic.DeepEqual(a.Spec.Ports, b.Spec.Ports)
}

// Equal reports whether two Services are equal for the translation. Either may be nil.
func (s *Service) Equal(o *Service) bool {
	if s == nil || o == nil {
		return s == o
	}
	return len(s.slices) == len(o.slices) && !slices.ContainsFunc(s.slices, func(a *epicv1.GWEndpointSlice) bool {
		return !slices.ContainsFunc(o.slices, func(b *epicv1.GWEndpointSlice) bool { return sameShape(a, b) })
	})
}

// appProtocol returns the application protocol of a port, or "" if none is set.
func (s *Service) appProtocol(m Member) string {
	if s == nil {
		return ""
	}
	return endpoints.Backend{Service: m.Service, Port: m.Port, Protocol: m.Protocol}.AppProtocol(s.slices)
}
