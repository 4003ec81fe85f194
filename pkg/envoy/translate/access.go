// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// corsPolicy allows pages of other origins to read responses.
func corsPolicy(c *gatewayv1.HTTPCORSFilter) *anypb.Any {
	policy := &corsv3.CorsPolicy{
		AllowMethods:  listed(c.AllowMethods),
		AllowHeaders:  listed(c.AllowHeaders),
		ExposeHeaders: listed(c.ExposeHeaders),
		// A preflight request of another origin is answered, not forwarded.
		ForwardNotMatchingPreflights: wrapperspb.Bool(false),
	}
	if c.MaxAge > 0 {
		policy.MaxAge = strconv.Itoa(int(c.MaxAge))
	}
	if c.AllowCredentials != nil && *c.AllowCredentials {
		policy.AllowCredentials = wrapperspb.Bool(true)
	}
	for _, o := range c.AllowOrigins {
		policy.AllowOriginStringMatch = append(policy.AllowOriginStringMatch, originMatcher(string(o)))
	}
	return pack(policy)
}

// originMatcher matches an origin. A star matches any beginning of the host.
func originMatcher(origin string) *matcherv3.StringMatcher {
	switch {
	case origin == "*":
		return regularly(".*")
	case strings.Contains(origin, "*"):
		scheme, host, _ := strings.Cut(origin, "*")
		return regularly(regexp.QuoteMeta(scheme) + "[^/]+" + regexp.QuoteMeta(host))
	}
	return exactly(origin)
}

func listed[T ~string](all []T) string {
	var out []string
	for _, v := range all {
		out = append(out, string(v))
	}
	return strings.Join(out, ",")
}

// authTimeout limits the authorization of a request.
const authTimeout = 5 * time.Second

// externalAuth queries a service to authorize each request. If the service does not
// exist, requests are rejected.
func (g *gateway) externalAuth(r *route, field string, a *gatewayv1.HTTPExternalAuthFilter, out *filters) {
	u := useHTTP
	if a.ExternalAuthProtocol == gatewayv1.HTTPRouteExternalAuthGRPCProtocol {
		u = useGRPC
	}
	cluster := g.clusterOf(r, field+".externalAuth.backendRef", &a.BackendRef, u)
	if cluster == invalidCluster {
		out.broken = true
		return
	}
	settings := &extauthzv3.CheckSettings{}
	if a.ForwardBody != nil && a.ForwardBody.MaxSize > 0 {
		settings.WithRequestBody = &extauthzv3.BufferSettings{MaxRequestBytes: uint32(a.ForwardBody.MaxSize), AllowPartialMessage: false}
	} else {
		settings.DisableRequestBodyBuffering = true
	}
	if u == useGRPC {
		if a.GRPCAuthConfig != nil && len(a.GRPCAuthConfig.AllowedRequestHeaders) > 0 {
			g.unsupported(r, field+".externalAuth.grpc.allowedHeaders", string(gatewayv1.RouteReasonUnsupportedValue),
				"is not applied, because a gRPC service gets all headers of a request: remove the list")
		}
		settings.ServiceOverride = &extauthzv3.CheckSettings_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster}},
			Timeout:         durationpb.New(authTimeout),
		}}
	} else {
		service := &extauthzv3.HttpService{
			ServerUri: &corev3.HttpUri{Uri: "http://auth", HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: cluster}, Timeout: durationpb.New(authTimeout)},
		}
		if h := a.HTTPAuthConfig; h != nil {
			if path := strings.TrimRight(h.Path, "/"); path != "" {
				service.PathPrefix = absolute(path)
			}
			//nolint:staticcheck // the filter's own list would hold for all routes
			service.AuthorizationRequest = &extauthzv3.AuthorizationRequest{AllowedHeaders: names(h.AllowedRequestHeaders)}
			service.AuthorizationResponse = &extauthzv3.AuthorizationResponse{AllowedUpstreamHeaders: names(h.AllowedResponseHeaders)}
		}
		settings.ServiceOverride = &extauthzv3.CheckSettings_HttpService{HttpService: service}
	}
	out.auth = pack(&extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: settings}})
}

// names returns a matcher for header names, or nil if there are none.
func names(all []string) *matcherv3.ListStringMatcher {
	if len(all) == 0 {
		return nil
	}
	list := &matcherv3.ListStringMatcher{}
	for _, name := range all {
		m := exactly(name)
		m.IgnoreCase = true
		list.Patterns = append(list.Patterns, m)
	}
	return list
}
