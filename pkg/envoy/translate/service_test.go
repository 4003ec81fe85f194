// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// A Service differs by the ports of its slices, and not by their endpoints, number or
// order.
func TestServiceEqual(t *testing.T) {
	slice := func(port int32, protocol, address string) *epicv1.GWEndpointSlice {
		s := &epicv1.GWEndpointSlice{}
		s.Spec.Ports = []discoveryv1.EndpointPort{{Port: &port, AppProtocol: &protocol}}
		s.Spec.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}}}
		return s
	}
	of := func(slices ...*epicv1.GWEndpointSlice) *translate.Service { return translate.ServiceOf(slices) }
	annotated := slice(80, "", "10.0.0.1")
	annotated.Annotations = map[string]string{endpoints.ServicePortsAnnotation: "80=http", "other": "x"}
	otherwise := slice(80, "", "10.0.0.1")
	otherwise.Annotations = map[string]string{"other": "y"}
	for _, tc := range []struct {
		name string
		a, b *translate.Service
		want bool
	}{
		{"none", of(), of(), true},
		{"none and one", of(), of(slice(80, "", "10.0.0.1")), false},
		{"other endpoints", of(slice(80, "", "10.0.0.1")), of(slice(80, "", "10.0.0.2")), true},
		{"another slice like it", of(slice(80, "", "10.0.0.1")), of(slice(80, "", "10.0.0.1"), slice(80, "", "10.0.0.2")), true},
		{"another order", of(slice(80, "", "a"), slice(81, "", "a")), of(slice(81, "", "a"), slice(80, "", "a")), true},
		{"another port", of(slice(80, "", "a")), of(slice(81, "", "a")), false},
		{"another protocol", of(slice(80, "http", "a")), of(slice(80, "h2c", "a")), false},
		{"one port more", of(slice(80, "", "a")), of(slice(80, "", "a"), slice(81, "", "a")), false},
		{"the annotation", of(slice(80, "", "a")), of(annotated), false},
		{"another annotation", of(slice(80, "", "a")), of(otherwise), true},
	} {
		if got := tc.a.Equal(tc.b); got != tc.want {
			t.Errorf("%s: Equal = %t", tc.name, got)
		}
		if got := tc.b.Equal(tc.a); got != tc.want {
			t.Errorf("%s, the other way: Equal = %t", tc.name, got)
		}
	}
}
