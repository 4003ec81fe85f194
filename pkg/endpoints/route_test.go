// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Each kind of route leads from its proxies to its Services, by the backends of rules and
// by those of filters.
func TestKindsOfRoutes(t *testing.T) {
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gateway"}, {Name: "other"}, {Name: "gateway"}}}
	refs := []gatewayv1.BackendRef{{BackendObjectReference: toService("b", 80)}, {BackendObjectReference: toService("a", 80)}}
	mirror := &gatewayv1.HTTPRequestMirrorFilter{BackendRef: toService("m", 80)}
	for name, tc := range map[string]struct {
		spec epicv1.GWRouteSpec
		want []string
	}{
		"http": {epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.HTTPRouteRule{{
			Filters:     []gatewayv1.HTTPRouteFilter{{RequestMirror: mirror}, {ExternalAuth: &gatewayv1.HTTPExternalAuthFilter{BackendRef: toService("auth", 80)}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: refs[0]}, {BackendRef: refs[1]}},
		}}}}}, []string{"a", "auth", "b", "m"}},
		"grpc": {epicv1.GWRouteSpec{GRPC: &epicv1.GRPCRouteSpec{GRPCRouteSpec: gatewayv1.GRPCRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.GRPCRouteRule{{
			Filters:     []gatewayv1.GRPCRouteFilter{{RequestMirror: mirror}},
			BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: refs[0]}, {BackendRef: refs[1], Filters: []gatewayv1.GRPCRouteFilter{{RequestMirror: mirror}}}},
		}}}}}, []string{"a", "b", "m"}},
		"tls": {epicv1.GWRouteSpec{TLS: &epicv1.TLSRouteSpec{TLSRouteSpec: gatewayv1.TLSRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.TLSRouteRule{{BackendRefs: refs}}}}}, []string{"a", "b"}},
		"tcp": {epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.TCPRouteRule{{BackendRefs: refs}}}}}, []string{"a", "b"}},
		"udp": {epicv1.GWRouteSpec{UDP: &epicv1.UDPRouteSpec{UDPRouteSpec: gatewayv1.UDPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.UDPRouteRule{{BackendRefs: refs}}}}}, []string{"a", "b"}},
	} {
		route := &epicv1.GWRoute{Spec: tc.spec}
		if got := ProxiesOf(route); !slices.Equal(got, []string{"gateway", "other"}) {
			t.Errorf("%s: ProxiesOf = %v", name, got)
		}
		if got := ServicesOf(route); !slices.Equal(got, tc.want) {
			t.Errorf("%s: ServicesOf = %v, want %v", name, got, tc.want)
		}
		for _, b := range backendsOf(route) {
			if udp := b.protocol() == protocolUDP; udp != (name == "udp") {
				t.Errorf("%s: the backend %v is UDP: %t", name, b, udp)
			}
		}
	}
}
