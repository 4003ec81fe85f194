// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// serverTLS describes how a listener terminates TLS.
type serverTLS struct {
	// certificates are the names of SDS secrets.
	certificates []string
	// authorities is the SDS secret with which client certificates are verified; empty if
	// they are not required.
	authorities string
	// insecure admits clients without a valid certificate.
	insecure bool
}

// readServerTLS reads the certificates of a listener. A listener without a usable one is
// not served.
func (g *gateway) readServerTLS(l *listener) {
	const reason = string(gatewayv1.ListenerReasonInvalidCertificateRef)
	out := &serverTLS{}
	if l.spec.TLS == nil || len(l.spec.TLS.CertificateRefs) == 0 {
		l.refs.first(reason, "it has no certificate: name a Secret in tls.certificateRefs")
	} else {
		for i := range l.spec.TLS.CertificateRefs {
			ref := &l.spec.TLS.CertificateRefs[i]
			name, err := g.certificateOf(ref)
			if err != nil {
				l.refs.first(reason, "tls.certificateRefs[%d] names the Secret %q: %v", i, ref.Name, err)
				continue
			}
			if !slices.Contains(out.certificates, name) {
				out.certificates = append(out.certificates, name)
			}
			g.checkCertificate(fmt.Sprintf("%s.tls.certificateRefs[%d]", l.field, i), string(ref.Name), name)
		}
	}
	if len(out.certificates) == 0 {
		l.idle.first(string(gatewayv1.ListenerReasonInvalid), "it has no certificate that can be used")
		return
	}
	g.checkHostname(l, out.certificates)
	if v, field := g.frontendValidation(l.spec.Port); v != nil && !g.readClientValidation(l, v, field, out) {
		return
	}
	l.tls = out
}

// certificateOf adds an SDS secret for the Secret that a reference names.
func (g *gateway) certificateOf(ref *gatewayv1.SecretObjectReference) (string, error) {
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Secret" {
		return "", errors.New("a certificate must be in a Secret: refer to one")
	}
	if ref.Namespace != nil && *ref.Namespace != "" && string(*ref.Namespace) != g.proxy.Namespace {
		return "", fmt.Errorf("it is in another namespace than the proxy: create it in %s, and remove the namespace from the reference", g.proxy.Namespace)
	}
	secret := g.in.Secrets[string(ref.Name)]
	if secret == nil {
		return "", fmt.Errorf("it does not exist in the namespace %s: create it", g.proxy.Namespace)
	}
	return g.certificate(secret)
}

// frontendValidation returns how client certificates are verified on a port, and the
// field that defines it.
func (g *gateway) frontendValidation(port gatewayv1.PortNumber) (v *gatewayv1.FrontendTLSValidation, field string) {
	const frontend = "spec.gateway.tls.frontend"
	all := g.in.Proxy.Spec.Gateway.TLS
	if all == nil || all.Frontend == nil {
		return nil, frontend
	}
	for i := range all.Frontend.PerPort {
		if p := &all.Frontend.PerPort[i]; p.Port == port {
			return p.TLS.Validation, fmt.Sprintf("%s.perPort[%d].tls.validation", frontend, i)
		}
	}
	return all.Frontend.Default.Validation, frontend + ".default.validation"
}

// readClientValidation reads the authorities of clients. Without a usable one, the
// listener is not served, because it would admit everybody.
func (g *gateway) readClientValidation(l *listener, v *gatewayv1.FrontendTLSValidation, field string, out *serverTLS) bool {
	var texts, names []string
	for i := range v.CACertificateRefs {
		ref := &v.CACertificateRefs[i]
		at := fmt.Sprintf("the authority %q for certificates of clients", ref.Name)
		switch secret := g.in.Secrets[string(ref.Name)]; {
		case ref.Group != "" || ref.Kind != "Secret" && ref.Kind != "ConfigMap":
			l.refs.first(string(gatewayv1.ListenerReasonInvalidCACertificateKind), "%s is of the kind %q: refer to a Secret", at, ref.Kind)
		case ref.Namespace != nil && *ref.Namespace != "" && string(*ref.Namespace) != g.proxy.Namespace:
			l.refs.first(string(gatewayv1.ListenerReasonRefNotPermitted), "%s is in another namespace: create it in %s", at, g.proxy.Namespace)
		case secret == nil:
			l.refs.first(string(gatewayv1.ListenerReasonInvalidCACertificateRef), "%s does not exist in the namespace %s: create the Secret", at, g.proxy.Namespace)
		default:
			b := g.trusted(secret)
			if b.err != nil {
				l.refs.first(string(gatewayv1.ListenerReasonInvalidCACertificateRef), "%s can't be used: %v", at, b.err)
				continue
			}
			texts, names = append(texts, b.text), append(names, secret.Name)
			// Clients without a valid certificate are admitted.
			if v.Mode == gatewayv1.AllowInsecureFallback {
				continue
			}
			if invalid := g.checkAuthorities(secret); invalid.given() {
				g.problems.add(g.proxy, fmt.Sprintf("%s.caCertificateRefs[%d]", field, i), invalid.reason, "names the Secret %q: %s", ref.Name, invalid.message)
			}
		}
	}
	if len(texts) == 0 {
		l.refused.first(string(gatewayv1.ListenerReasonNoValidCACertificate), "no authority for certificates of clients can be used: correct gateway.tls.frontend")
		return false
	}
	out.insecure = v.Mode == gatewayv1.AllowInsecureFallback
	out.authorities = g.validationContext("clients/", names, texts, func(c *tlsv3.CertificateValidationContext) {
		if out.insecure {
			c.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}
	})
	return true
}

// validationContext adds an SDS secret with the certificates of authorities. Its name
// begins with a prefix that identifies everything else in it.
func (t *translation) validationContext(prefix string, names, texts []string, set func(*tlsv3.CertificateValidationContext)) string {
	c := &tlsv3.CertificateValidationContext{TrustedCa: inline([]byte(strings.Join(texts, "")))}
	set(c)
	if c.TrustChainVerification == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED {
		prefix += "untrusted/"
	}
	name := prefix + strings.Join(names, ",")
	t.put(resource.Secret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: c}}, t.proxy)
	return name
}

// transportSocket returns a transport socket that terminates TLS with the given
// application protocols.
func (t *translation) transportSocket(s *serverTLS, alpn ...string) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t.downstreamTLS(s, alpn...))},
	}
}

// downstreamTLS returns the TLS context of a listener.
func (t *translation) downstreamTLS(s *serverTLS, alpn ...string) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3},
		AlpnProtocols: alpn,
	}
	for _, name := range s.certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, t.sds(name))
	}
	context := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if s.authorities != "" {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: t.sds(s.authorities)}
		context.RequireClientCertificate = wrapperspb.Bool(!s.insecure)
	}
	return context
}
