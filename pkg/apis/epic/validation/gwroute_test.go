// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validGWRoute() *epic.GWRoute {
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "4f1d0a52-9a3b-4a60-8d8d-3d9f8e1b7c11", SectionName: ptr.To[gatewayv1.SectionName]("https")}}}
	backend := gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: "0c7c30bb-9e5d-4be7-a7d5-9d0c3a7f24bb", Port: num(8080)},
		Weight:                 num(1),
	}
	return &epic.GWRoute{
		ObjectMeta: meta("epic-root", "9e8a3f7e-2d6e-4a5e-9a5e-0d0e3c1d2b3a"),
		Spec: epic.GWRouteSpec{
			HTTP: &epic.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
				CommonRouteSpec: parents,
				Hostnames:       []gatewayv1.Hostname{"www.example.com", "*.example.com"},
				Rules: []gatewayv1.HTTPRouteRule{{
					Matches: []gatewayv1.HTTPRouteMatch{{
						Path:        &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: ptr.To("/a")},
						Method:      ptr.To(gatewayv1.HTTPMethodGet),
						Headers:     []gatewayv1.HTTPHeaderMatch{{Name: "X-A", Value: "b", Type: ptr.To(gatewayv1.HeaderMatchExact)}},
						QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "a", Value: "b"}},
					}},
					Filters: []gatewayv1.HTTPRouteFilter{{
						Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
						RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{StatusCode: ptr.To(301), Scheme: ptr.To("https")},
					}},
					BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: backend}},
				}},
			}},
			TCP: &epic.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
				CommonRouteSpec: *parents.DeepCopy(),
				Rules:           []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{backend}}},
			}},
		},
	}
}

