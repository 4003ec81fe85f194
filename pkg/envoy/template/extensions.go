// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	bandwidthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/bandwidth_limit/v3"
	basicauthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/basic_auth/v3"
	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	csrfv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/csrf/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	grpcwebv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httpratev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	connectionlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	directv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netratev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	leastv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	upstreamproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// allowed lists the extensions that templates may use: those that process the requests
// and connections of the proxy, and access nothing else. None runs code, and none opens
// connections except to the proxy's own clusters.
var allowed = allow(
	&hcmv3.HttpConnectionManager{}, &tcpproxyv3.TcpProxy{}, &udpproxyv3.UdpProxyConfig{}, &udpproxyv3.Route{},
	&connectionlimitv3.ConnectionLimit{}, &directv3.Config{}, &netratev3.LocalRateLimit{}, &netrbacv3.RBAC{},

	&routerv3.Router{}, &bandwidthv3.BandwidthLimit{}, &basicauthv3.BasicAuth{}, &basicauthv3.BasicAuthPerRoute{},
	&bufferv3.Buffer{}, &bufferv3.BufferPerRoute{}, &compressorv3.Compressor{}, &compressorv3.CompressorPerRoute{},
	&corsv3.Cors{}, &corsv3.CorsPolicy{}, &csrfv3.CsrfPolicy{}, &faultv3.HTTPFault{}, &grpcstatsv3.FilterConfig{},
	&grpcwebv3.GrpcWeb{}, &mutationv3.HeaderMutation{}, &mutationv3.HeaderMutationPerRoute{}, &healthv3.HealthCheck{},
	&jwtv3.JwtAuthentication{}, &jwtv3.PerRouteConfig{}, &httpratev3.LocalRateLimit{}, &httprbacv3.RBAC{}, &httprbacv3.RBACPerRoute{},
	&routev3.FilterConfig{},

	&tlsinspectorv3.TlsInspector{}, &httpinspectorv3.HttpInspector{}, &proxyprotocolv3.ProxyProtocol{},
	&tlsv3.DownstreamTlsContext{}, &tlsv3.UpstreamTlsContext{}, &rawv3.RawBuffer{}, &upstreamproxyv3.ProxyProtocolUpstreamTransport{},
	&upstreamhttpv3.HttpProtocolOptions{}, &preservecasev3.PreserveCaseFormatterConfig{}, &previoushostsv3.PreviousHostsPredicate{},
	&gzipv3.Gzip{}, &brotliv3.Brotli{},
	&roundrobinv3.RoundRobin{}, &leastv3.LeastRequest{}, &randomv3.Random{}, &ringv3.RingHash{}, &maglevv3.Maglev{},
	&filelogv3.FileAccessLog{}, &streamlogv3.StdoutAccessLog{}, &streamlogv3.StderrAccessLog{},
	&wrapperspb.StringValue{}, &wrapperspb.BoolValue{},
)

func allow(messages ...proto.Message) map[string]bool {
	out := map[string]bool{}
	for _, m := range messages {
		out[string(m.ProtoReflect().Descriptor().FullName())] = true
	}
	return out
}

// explained lists parts of the names of refused extensions, with the reasons.
var explained = []struct{ word, why string }{
	{"wasm", "it runs code in the gateway"},
	{"lua", "it runs code in the gateway"},
	{"dynamic_modules", "it runs code in the gateway"},
	{"golang", "it runs code in the gateway"},
	{"tap", "it copies the traffic elsewhere"},
	{"TypedStruct", "it hides which extension it is: write the extension's own type"},
	{"injected_credentials", "it reads credentials of the gateway"},
	{"aws", "it reads credentials of the gateway"},
	{"gcp", "it reads credentials of the gateway"},
	{"dynamic_forward_proxy", "it connects to addresses that are not endpoints of the proxy"},
	{"original_dst", "it connects to addresses that are not endpoints of the proxy"},
	{"internal_upstream", "it connects to addresses that are not endpoints of the proxy"},
	{"clusters", "it discovers endpoints itself: use type EDS"},
	{"file", "it reads or writes files of the gateway"},
}

// refusedExtension returns why an extension may not be used, or "" if it may.
func refusedExtension(url string) string {
	name := url[strings.LastIndexByte(url, '/')+1:]
	if allowed[name] && url == "type.googleapis.com/"+name {
		return ""
	}
	why := "it is not on the list of extensions that only affect the proxy's own traffic"
	for _, e := range explained {
		if strings.Contains(name, e.word) {
			why = e.why
			break
		}
	}
	return fmt.Sprintf("the extension %.200q may not be used in a template, because %s: remove it", url, why)
}
