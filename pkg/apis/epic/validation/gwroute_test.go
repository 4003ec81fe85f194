// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

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
		{"neither", func(o *epic.GWRoute) { o.Spec = epic.GWRouteSpec{} }, "spec", "must have http or tcp"},
		{"HTTP without parents", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs = nil }), "spec.http.parentRefs", "must refer to a gateway proxy"},
		{"TCP without parents", tcp(func(s *gatewayv1.TCPRouteSpec) { s.ParentRefs = nil }), "spec.tcp.parentRefs", "must refer to a gateway proxy"},
		{"parent without name", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Name = "" }), "spec.http.parentRefs[0].name", "Required"},
		{"parent with a comma", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Name = "a,b" }), "spec.http.parentRefs[0].name", "lower case"},
		{"parent's port", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs[0].Port = num(0) }), "spec.http.parentRefs[0].port", "from 1"},
		{"33 parents", http(func(s *gatewayv1.HTTPRouteSpec) { s.ParentRefs = make([]gatewayv1.ParentReference, 33) }), "spec.http.parentRefs", "more than 32"},
		{"17 hostnames", http(func(s *gatewayv1.HTTPRouteSpec) { s.Hostnames = make([]gatewayv1.Hostname, 17) }), "spec.http.hostnames", "more than 16"},
		{"bad hostname", http(func(s *gatewayv1.HTTPRouteSpec) { s.Hostnames[0] = "EXAMPLE.com" }), "spec.http.hostnames[0]", "in lower case"},
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
		{"bad name", func(o *epic.GWRoute) { o.Name = "A" }, "metadata.name", "lower case"},
	}, spec...))
	updates(t, validGWRoute, ValidateGWRouteUpdate, append([]change[epic.GWRoute]{
		{"an account", func(o *epic.GWRoute) { o.Labels = map[string]string{epic.OwningAccountLabel: "b"} }, "metadata.labels[epic.acnodal.io/owning-account]", "set by the server"},
	}, spec...))
	updates(t, validGWRoute, ValidateGWRouteStatusUpdate, []change[epic.GWRoute]{
		{"generation", func(o *epic.GWRoute) { o.Status.ObservedGeneration = -1 }, "status.observedGeneration", "negative"},
	})
}