// The kinds of routes other than HTTP and TCP.
func TestGWRouteKinds(t *testing.T) {
	valid := func() *epic.GWRoute {
		r := validGWRoute()
		parents, refs := r.Spec.TCP.CommonRouteSpec, r.Spec.TCP.Rules[0].BackendRefs
		r.Spec = epic.GWRouteSpec{
			GRPC: &epic.GRPCRouteSpec{GRPCRouteSpec: gatewayv1.GRPCRouteSpec{
				CommonRouteSpec: *parents.DeepCopy(),
				Hostnames:       []gatewayv1.Hostname{"grpc.example.com"},
				Rules: []gatewayv1.GRPCRouteRule{{
					Matches: []gatewayv1.GRPCRouteMatch{{
						Method:  &gatewayv1.GRPCMethodMatch{Service: ptr.To("a.b.C"), Method: ptr.To("Get")},
						Headers: []gatewayv1.GRPCHeaderMatch{{Name: "x", Value: "y"}},
					}},
					Filters: []gatewayv1.GRPCRouteFilter{{
						Type:                  gatewayv1.GRPCRouteFilterRequestHeaderModifier,
						RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Remove: []string{"a"}},
					}},
					BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: refs[0]}},
				}},
			}},
			TLS: &epic.TLSRouteSpec{TLSRouteSpec: gatewayv1.TLSRouteSpec{
				CommonRouteSpec: *parents.DeepCopy(),
				Hostnames:       []gatewayv1.Hostname{"tls.example.com"},
				Rules:           []gatewayv1.TLSRouteRule{{BackendRefs: refs}},
			}},
			UDP: &epic.UDPRouteSpec{UDPRouteSpec: gatewayv1.UDPRouteSpec{
				CommonRouteSpec: *parents.DeepCopy(),
				Rules:           []gatewayv1.UDPRouteRule{{BackendRefs: slices.Clone(refs)}},
			}},
			Backends: []epic.RouteBackend{{
				Name: string(refs[0].Name), Port: 8080,
				TLS: &epic.BackendTLSValidation{BackendTLSPolicyValidation: gatewayv1.BackendTLSPolicyValidation{
					CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "Secret", Name: "ca"}},
					Hostname:          "backend.example.com",
					SubjectAltNames: []gatewayv1.SubjectAltName{
						{Type: gatewayv1.HostnameSubjectAltNameType, Hostname: "a.example.com"},
						{Type: gatewayv1.URISubjectAltNameType, URI: "spiffe://example.com/a"},
					},
				}},
			}},
		}
		return r
	}
	grpcRule := func(f func(*gatewayv1.GRPCRouteRule)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.GRPC.Rules[0]) }
	}
	method := func(m gatewayv1.GRPCMethodMatch) func(*epic.GWRoute) {
		return grpcRule(func(r *gatewayv1.GRPCRouteRule) { r.Matches[0].Method = &m })
	}
	validationOf := func(f func(*gatewayv1.BackendTLSPolicyValidation)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.Backends[0].TLS.BackendTLSPolicyValidation) }
	}
	const (
		methodAt = "spec.grpc.rules[0].matches[0].method"
		tlsAt    = "spec.backends[0].tls."
	)
	re := ptr.To(gatewayv1.GRPCMethodMatchRegularExpression)
	changes := []change[epic.GWRoute]{
		{"all", func(*epic.GWRoute) {}, "", ""},
		{"gRPC without parents", func(o *epic.GWRoute) { o.Spec.GRPC.ParentRefs = nil }, "spec.grpc.parentRefs", "must refer"},
		{"TLS without parents", func(o *epic.GWRoute) { o.Spec.TLS.ParentRefs = nil }, "spec.tls.parentRefs", "must refer"},
		{"UDP without parents", func(o *epic.GWRoute) { o.Spec.UDP.ParentRefs = nil }, "spec.udp.parentRefs", "must refer"},
		{"gRPC's hostname", func(o *epic.GWRoute) { o.Spec.GRPC.Hostnames[0] = "A" }, "spec.grpc.hostnames[0]", "lowercase"},
		{"TLS without hostnames", func(o *epic.GWRoute) { o.Spec.TLS.Hostnames = nil }, "spec.tls.hostnames", "add one"},
		{"TLS's hostname", func(o *epic.GWRoute) { o.Spec.TLS.Hostnames[0] = "192.0.2.1" }, "spec.tls.hostnames[0]", "not an IP address"},
		{"TLS without rules", func(o *epic.GWRoute) { o.Spec.TLS.Rules = nil }, "spec.tls.rules", "add one"},
		{"UDP without rules", func(o *epic.GWRoute) { o.Spec.UDP.Rules = nil }, "spec.udp.rules", "add one"},
		{"UDP without backends", func(o *epic.GWRoute) { o.Spec.UDP.Rules[0].BackendRefs = nil }, "spec.udp.rules[0].backendRefs", "add one"},
		{"UDP's weight", func(o *epic.GWRoute) { o.Spec.UDP.Rules[0].BackendRefs[0].Weight = num(-1) }, "spec.udp.rules[0].backendRefs[0].weight", "from 0"},
		{"gRPC without rules", func(o *epic.GWRoute) { o.Spec.GRPC.Rules = nil }, "", ""},
		{"17 gRPC rules", func(o *epic.GWRoute) { o.Spec.GRPC.Rules = make([]gatewayv1.GRPCRouteRule, 17) }, "spec.grpc.rules", "more than 16"},
		{"129 gRPC matches", func(o *epic.GWRoute) {
			o.Spec.GRPC.Rules = []gatewayv1.GRPCRouteRule{{Matches: make([]gatewayv1.GRPCRouteMatch, 64)}, {Matches: make([]gatewayv1.GRPCRouteMatch, 64)}, {Matches: make([]gatewayv1.GRPCRouteMatch, 1)}}
		}, "spec.grpc.rules", "more than 128 matches"},
		{"empty method", method(gatewayv1.GRPCMethodMatch{}), methodAt, "add one"},
		{"method's type", method(gatewayv1.GRPCMethodMatch{Type: ptr.To[gatewayv1.GRPCMethodMatchType]("x"), Method: ptr.To("a")}), methodAt + ".type", "use one of"},
		{"service's name", method(gatewayv1.GRPCMethodMatch{Service: ptr.To("a/b")}), methodAt + ".service", "letters"},
		{"method's name", method(gatewayv1.GRPCMethodMatch{Method: ptr.To("1")}), methodAt + ".method", "letters"},
		{"regular service", method(gatewayv1.GRPCMethodMatch{Type: re, Service: ptr.To("a|b")}), "", ""},
		{"service that is no regular expression", method(gatewayv1.GRPCMethodMatch{Type: re, Service: ptr.To("[")}), methodAt + ".service", "RE2"},
		{"costly method", method(gatewayv1.GRPCMethodMatch{Type: re, Method: ptr.To("(a{100}){100}")}), methodAt + ".method", "RE2"},
		{"costly header", grpcRule(func(r *gatewayv1.GRPCRouteRule) {
			r.Matches[0].Headers[0].Type, r.Matches[0].Headers[0].Value = ptr.To(gatewayv1.GRPCHeaderMatchRegularExpression), "(a{100}){100}"
		}), "spec.grpc.rules[0].matches[0].headers[0].value", "RE2"},
		{"gRPC header without name", grpcRule(func(r *gatewayv1.GRPCRouteRule) { r.Matches[0].Headers[0].Name = "" }), "spec.grpc.rules[0].matches[0].headers[0].name", "letters"},
		{"redirect of gRPC", grpcRule(func(r *gatewayv1.GRPCRouteRule) { r.Filters[0].Type = "RequestRedirect" }), "spec.grpc.rules[0].filters[0].type", "use one of"},
		{"gRPC filter without settings", grpcRule(func(r *gatewayv1.GRPCRouteRule) { r.Filters[0].RequestHeaderModifier = nil }), "spec.grpc.rules[0].filters[0].requestHeaderModifier", "add them"},
		{"gRPC backend's filter", grpcRule(func(r *gatewayv1.GRPCRouteRule) {
			r.BackendRefs[0].Filters = []gatewayv1.GRPCRouteFilter{{Type: "x"}}
		}), "spec.grpc.rules[0].backendRefs[0].filters[0].type", "use one of"},
		{"backend without name", func(o *epic.GWRoute) { o.Spec.Backends[0].Name = "" }, "spec.backends[0].name", "Required"},
		{"backend's port", func(o *epic.GWRoute) { o.Spec.Backends[0].Port = 65536 }, "spec.backends[0].port", "from 0"},
		{"backend without TLS", func(o *epic.GWRoute) { o.Spec.Backends[0].TLS = nil }, "", ""},
		{"257 backends", func(o *epic.GWRoute) { o.Spec.Backends = make([]epic.RouteBackend, 257) }, "spec.backends", "more than 256"},
		{"no hostname", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.Hostname = "" }), tlsAt + "hostname", "DNS name"},
		{"wildcard", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.Hostname = "*.a.com" }), tlsAt + "hostname", "without the wildcard"},
		{"no authority", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.CACertificateRefs = nil }), tlsAt + "caCertificateRefs", "add one"},
		{"9 authorities", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.CACertificateRefs = make([]gatewayv1.LocalObjectReference, 9)
		}), tlsAt + "caCertificateRefs", "more than 8"},
		{"authority's kind", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.CACertificateRefs[0].Kind = "ConfigMap" }), tlsAt + "caCertificateRefs[0].kind", "use one of Secret"},
		{"authority's group", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.CACertificateRefs[0].Group = "a" }), tlsAt + "caCertificateRefs[0].group", "leave it out"},
		{"the system's authorities", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.CACertificateRefs, v.WellKnownCACertificates = nil, ptr.To(gatewayv1.WellKnownCACertificatesSystem)
		}), "", ""},
		{"two kinds of authorities", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.WellKnownCACertificates = ptr.To(gatewayv1.WellKnownCACertificatesSystem)
		}), tlsAt + "wellKnownCACertificates", "remove one"},
		{"unknown authorities", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.CACertificateRefs, v.WellKnownCACertificates = nil, ptr.To[gatewayv1.WellKnownCACertificatesType]("x")
		}), tlsAt + "wellKnownCACertificates", "use one of System"},
		{"subject's type", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.SubjectAltNames[0].Type = "x" }), tlsAt + "subjectAltNames[0].type", "use one of"},
		{"subject's hostname", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.SubjectAltNames[0].Hostname = "A" }), tlsAt + "subjectAltNames[0].hostname", "lowercase"},
		{"subject's URI", validationOf(func(v *gatewayv1.BackendTLSPolicyValidation) { v.SubjectAltNames[1].URI = "a" }), tlsAt + "subjectAltNames[1].uri", "absolute"},
	}
	creations(t, valid, ValidateGWRoute, changes)
	updates(t, valid, ValidateGWRouteUpdate, changes[1:])
}

