// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func withSecret(namespace string) *epic.EnvoyConfigSpec {
	return &epic.EnvoyConfigSpec{NodeID: "x", EnvoyResources: epic.EnvoyResources{
		Secrets: []epic.EnvoySecretResource{{Name: "s", Ref: &epic.SecretReference{Name: "s", Namespace: namespace}}},
	}}
}

func TestSecretsOfTemplates(t *testing.T) {
	const at = "spec.envoy-template.envoyResources.secrets[0].ref.namespace"
	for namespace, message := range map[string]string{"": "", "epic-root": "", "epic-other": "must be the namespace of this object", "kube-system": "must be the namespace"} {
		want := map[bool]string{false: at}[message == ""]
		lb, proxy, group := validLoadBalancer(), validGWProxy(), validLBServiceGroup()
		lb.Spec.EnvoyTemplate, proxy.Spec.EnvoyTemplate, group.Spec.EnvoyTemplate = withSecret(namespace), withSecret(namespace), withSecret(namespace)
		expect(t, ValidateLoadBalancer(lb), want, message)
		expect(t, ValidateLoadBalancerUpdate(lb, validLoadBalancer()), want, message)
		expect(t, ValidateGWProxy(proxy), want, message)
		expect(t, ValidateGWProxyUpdate(proxy, validGWProxy()), want, message)
		expect(t, ValidateLBServiceGroup(group), want, message)
		expect(t, ValidateLBServiceGroupUpdate(group, validLBServiceGroup()), want, message)
	}
	offered := validLBServiceGroup()
	offered.Namespace = epic.ConfigNamespace
	offered.Spec.EnvoyTemplate = withSecret(epic.ConfigNamespace)
	expect(t, ValidateLBServiceGroup(offered), at, "is available to every account")
}

// Every reference in a Gateway's spec is found, wherever it is.
func TestReferencesOfGateways(t *testing.T) {
	secret := func(namespace gatewayv1.Namespace) gatewayv1.SecretObjectReference {
		return gatewayv1.SecretObjectReference{Name: "c", Namespace: &namespace}
	}
	validated := func(namespace gatewayv1.Namespace) gatewayv1.TLSConfig {
		return gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: []gatewayv1.ObjectReference{{Kind: "ConfigMap", Name: "ca", Namespace: &namespace}}}}
	}
	for field, set := range map[string]func(*gatewayv1.GatewaySpec, gatewayv1.Namespace){
		"listeners[0].tls.certificateRefs[0].namespace": func(g *gatewayv1.GatewaySpec, n gatewayv1.Namespace) {
			g.Listeners[0].TLS.CertificateRefs = []gatewayv1.SecretObjectReference{secret(n)}
		},
		"tls.backend.clientCertificateRef.namespace": func(g *gatewayv1.GatewaySpec, n gatewayv1.Namespace) {
			g.TLS = &gatewayv1.GatewayTLSConfig{Backend: &gatewayv1.GatewayBackendTLS{ClientCertificateRef: ptr.To(secret(n))}}
		},
		"tls.frontend.default.validation.caCertificateRefs[0].namespace": func(g *gatewayv1.GatewaySpec, n gatewayv1.Namespace) {
			g.TLS = &gatewayv1.GatewayTLSConfig{Frontend: &gatewayv1.FrontendTLSConfig{Default: validated(n)}}
		},
		"tls.frontend.perPort[0].tls.validation.caCertificateRefs[0].namespace": func(g *gatewayv1.GatewaySpec, n gatewayv1.Namespace) {
			g.TLS = &gatewayv1.GatewayTLSConfig{Frontend: &gatewayv1.FrontendTLSConfig{PerPort: []gatewayv1.TLSPortConfig{{Port: 443, TLS: validated(n)}}}}
		},
	} {
		proxy := validGWProxy()
		set(&proxy.Spec.Gateway.GatewaySpec, "epic-root")
		expect(t, ValidateGWProxy(proxy), "", "")
		set(&proxy.Spec.Gateway.GatewaySpec, "epic-system")
		expect(t, ValidateGWProxy(proxy), "spec.gateway."+field, "must be the namespace of this object (epic-root)")
		expect(t, ValidateGWProxyUpdate(proxy, validGWProxy()), "spec.gateway."+field, "must be the namespace of this object")
	}
}
