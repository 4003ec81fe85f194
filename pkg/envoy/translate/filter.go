// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"math"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// filters holds the filters of a rule or of a backend.
type filters struct {
	// broken indicates that a filter can't be applied: requests get a 500 response.
	broken   bool
	redirect *gatewayv1.HTTPRequestRedirectFilter
	rewrite  *gatewayv1.HTTPURLRewriteFilter
	mirrors  []*routev3.RouteAction_RequestMirrorPolicy
	cors     *anypb.Any
	auth     *anypb.Any
	// host replaces the Host header.
	host                          string
	requestAdd, responseAdd       []*corev3.HeaderValueOption
	requestRemove, responseRemove []string
}

func (f *filters) changes() bool {
	return f.broken || f.rewrite != nil || f.host != "" ||
		len(f.requestAdd)+len(f.responseAdd)+len(f.requestRemove)+len(f.responseRemove) > 0
}

// readFilters translates filters. It reports those that can't be applied.
func (g *gateway) readFilters(r *route, field string, specs []gatewayv1.HTTPRouteFilter) filters {
	var out filters
	for i := range specs {
		f := &specs[i]
		at := fmt.Sprintf("%s[%d]", field, i)
		broken := func(reason, format string, args ...any) {
			out.broken = true
			g.unsupported(r, at, reason, format, args...)
		}
		repeated := func(has bool) bool {
			if has {
				broken(string(gatewayv1.RouteReasonIncompatibleFilters), "requests are answered with 500: there is a second filter of type %s: remove one of the two", f.Type)
			}
			return has
		}
		switch {
		case f.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier && f.RequestHeaderModifier != nil:
			out.modifyRequest(f.RequestHeaderModifier)
		case f.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier && f.ResponseHeaderModifier != nil:
			add, remove := modification(f.ResponseHeaderModifier)
			out.responseAdd, out.responseRemove = append(out.responseAdd, add...), append(out.responseRemove, remove...)
		case f.Type == gatewayv1.HTTPRouteFilterRequestRedirect && f.RequestRedirect != nil:
			if !repeated(out.redirect != nil) {
				out.redirect = f.RequestRedirect
			}
		case f.Type == gatewayv1.HTTPRouteFilterURLRewrite && f.URLRewrite != nil:
			if !repeated(out.rewrite != nil) {
				out.rewrite = f.URLRewrite
			}
		case f.Type == gatewayv1.HTTPRouteFilterRequestMirror && f.RequestMirror != nil:
			g.mirror(r, at, f.RequestMirror, &out)
		case f.Type == gatewayv1.HTTPRouteFilterCORS && f.CORS != nil:
			if !repeated(out.cors != nil) {
				out.cors = corsPolicy(f.CORS)
			}
		case f.Type == gatewayv1.HTTPRouteFilterExternalAuth && f.ExternalAuth != nil:
			if !repeated(out.auth != nil) {
				g.externalAuth(r, at, f.ExternalAuth, &out)
			}
		default:
			broken(string(gatewayv1.RouteReasonUnsupportedValue), "requests are answered with 500: a filter of type %s is not supported: use one of the Gateway API's filters", f.Type)
		}
	}
	if out.redirect != nil && out.rewrite != nil {
		out.broken = true
		g.unsupported(r, field, string(gatewayv1.RouteReasonIncompatibleFilters), "requests are answered with 500: they can't be both redirected and rewritten: remove one of the two filters")
		r.refuse(string(gatewayv1.RouteReasonIncompatibleFilters), "a rule has both a redirect and a rewrite: remove one of the two filters")
	}
	return out
}

// modifyRequest modifies request headers. The Host header is handled separately by Envoy.
func (f *filters) modifyRequest(m *gatewayv1.HTTPHeaderFilter) {
	for _, h := range m.Set {
		if strings.EqualFold(string(h.Name), "host") {
			f.host = h.Value
		}
	}
	add, remove := modification(m)
	f.requestAdd, f.requestRemove = append(f.requestAdd, add...), append(f.requestRemove, remove...)
}

// modification returns the headers that are set, added and removed. It preserves exactly
// one Host header.
func modification(m *gatewayv1.HTTPHeaderFilter) (add []*corev3.HeaderValueOption, remove []string) {
	option := func(h gatewayv1.HTTPHeader, action corev3.HeaderValueOption_HeaderAppendAction) {
		if !strings.EqualFold(string(h.Name), "host") {
			add = append(add, &corev3.HeaderValueOption{
				Header:         &corev3.HeaderValue{Key: string(h.Name), Value: literal(h.Value)},
				AppendAction:   action,
				KeepEmptyValue: true,
			})
		}
	}
	for _, h := range m.Set {
		option(h, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	}
	for _, h := range m.Add {
		option(h, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
	}
	for _, name := range m.Remove {
		if !strings.EqualFold(name, "host") {
			remove = append(remove, name)
		}
	}
	return add, remove
}

func (f *filters) applyHeaders(envoy *routev3.Route) {
	envoy.RequestHeadersToAdd, envoy.RequestHeadersToRemove = f.requestAdd, f.requestRemove
	envoy.ResponseHeadersToAdd, envoy.ResponseHeadersToRemove = f.responseAdd, f.responseRemove
}

func (f *filters) applyCluster(c *routev3.WeightedCluster_ClusterWeight) {
	c.RequestHeadersToAdd, c.RequestHeadersToRemove = f.requestAdd, f.requestRemove
	c.ResponseHeadersToAdd, c.ResponseHeadersToRemove = f.responseAdd, f.responseRemove
	host := f.host
	if f.rewrite != nil && f.rewrite.Hostname != nil {
		host = string(*f.rewrite.Hostname)
	}
	if host != "" {
		c.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: host}
	}
}

// perFilter configures HTTP filters that are disabled by default.
func (f *filters) perFilter(sessions *anypb.Any) map[string]*anypb.Any {
	all := map[string]*anypb.Any{filterCORS: f.cors, filterAuth: f.auth, filterStateful: sessions}
	for name, config := range all {
		if config == nil {
			delete(all, name)
		}
	}
	return all
}

// mirror sends copies of requests to another backend. A reference that can't be resolved
// gets none.
func (g *gateway) mirror(r *route, field string, m *gatewayv1.HTTPRequestMirrorFilter, out *filters) {
	u := useHTTP
	if r.kind == "grpc" {
		u = useGRPC
	}
	cluster := g.clusterOf(r, field+".requestMirror.backendRef", &m.BackendRef, u)
	if cluster == invalidCluster {
		return
	}
	policy := &routev3.RouteAction_RequestMirrorPolicy{Cluster: cluster, DisableShadowHostSuffixAppend: true}
	part := &typev3.FractionalPercent{Denominator: typev3.FractionalPercent_MILLION, Numerator: 1_000_000}
	switch {
	case m.Percent != nil:
		part.Numerator = uint32(min(max(*m.Percent, 0), 100)) * 10_000
	case m.Fraction != nil:
		denominator := int32(100)
		if m.Fraction.Denominator != nil {
			denominator = max(*m.Fraction.Denominator, 1)
		}
		part.Numerator = uint32(math.Round(float64(min(max(m.Fraction.Numerator, 0), denominator)) / float64(denominator) * 1e6))
	}
	policy.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: part}
	out.mirrors = append(out.mirrors, policy)
}