// What the experimental channel adds to HTTP routes.
func TestGWRouteExtensions(t *testing.T) {
	rule := func(f func(*gatewayv1.HTTPRouteRule)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.HTTP.Rules[0]) }
	}
	filter := func(f gatewayv1.HTTPRouteFilter) func(*epic.GWRoute) {
		return rule(func(r *gatewayv1.HTTPRouteRule) { r.Filters = []gatewayv1.HTTPRouteFilter{f} })
	}
	cors := func(c gatewayv1.HTTPCORSFilter) func(*epic.GWRoute) {
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterCORS, CORS: &c})
	}
	auth := func(a gatewayv1.HTTPExternalAuthFilter) func(*epic.GWRoute) {
		a.BackendRef.Name = "auth"
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterExternalAuth, ExternalAuth: &a})
	}
	mirror := func(m gatewayv1.HTTPRequestMirrorFilter) func(*epic.GWRoute) {
		m.BackendRef.Name = "copy"
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &m})
	}
	persistence := func(p gatewayv1.SessionPersistence) func(*epic.GWRoute) {
		return rule(func(r *gatewayv1.HTTPRouteRule) { r.SessionPersistence = &p })
	}
	const (
		ruleAt   = "spec.http.rules[0]."
		filterAt = ruleAt + "filters[0]."
	)
	creations(t, validGWRoute, ValidateGWRoute, []change[epic.GWRoute]{
		{"timeout", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Timeouts = &gatewayv1.HTTPRouteTimeouts{Request: ptr.To[gatewayv1.Duration]("10"), BackendRequest: ptr.To[gatewayv1.Duration]("1m500ms")}
		}), ruleAt + "timeouts.request", "such as 10s"},
		{"backend's timeout", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Timeouts = &gatewayv1.HTTPRouteTimeouts{BackendRequest: ptr.To[gatewayv1.Duration]("-1s")}
		}), ruleAt + "timeouts.backendRequest", "such as 10s"},
		{"backoff", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Retry = &gatewayv1.HTTPRouteRetry{Backoff: ptr.To[gatewayv1.Duration]("1d")}
		}), ruleAt + "retry.backoff", "such as 10s"},
		{"sticky", persistence(gatewayv1.SessionPersistence{SessionName: ptr.To("a")}), "", ""},
		{"sticky by an unknown thing", persistence(gatewayv1.SessionPersistence{Type: ptr.To[gatewayv1.SessionPersistenceType]("IP")}), ruleAt + "sessionPersistence.type", "use one of Cookie, Header"},
		{"cookie's name", persistence(gatewayv1.SessionPersistence{SessionName: ptr.To("a;b")}), ruleAt + "sessionPersistence.sessionName", "letters"},
		{"eternal cookie", persistence(gatewayv1.SessionPersistence{CookieConfig: &gatewayv1.CookieConfig{LifetimeType: ptr.To(gatewayv1.PermanentCookieLifetimeType)}}), ruleAt + "sessionPersistence.absoluteTimeout", "set absoluteTimeout"},
		{"CORS", cors(gatewayv1.HTTPCORSFilter{AllowOrigins: []gatewayv1.CORSOrigin{"*", "https://*.example.com:8443", "http://a"}, AllowMethods: []gatewayv1.HTTPMethodWithWildcard{"*", "GET"}}), "", ""},
		{"CORS origin", cors(gatewayv1.HTTPCORSFilter{AllowOrigins: []gatewayv1.CORSOrigin{"https://a/b"}}), filterAt + "cors.allowOrigins[0]", "an origin"},
		{"CORS method", cors(gatewayv1.HTTPCORSFilter{AllowMethods: []gatewayv1.HTTPMethodWithWildcard{"get"}}), filterAt + "cors.allowMethods[0]", "use one of"},
		{"CORS header", cors(gatewayv1.HTTPCORSFilter{AllowHeaders: []gatewayv1.HTTPHeaderName{"a b"}}), filterAt + "cors.allowHeaders[0]", "letters"},
		{"CORS age", cors(gatewayv1.HTTPCORSFilter{MaxAge: -1}), filterAt + "cors.maxAge", "negative"},
		{"CORS without settings", filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterCORS}), filterAt + "cors", "add them"},
		{"authorization", auth(gatewayv1.HTTPExternalAuthFilter{ExternalAuthProtocol: "GRPC"}), "", ""},
		{"authorization's protocol", auth(gatewayv1.HTTPExternalAuthFilter{ExternalAuthProtocol: "x"}), filterAt + "externalAuth.protocol", "use one of GRPC, HTTP"},
		{"authorization's headers", auth(gatewayv1.HTTPExternalAuthFilter{ExternalAuthProtocol: "HTTP", HTTPAuthConfig: &gatewayv1.HTTPAuthConfig{AllowedResponseHeaders: []string{""}}}), filterAt + "externalAuth.http.allowedResponseHeaders[0]", "letters"},
		{"fraction", mirror(gatewayv1.HTTPRequestMirrorFilter{Fraction: &gatewayv1.Fraction{Numerator: 1, Denominator: num(3)}}), "", ""},
		{"fraction of nothing", mirror(gatewayv1.HTTPRequestMirrorFilter{Fraction: &gatewayv1.Fraction{Denominator: num(0)}}), filterAt + "requestMirror.fraction.denominator", "from 1"},
		{"more than all", mirror(gatewayv1.HTTPRequestMirrorFilter{Fraction: &gatewayv1.Fraction{Numerator: 101}}), filterAt + "requestMirror.fraction.numerator", "from 0 to 100"},
		{"fraction and percent", mirror(gatewayv1.HTTPRequestMirrorFilter{Percent: num(1), Fraction: &gatewayv1.Fraction{Numerator: 1}}), filterAt + "requestMirror.fraction", "remove one"},
	})
}

