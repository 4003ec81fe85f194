// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestPortsOfSlice(t *testing.T) {
	slice := &epicv1.GWEndpointSlice{}
	slice.Name = "s"
	slice.Spec.Ports = []discoveryv1.EndpointPort{
		{Name: ptr.To("http"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](80)},
		{Name: ptr.To("dns"), Protocol: ptr.To(corev1.ProtocolUDP)},
		{},
		{Name: ptr.To("signal"), Protocol: ptr.To(corev1.ProtocolSCTP), Port: ptr.To[int32](2905)},
		{Name: ptr.To("more"), Protocol: ptr.To(corev1.ProtocolSCTP)},
		{Name: ptr.To("none"), Port: ptr.To[int32](0)},
	}
	usable, skipped := PortsOfSlice(slice)
	if usable != 3 || len(skipped) != 2 {
		t.Fatalf("%d ports can be used, skipped are %v", usable, skipped)
	}
	if p := skipped[0]; p.Reason != ReasonPortUnusable || !strings.Contains(p.String(), `"none"`) {
		t.Errorf("got %s", p)
	}
	if p := skipped[1]; p.Reason != ReasonProtocolUnsupported || p.Count != 2 || !strings.Contains(p.String(), `"signal"`) || !strings.Contains(p.String(), "SCTP") {
		t.Errorf("got %s", p)
	}
}

// A port that no proxy carries hides no other: the endpoints at the others are
// found.
func TestSkippedPortHidesNoOther(t *testing.T) {
	slice := &epicv1.GWEndpointSlice{Spec: epicv1.GWEndpointSliceSpec{
		ParentRef: epicv1.ClientRef{UID: "service"}, NodeAddresses: map[string]string{"n": "10.0.0.1"}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}, NodeName: ptr.To("n")}},
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("signal"), Protocol: ptr.To(corev1.ProtocolSCTP), Port: ptr.To[int32](80)},
			{Name: ptr.To("http"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](8080)},
		},
	}}
	slice.Name, slice.Namespace = "s", "epic-one"
	route := &epicv1.GWRoute{}
	route.Name, route.Namespace = "r", "epic-one"
	route.Spec.TCP = &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{Rules: []gatewayv1.TCPRouteRule{{
		BackendRefs: []gatewayv1.BackendRef{{BackendObjectReference: gatewayv1.BackendObjectReference{Name: "service", Port: ptr.To[int32](80)}}},
	}}}}
	found, wrong := OfGWRoute(route, []*epicv1.GWEndpointSlice{slice})
	if len(found) != 1 || found[0].Address.Port() != 8080 || len(wrong) != 0 {
		t.Errorf("found %v, problems %v", found, wrong)
	}
}

func TestListenersOf(t *testing.T) {
	proxy := &epicv1.GWProxy{}
	proxy.Name = "p"
	if usable, skipped := ListenersOf(proxy); usable != 0 || len(skipped) != 0 {
		t.Errorf("without a gateway: %d, %v", usable, skipped)
	}
	proxy.Spec.Gateway = &epicv1.GatewaySpec{}
	for _, protocol := range []gatewayv1.ProtocolType{"HTTP", "HTTPS", "TLS", "TCP", "UDP", "SCTP", "example.com/mine", "http"} {
		proxy.Spec.Gateway.Listeners = append(proxy.Spec.Gateway.Listeners, gatewayv1.Listener{Name: gatewayv1.SectionName(strings.ToLower(string(protocol))), Protocol: protocol})
	}
	usable, skipped := ListenersOf(proxy)
	if usable != 5 || len(skipped) != 1 || skipped[0].Count != 3 || skipped[0].Reason != ReasonProtocolUnsupported || !strings.Contains(skipped[0].String(), `"sctp"`) {
		t.Errorf("%d can be used, skipped are %v", usable, skipped)
	}
}
