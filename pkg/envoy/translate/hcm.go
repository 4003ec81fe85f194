// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	statefulv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// HTTP filters, in order. Routes enable and configure them, so a change of a route never
// changes a listener, which would drain connections.
const (
	filterCORS     = "envoy.filters.http.cors"
	filterAuth     = "envoy.filters.http.ext_authz"
	filterStateful = "envoy.filters.http.stateful_session"
	filterRouter   = "envoy.filters.http.router"
)

// nobodyInternal makes Envoy remove headers such as X-Envoy-Upstream-Rq-Timeout-Ms from
// all requests. An empty list would exempt all private addresses. No client has this
// address.
var nobodyInternal = &hcmv3.HttpConnectionManager_InternalAddressConfig{
	CidrRanges: []*corev3.CidrRange{{AddressPrefix: "0.0.0.0", PrefixLen: wrapperspb.UInt32(32)}},
}

// connectionManager serves HTTP with the routes of a route configuration. It follows
// Envoy's recommendations for edge proxies.
func (t *translation) connectionManager(stat, routes string) *hcmv3.HttpConnectionManager {
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: stat,
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: resource.ADS(), RouteConfigName: routes,
		}},
		HttpFilters: []*hcmv3.HttpFilter{
			httpFilter(filterCORS, &corsv3.Cors{}, false),
			httpFilter(filterAuth, &extauthzv3.ExtAuthz{
				TransportApiVersion: corev3.ApiVersion_V3,
				Services: &extauthzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
					TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: invalidCluster}},
				}},
			}, true),
			httpFilter(filterStateful, &statefulv3.StatefulSession{}, true),
			httpFilter(filterRouter, &routerv3.Router{SuppressEnvoyHeaders: true}, false),
		},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  durationpb.New(t.limits.httpIdle),
			MaxHeadersCount:              wrapperspb.UInt32(t.limits.headers),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        wrapperspb.UInt32(t.limits.streams),
			InitialStreamWindowSize:     wrapperspb.UInt32(t.limits.streamWindow),
			InitialConnectionWindowSize: wrapperspb.UInt32(t.limits.connectionWindow),
			AllowConnect:                true,
		},
		MaxRequestHeadersKb:   wrapperspb.UInt32(t.limits.headersKiB),
		RequestHeadersTimeout: durationpb.New(t.limits.headersTimeout),
		StreamIdleTimeout:     durationpb.New(t.limits.streamIdle),
		// Clients connect directly: X-Forwarded-For of clients is not trusted.
		UseRemoteAddress:           wrapperspb.Bool(true),
		InternalAddressConfig:      nobodyInternal,
		NormalizePath:              wrapperspb.Bool(true),
		MergeSlashes:               true,
		StripTrailingHostDot:       true,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		UpgradeConfigs:             []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		AccessLog:                  t.accessLog("", true),
	}
	if limit := t.requestLimit(stat); limit != nil {
		manager.HttpFilters = slices.Insert(manager.HttpFilters, 0, limit)
	}
	t.trace(manager)
	return manager
}

// serve returns the network filter that serves HTTP.
func serve(manager *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.http_connection_manager", manager)
}

func httpFilter(name string, config proto.Message, disabled bool) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}, Disabled: disabled}
}
