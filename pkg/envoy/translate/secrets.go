// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// SecretsOf returns the names of the Secrets, all in the proxy's namespace, that the
// translation of a gateway proxy and its routes reads, each once and in order.
func SecretsOf(proxy *epicv1.GWProxy, routes []*epicv1.GWRoute) []string {
	var names []string
	if proxy.Spec.Gateway != nil {
		gateway := &proxy.Spec.Gateway.GatewaySpec
		for i := range gateway.Listeners {
			if tls := gateway.Listeners[i].TLS; tls != nil {
				for _, ref := range tls.CertificateRefs {
					names = append(names, string(ref.Name))
				}
			}
		}
		if tls := gateway.TLS; tls != nil {
			if tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
				names = append(names, string(tls.Backend.ClientCertificateRef.Name))
			}
			if tls.Frontend != nil {
				names = append(names, authoritiesOf(tls.Frontend.Default.Validation)...)
				for i := range tls.Frontend.PerPort {
					names = append(names, authoritiesOf(tls.Frontend.PerPort[i].TLS.Validation)...)
				}
			}
		}
	}
	for _, r := range routes {
		for i := range r.Spec.Backends {
			if v := r.Spec.Backends[i].TLS; v != nil {
				for _, ref := range v.CACertificateRefs {
					names = append(names, string(ref.Name))
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func authoritiesOf(v *gatewayv1.FrontendTLSValidation) []string {
	var names []string
	if v != nil {
		for _, ref := range v.CACertificateRefs {
			names = append(names, string(ref.Name))
		}
	}
	return names
}