func TestGWRoute(t *testing.T) {
	http := func(f func(*gatewayv1.HTTPRouteSpec)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.HTTP.HTTPRouteSpec) }
	}
	rule := func(f func(*gatewayv1.HTTPRouteRule)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.HTTP.Rules[0]) }
	}
	match := func(f func(*gatewayv1.HTTPRouteMatch)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.HTTP.Rules[0].Matches[0]) }
	}
	filter := func(f gatewayv1.HTTPRouteFilter) func(*epic.GWRoute) {
		return rule(func(r *gatewayv1.HTTPRouteRule) { r.Filters = []gatewayv1.HTTPRouteFilter{f} })
	}
	redirect := func(r gatewayv1.HTTPRequestRedirectFilter) func(*epic.GWRoute) {
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: &r})
	}
	rewrite := func(r gatewayv1.HTTPURLRewriteFilter) func(*epic.GWRoute) {
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: &r})
	}
	header := func(m gatewayv1.HTTPHeaderFilter) func(*epic.GWRoute) {
		return filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: &m})
	}
	tcp := func(f func(*gatewayv1.TCPRouteSpec)) func(*epic.GWRoute) {
		return func(o *epic.GWRoute) { f(&o.Spec.TCP.TCPRouteSpec) }
	}
	const (
		ruleAt   = "spec.http.rules[0]."
		matchAt  = ruleAt + "matches[0]."
		filterAt = ruleAt + "filters[0]."
	)
	spec := []change[epic.GWRoute]{
		{"only HTTP", func(o *epic.GWRoute) { o.Spec.TCP = nil }, "", ""},
		{"only TCP", func(o *epic.GWRoute) { o.Spec.HTTP = nil }, "", ""},
		{"neither", func(o *epic.GWRoute) { o.Spec = epic.GWRouteSpec{} }, "spec", "in http, grpc, tls, tcp or udp"},
		{"HTTP without parents", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs = nil }), "spec.http.parentRefs", "must refer to a gateway proxy"},
		{"TCP without parents", tcp(func(s *gatewayv1.TCPRouteSpec) { s.ParentRefs = nil }), "spec.tcp.parentRefs", "must refer to a gateway proxy"},
		{"parent without name", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Name = "" }), "spec.http.parentRefs[0].name", "Required"},
		{"parent with a comma", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Name = "a,b" }), "spec.http.parentRefs[0].name", "lowercase"},
		{"parent's port", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Port = num(0) }), "spec.http.parentRefs[0].port", "from 1"},
		{"33 parents", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs = make([]gatewayv1.ParentReference, 33) }), "spec.http.parentRefs", "more than 32"},
		{"17 hostnames", http(func(s *gatewayv1.HTTPRouteSpec) { s.Hostnames = make([]gatewayv1.Hostname, 17) }), "spec.http.hostnames", "more than 16"},
		{"bad hostname", http(func(s *gatewayv1.HTTPRouteSpec) { s.Hostnames[0] = "EXAMPLE.com" }), "spec.http.hostnames[0]", "lowercase"},
		{"address for a hostname", http(func(s *gatewayv1.HTTPRouteSpec) { s.Hostnames[0] = "192.0.2.1" }), "spec.http.hostnames[0]", "not an IP address"},
		{"17 rules", http(func(s *gatewayv1.HTTPRouteSpec) { s.Rules = make([]gatewayv1.HTTPRouteRule, 17) }), "spec.http.rules", "more than 16"},
		{"no rules", http(func(s *gatewayv1.HTTPRouteSpec) { s.Rules = nil }), "", ""},
		{"no backends", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs = nil }), "", ""},
		{"65 matches", rule(func(r *gatewayv1.HTTPRouteRule) { r.Matches = make([]gatewayv1.HTTPRouteMatch, 65) }), ruleAt + "matches", "more than 64"},
		{"129 matches", http(func(s *gatewayv1.HTTPRouteSpec) {
			s.Rules = []gatewayv1.HTTPRouteRule{{Matches: make([]gatewayv1.HTTPRouteMatch, 64)}, {Matches: make([]gatewayv1.HTTPRouteMatch, 64)}, {Matches: make([]gatewayv1.HTTPRouteMatch, 1)}}
		}), "spec.http.rules", "more than 128 matches"},
		{"17 filters", rule(func(r *gatewayv1.HTTPRouteRule) { r.Filters = make([]gatewayv1.HTTPRouteFilter, 17) }), ruleAt + "filters", "more than 16"},
		{"17 backends", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs = make([]gatewayv1.HTTPBackendRef, 17) }), ruleAt + "backendRefs", "more than 16"},
		{"path type", match(func(m *gatewayv1.HTTPRouteMatch) { m.Path.Type = ptr.To[gatewayv1.PathMatchType]("Suffix") }), matchAt + "path.type", "use one of Exact, PathPrefix, RegularExpression"},
		{"relative path", match(func(m *gatewayv1.HTTPRouteMatch) { m.Path.Value = ptr.To("a") }), matchAt + "path.value", "slash"},
		{"long path", match(func(m *gatewayv1.HTTPRouteMatch) { m.Path.Value = ptr.To("/" + long(1024)) }), matchAt + "path.value", "shorten"},
		{"path with a newline", match(func(m *gatewayv1.HTTPRouteMatch) { m.Path.Value = ptr.To("/a\nb") }), matchAt + "path.value", "control"},
		{"regular path", match(func(m *gatewayv1.HTTPRouteMatch) {
			m.Path = &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchRegularExpression), Value: ptr.To("/a[0-9]+")}
		}), "", ""},
		{"path that is no regular expression", match(func(m *gatewayv1.HTTPRouteMatch) {
			m.Path = &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchRegularExpression), Value: ptr.To("/a(?=b)")}
		}), matchAt + "path.value", "RE2"},
		{"huge repetition", match(func(m *gatewayv1.HTTPRouteMatch) {
			m.Path = &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchRegularExpression), Value: ptr.To("((a{1000}){1000}){1000}")}
		}), matchAt + "path.value", "RE2"},
		{"method", match(func(m *gatewayv1.HTTPRouteMatch) { m.Method = ptr.To[gatewayv1.HTTPMethod]("get") }), matchAt + "method", "use one of GET"},
		{"header's name", match(func(m *gatewayv1.HTTPRouteMatch) { m.Headers[0].Name = "a b" }), matchAt + "headers[0].name", "letters"},
		{"header's type", match(func(m *gatewayv1.HTTPRouteMatch) { m.Headers[0].Type = ptr.To[gatewayv1.HeaderMatchType]("Prefix") }), matchAt + "headers[0].type", "use one of"},
		{"header that is no regular expression", match(func(m *gatewayv1.HTTPRouteMatch) {
			m.Headers[0] = gatewayv1.HTTPHeaderMatch{Name: "a", Value: "[", Type: ptr.To(gatewayv1.HeaderMatchRegularExpression)}
		}), matchAt + "headers[0].value", "RE2"},
		{"header without value", match(func(m *gatewayv1.HTTPRouteMatch) { m.Headers[0].Value = "" }), matchAt + "headers[0].value", "Required"},
		{"17 headers", match(func(m *gatewayv1.HTTPRouteMatch) { m.Headers = make([]gatewayv1.HTTPHeaderMatch, 17) }), matchAt + "headers", "more than 16"},
		{"query that is no regular expression", match(func(m *gatewayv1.HTTPRouteMatch) {
			m.QueryParams[0].Value, m.QueryParams[0].Type = "[", ptr.To(gatewayv1.QueryParamMatchRegularExpression)
		}), matchAt + "queryParams[0].value", "RE2"},
		{"query type", match(func(m *gatewayv1.HTTPRouteMatch) { m.QueryParams[0].Type = ptr.To[gatewayv1.QueryParamMatchType]("x") }), matchAt + "queryParams[0].type", "use one of"},
		{"filter type", filter(gatewayv1.HTTPRouteFilter{Type: "Lua"}), filterAt + "type", "use one of RequestHeaderModifier"},
		{"filter without settings", filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite}), filterAt + "urlRewrite", "add them"},
		{"status 308", redirect(gatewayv1.HTTPRequestRedirectFilter{StatusCode: ptr.To(308)}), "", ""},
		{"retry on success", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Retry = &gatewayv1.HTTPRouteRetry{Codes: []gatewayv1.HTTPRouteRetryStatusCode{503, 200}}
		}), "spec.http.rules[0].retry.codes[1]", "from 400 to 599"},
		{"retry on a huge number", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Retry = &gatewayv1.HTTPRouteRetry{Codes: []gatewayv1.HTTPRouteRetryStatusCode{5000000000}}
		}), "spec.http.rules[0].retry.codes[0]", "from 400 to 599"},
		{"too many attempts", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.Retry = &gatewayv1.HTTPRouteRetry{Attempts: ptr.To(5000000000)}
		}), "spec.http.rules[0].retry.attempts", "from 0 to 2147483647"},
		{"status 200", redirect(gatewayv1.HTTPRequestRedirectFilter{StatusCode: ptr.To(200)}), filterAt + "requestRedirect.statusCode", "use one of 301, 302, 303, 307, 308"},
		{"scheme", redirect(gatewayv1.HTTPRequestRedirectFilter{Scheme: ptr.To("ftp")}), filterAt + "requestRedirect.scheme", "use one of http, https"},
		{"redirect's hostname", redirect(gatewayv1.HTTPRequestRedirectFilter{Hostname: ptr.To[gatewayv1.PreciseHostname]("*.example.com")}), filterAt + "requestRedirect.hostname", "without the wildcard"},
		{"redirect's port", redirect(gatewayv1.HTTPRequestRedirectFilter{Port: num(65536)}), filterAt + "requestRedirect.port", "from 1"},
		{"rewrite", rewrite(gatewayv1.HTTPURLRewriteFilter{Path: &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: ptr.To("/")}}), "", ""},
		{"rewrite's type", rewrite(gatewayv1.HTTPURLRewriteFilter{Path: &gatewayv1.HTTPPathModifier{Type: "Other"}}), filterAt + "urlRewrite.path.type", "use one of ReplaceFullPath, ReplacePrefixMatch"},
		{"rewrite's length", rewrite(gatewayv1.HTTPURLRewriteFilter{Path: &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: ptr.To(long(1025))}}), filterAt + "urlRewrite.path.replaceFullPath", "shorten"},
		{"17 headers to set", header(gatewayv1.HTTPHeaderFilter{Set: make([]gatewayv1.HTTPHeader, 17)}), filterAt + "requestHeaderModifier.set", "more than 16"},
		{"header to add", header(gatewayv1.HTTPHeaderFilter{Add: []gatewayv1.HTTPHeader{{Name: "a:b"}}}), filterAt + "requestHeaderModifier.add[0].name", "letters"},
		{"value with a newline", header(gatewayv1.HTTPHeaderFilter{Add: []gatewayv1.HTTPHeader{{Name: "a", Value: "b\r\nc: d"}}}), filterAt + "requestHeaderModifier.add[0].value", "control"},
		{"header to remove", header(gatewayv1.HTTPHeaderFilter{Remove: []string{""}}), filterAt + "requestHeaderModifier.remove[0]", "letters"},
		{"mirror", filter(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{}}), filterAt + "requestMirror.backendRef.name", "Required"},
		{"weight 0", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs[0].Weight = num(0) }), "", ""},
		{"weight", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs[0].Weight = num(1000001) }), ruleAt + "backendRefs[0].weight", "from 0 to 1000000"},
		{"backend's port", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs[0].Port = num(-1) }), ruleAt + "backendRefs[0].port", "from 1"},
		{"backend's name", rule(func(r *gatewayv1.HTTPRouteRule) { r.BackendRefs[0].Name = "" }), ruleAt + "backendRefs[0].name", "Required"},
		{"backend's filter", rule(func(r *gatewayv1.HTTPRouteRule) {
			r.BackendRefs[0].Filters = []gatewayv1.HTTPRouteFilter{{Type: "x"}}
		}), ruleAt + "backendRefs[0].filters[0].type", "use one of"},
		{"TCP without rules", tcp(func(s *gatewayv1.TCPRouteSpec) { s.Rules = nil }), "spec.tcp.rules", "add one"},
		{"TCP without backends", tcp(func(s *gatewayv1.TCPRouteSpec) { s.Rules[0].BackendRefs = nil }), "spec.tcp.rules[0].backendRefs", "add one"},
		{"TCP with 17 backends", tcp(func(s *gatewayv1.TCPRouteSpec) { s.Rules[0].BackendRefs = make([]gatewayv1.BackendRef, 17) }), "spec.tcp.rules[0].backendRefs", "more than 16"},
	}
	creations(t, validGWRoute, ValidateGWRoute, append([]change[epic.GWRoute]{
		{"no namespace of an account", func(o *epic.GWRoute) { o.Namespace = "epic" }, "metadata.namespace", "create it there"},
		{"bad name", func(o *epic.GWRoute) { o.Name = "A" }, "metadata.name", "lowercase"},
	}, spec...))
	updates(t, validGWRoute, ValidateGWRouteUpdate, append([]change[epic.GWRoute]{
		{"an account", func(o *epic.GWRoute) { o.Labels = map[string]string{epic.OwningAccountLabel: "b"} }, "metadata.labels[epic.acnodal.io/owning-account]", "set by the server"},
	}, spec...))
	updates(t, validGWRoute, ValidateGWRouteStatusUpdate, []change[epic.GWRoute]{
		{"generation", func(o *epic.GWRoute) { o.Status.ObservedGeneration = -1 }, "status.observedGeneration", "negative"},
		{"parents", func(o *epic.GWRoute) {
			o.Status.Parents = []epic.RouteParentStatus{{ParentRef: epic.RouteParentReference{Name: "gw", SectionName: "web.example", Port: 80}}, {ParentRef: epic.RouteParentReference{Name: "gw"}}}
		}, "", ""},
		{"a parent with a space", func(o *epic.GWRoute) {
			o.Status.Parents = []epic.RouteParentStatus{{ParentRef: epic.RouteParentReference{Name: "g w"}}}
		}, "status.parents[0].parentRef.name", "spaces"},
		{"a parent without a possible port", func(o *epic.GWRoute) {
			o.Status.Parents = []epic.RouteParentStatus{{ParentRef: epic.RouteParentReference{Name: "gw", Port: 65536}}}
		}, "status.parents[0].parentRef.port", "from 0 to 65535"},
		{"many conditions of a parent", func(o *epic.GWRoute) {
			o.Status.Parents = []epic.RouteParentStatus{{ParentRef: epic.RouteParentReference{Name: "gw"}, Conditions: make([]metav1.Condition, maxConditions+1)}}
		}, "status.parents[0].conditions", "more than 64"},
		{"many parents", func(o *epic.GWRoute) { o.Status.Parents = make([]epic.RouteParentStatus, maxParentStatuses+1) }, "status.parents", "more than 160"},
	})
}
