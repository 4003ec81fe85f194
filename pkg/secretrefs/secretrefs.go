// SPDX-License-Identifier: Apache-2.0

// Package secretrefs finds the Secrets to which a gateway proxy refers, and selects the
// others. The operator reads them, and they must not be deleted before the proxy refers
// to others.
package secretrefs

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Of returns the distinct names of the Secrets, all in the proxy's namespace, to which a
// gateway proxy refers, sorted.
func Of(proxy *epicv1.GWProxy) []string {
	if proxy.Spec.Gateway == nil {
		return nil
	}
	var names []string
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
	slices.Sort(names)
	return slices.Compact(names)
}

// Except returns a selector for all Secrets except those with these names, to delete
// many.
func Except(names []string) fields.Selector {
	others := make([]fields.Selector, len(names))
	for i, name := range names {
		others[i] = fields.OneTermNotEqualSelector(metav1.ObjectNameField, name)
	}
	return fields.AndSelectors(others...)
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
