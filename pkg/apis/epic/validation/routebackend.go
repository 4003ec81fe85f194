// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"net/url"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// maxRouteBackends is as many as the backends that all rules of a route have.
	maxRouteBackends = epic.MaxRouteRules * epic.MaxRuleBackends
	// The limits of the Gateway API for the validation of a backend's certificate.
	maxAuthorities      = 8
	maxSubjectAltNames  = 5
	maxSubjectURILength = 253
)

// routeBackends checks how proxies connect to backends of a route.
func routeBackends(path *field.Path, backends []epic.RouteBackend) field.ErrorList {
	errs := atMost(path, len(backends), maxRouteBackends)
	if len(errs) > 0 {
		return errs
	}
	for i := range backends {
		if full(errs) {
			break
		}
		b := &backends[i]
		at := path.Index(i)
		errs = append(errs, dnsName(at.Child("name"), b.Name)...)
		errs = append(errs, between(at.Child("port"), b.Port, 0, maxPort)...)
		if b.TLS != nil {
			errs = append(errs, backendTLS(at.Child("tls"), &b.TLS.BackendTLSPolicyValidation)...)
		}
	}
	return errs
}

func backendTLS(path *field.Path, v *gatewayv1.BackendTLSPolicyValidation) field.ErrorList {
	errs := atMost(path.Child("caCertificateRefs"), len(v.CACertificateRefs), maxAuthorities)
	errs = append(errs, atMost(path.Child("subjectAltNames"), len(v.SubjectAltNames), maxSubjectAltNames)...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, preciseHostname(path.Child("hostname"), string(v.Hostname))...)
	switch {
	case v.WellKnownCACertificates != nil && *v.WellKnownCACertificates != "":
		errs = append(errs, oneOf(path.Child("wellKnownCACertificates"), *v.WellKnownCACertificates, gatewayv1.WellKnownCACertificatesSystem)...)
		if len(v.CACertificateRefs) > 0 {
			errs = append(errs, field.Forbidden(path.Child("wellKnownCACertificates"), "can't be set together with caCertificateRefs: remove one of the two"))
		}
	case len(v.CACertificateRefs) == 0:
		errs = append(errs, field.Required(path.Child("caCertificateRefs"), "must name Secrets with CA certificates: add one, or set wellKnownCACertificates to System"))
	}
	for i := range v.CACertificateRefs {
		if full(errs) {
			break
		}
		at := path.Child("caCertificateRefs").Index(i)
		ref := &v.CACertificateRefs[i]
		errs = append(errs, dnsName(at.Child("name"), string(ref.Name))...)
		if ref.Group != "" {
			errs = append(errs, field.Invalid(at.Child("group"), quoted(string(ref.Group)), "must be empty, which is the group of Secrets: leave it out"))
		}
		errs = append(errs, oneOf(at.Child("kind"), ref.Kind, "Secret")...)
	}
	for i := range v.SubjectAltNames {
		if full(errs) {
			break
		}
		errs = append(errs, subjectAltName(path.Child("subjectAltNames").Index(i), &v.SubjectAltNames[i])...)
	}
	return errs
}

func subjectAltName(path *field.Path, n *gatewayv1.SubjectAltName) field.ErrorList {
	switch n.Type {
	case gatewayv1.HostnameSubjectAltNameType:
		return hostname(path.Child("hostname"), string(n.Hostname))
	case gatewayv1.URISubjectAltNameType:
		s := string(n.URI)
		errs := text(path.Child("uri"), s, maxSubjectURILength)
		if u, err := url.Parse(s); len(errs) == 0 && (err != nil || !u.IsAbs()) {
			errs = append(errs, field.Invalid(path.Child("uri"), quoted(s), "must be an absolute URI, such as spiffe://example.com/web"))
		}
		return errs
	}
	return oneOf(path.Child("type"), n.Type, gatewayv1.HostnameSubjectAltNameType, gatewayv1.URISubjectAltNameType)
}
