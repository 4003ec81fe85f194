// SPDX-License-Identifier: Apache-2.0

package secretrefs

import (
	"slices"
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestOf(t *testing.T) {
	if got := Of(&epicv1.GWProxy{}); got != nil {
		t.Errorf("A proxy without a Gateway refers to %v", got)
	}
	refs := func(names ...string) *gatewayv1.ListenerTLSConfig {
		tls := &gatewayv1.ListenerTLSConfig{}
		for _, name := range names {
			tls.CertificateRefs = append(tls.CertificateRefs, gatewayv1.SecretObjectReference{Name: gatewayv1.ObjectName(name)})
		}
		return tls
	}
	trusts := func(name string) gatewayv1.TLSConfig {
		return gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: []gatewayv1.ObjectReference{{Name: gatewayv1.ObjectName(name)}}}}
	}
	proxy := &epicv1.GWProxy{Spec: epicv1.GWProxySpec{Gateway: &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{
		Listeners: []gatewayv1.Listener{{Name: "http"}, {Name: "https", TLS: refs("shop", "api")}, {Name: "again", TLS: refs("shop")}},
		TLS: &gatewayv1.GatewayTLSConfig{
			Backend:  &gatewayv1.GatewayBackendTLS{ClientCertificateRef: ptr.To(gatewayv1.SecretObjectReference{Name: "client"})},
			Frontend: &gatewayv1.FrontendTLSConfig{Default: trusts("default-ca"), PerPort: []gatewayv1.TLSPortConfig{{Port: 8443, TLS: trusts("port-ca")}, {Port: 9443}}},
		},
	}}}}
	if got, want := Of(proxy), []string{"api", "client", "default-ca", "port-ca", "shop"}; !slices.Equal(got, want) {
		t.Errorf("It refers to %v, not %v", got, want)
	}
}
