// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// matchOrder determines which of several matches of a request takes precedence.
type matchOrder struct {
	// path is the kind of path match; stricter kinds have higher values.
	path    int
	length  int
	method  bool
	headers int
	queries int
}

const (
	pathPrefix = iota
	pathRegexp
	pathExact
)

// compare returns a negative number if a takes precedence.
func (a matchOrder) compare(b matchOrder) int {
	flag := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(b.path, a.path), cmp.Compare(b.length, a.length), cmp.Compare(flag(b.method), flag(a.method)),
		cmp.Compare(b.headers, a.headers), cmp.Compare(b.queries, a.queries))
}

// match is one match of a rule.
type match struct {
	index int
	match *routev3.RouteMatch
	order matchOrder
	// key is equal for matches that select the same requests.
	key string
	// prefix is the path prefix, without a trailing slash, to which replacements refer.
	prefix string
}

// httpMatch translates a match of an HTTPRoute. It returns false if no request can match.
func httpMatch(index int, m *gatewayv1.HTTPRouteMatch) (match, bool) {
	out := match{index: index, match: &routev3.RouteMatch{}}
	if !out.setPath(m.Path) {
		return out, false
	}
	if m.Method != nil {
		out.order.method = true
		out.match.Headers = append(out.match.Headers, header(":method", exactly(string(*m.Method))))
	}
	seen := map[string]bool{}
	for i := range m.Headers {
		h := &m.Headers[i]
		out.addHeader(seen, string(h.Name), h.Value, h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression)
	}
	queries := map[string]bool{}
	for i := range m.QueryParams {
		q := &m.QueryParams[i]
		if queries[string(q.Name)] {
			continue
		}
		queries[string(q.Name)] = true
		out.match.QueryParameters = append(out.match.QueryParameters, &routev3.QueryParameterMatcher{
			Name: string(q.Name),
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{
				StringMatch: valueMatcher(q.Value, q.Type != nil && *q.Type == gatewayv1.QueryParamMatchRegularExpression),
			},
		})
	}
	out.order.queries = len(queries)
	out.key = keyOf(out.match)
	return out, true
}

// keyOf returns a text that is equal for matches that select the same requests.
func keyOf(m *routev3.RouteMatch) string {
	key, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return string(key)
}

// addHeader adds a required header value. The first of several with the same name counts.
func (m *match) addHeader(seen map[string]bool, given, value string, regular bool) {
	name := headerName(given)
	if seen[name] {
		return
	}
	seen[name] = true
	m.match.Headers = append(m.match.Headers, header(name, valueMatcher(value, regular)))
	m.order.headers++
}

func (m *match) setPath(p *gatewayv1.HTTPPathMatch) bool {
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if p != nil && p.Type != nil {
		kind = *p.Type
	}
	if p != nil && p.Value != nil {
		value = *p.Value
	}
	m.order.length = len(value)
	switch kind {
	case gatewayv1.PathMatchExact:
		m.order.path = pathExact
		m.match.PathSpecifier = &routev3.RouteMatch_Path{Path: value}
		return !strings.ContainsAny(value, "?#")
	case gatewayv1.PathMatchRegularExpression:
		m.order.path = pathRegexp
		m.match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: expression(value)}
		return true
	case gatewayv1.PathMatchPathPrefix:
	}
	m.order.path = pathPrefix
	m.prefix = strings.TrimRight(value, "/")
	if m.prefix == "" {
		m.match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
		return true
	}
	m.match.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: m.prefix}
	return !strings.ContainsAny(value, "?#")
}

// grpcMatch translates a match of a GRPCRoute.
func grpcMatch(index int, m *gatewayv1.GRPCRouteMatch) match {
	out := match{index: index, match: &routev3.RouteMatch{Grpc: &routev3.RouteMatch_GrpcRouteMatchOptions{}}}
	var service, method string
	regular := false
	if m.Method != nil {
		if m.Method.Service != nil {
			service = *m.Method.Service
		}
		if m.Method.Method != nil {
			method = *m.Method.Method
		}
		regular = m.Method.Type != nil && *m.Method.Type == gatewayv1.GRPCMethodMatchRegularExpression
	}
	// A longer service takes precedence over a longer method.
	out.order.length = len(service)*4096 + len(method)
	switch {
	case service == "" && method == "":
		out.match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	case regular:
		out.order.path = pathRegexp
		// Use separate expressions, so neither is larger than what the API checked.
		out.match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: expression("/" + orSegment(service) + "/[^/]+")}
		if service == "" {
			out.match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: expression("/[^/]+/" + orSegment(method))}
		} else if method != "" {
			out.match.Headers = append(out.match.Headers, header(":path", regularly("/[^/]+/"+orSegment(method))))
		}
	case method == "":
		out.order.path = pathPrefix
		out.match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/" + service + "/"}
	case service == "":
		out.order.path = pathPrefix
		out.match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: expression("/[^/]+/" + regexp.QuoteMeta(method))}
	default:
		out.order.path = pathExact
		out.match.PathSpecifier = &routev3.RouteMatch_Path{Path: "/" + service + "/" + method}
	}
	seen := map[string]bool{}
	for i := range m.Headers {
		h := &m.Headers[i]
		out.addHeader(seen, string(h.Name), h.Value, h.Type != nil && *h.Type == gatewayv1.GRPCHeaderMatchRegularExpression)
	}
	out.key = keyOf(out.match)
	return out
}

// orSegment returns s as a group, or an expression for any segment of a path if s is
// empty.
func orSegment(s string) string {
	if s == "" {
		return "[^/]+"
	}
	return "(?:" + s + ")"
}

// headerName returns Envoy's name for a request header.
func headerName(s string) string {
	if s = strings.ToLower(s); s == "host" {
		return ":authority"
	}
	return s
}

func header(name string, value *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value}}
}

func valueMatcher(value string, regular bool) *matcherv3.StringMatcher {
	if regular {
		return regularly(value)
	}
	return exactly(value)
}

func exactly(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

func regularly(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: expression(value)}}
}

func expression(s string) *matcherv3.RegexMatcher {
	return &matcherv3.RegexMatcher{Regex: s}
}

// unmatchable returns why a match is omitted.
func unmatchable(p *gatewayv1.HTTPPathMatch) string {
	value := "/"
	if p != nil && p.Value != nil {
		value = *p.Value
	}
	return fmt.Sprintf("matches no request: the path %q contains ? or #, which are not part of a path: match the query with queryParams", value)
}
