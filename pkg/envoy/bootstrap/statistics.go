// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// kept lists the statistics that Envoy creates. Each cluster and listener has hundreds;
// these are the ones that dashboards, alerts and the drain of a proxy read.
var kept = []string{
	`^cluster\..*\.(membership_healthy|membership_total|upstream_cx_active|upstream_cx_total|upstream_cx_connect_fail|upstream_cx_connect_timeout|upstream_cx_overflow|upstream_cx_rx_bytes_total|upstream_cx_tx_bytes_total|upstream_rq_active|upstream_rq_total|upstream_rq_[1-5]xx|upstream_rq_time|upstream_rq_timeout|upstream_rq_pending_overflow|upstream_rq_retry|upstream_rq_retry_success)$`,
	`^listener\..*\.(downstream_cx_active|downstream_cx_total|downstream_cx_overflow|downstream_cx_overload_reject|downstream_global_cx_overflow|downstream_pre_cx_timeout|no_filter_chain_match|ssl\.connection_error|ssl\.handshake|ssl\.fail_verify_.*)$`,
	`^http\..*\.(downstream_cx_active|downstream_rq_active|downstream_rq_total|downstream_rq_[1-5]xx|downstream_rq_time|downstream_cx_rx_bytes_total|downstream_cx_tx_bytes_total|no_route|no_cluster|rq_direct_response)$`,
	`^tcp\..*\.(downstream_cx_total|downstream_cx_no_route|downstream_cx_rx_bytes_total|downstream_cx_tx_bytes_total)$`,
	`^udp\..*\.(downstream_sess_active|downstream_sess_total|downstream_sess_no_route|downstream_sess_(rx|tx)_(bytes|datagrams|errors))$`,
	// These are created by the first request of a route.
	`^vhost\..*\.route\..*\.(upstream_rq_[1-5]xx|upstream_rq_time)$`,
	`^connection_limit\..*\.limited_connections$`,
}

// keptPrefixes are prefixes of groups of statistics that exist once per Envoy.
var keptPrefixes = []string{"server.", "cluster_manager.", "listener_manager.", "control_plane.", "overload.", "main_thread.", "workers.", "runtime."}

func statistics() *metricsv3.StatsConfig {
	list := &matcherv3.ListStringMatcher{}
	for _, prefix := range keptPrefixes {
		list.Patterns = append(list.Patterns, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}})
	}
	for _, expression := range kept {
		list.Patterns = append(list.Patterns, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: expression}}})
	}
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{StatsMatcher: &metricsv3.StatsMatcher_InclusionList{InclusionList: list}}}
}

// metricsCluster is Envoy's own admin interface.
const metricsCluster = "epic-admin"

func adminCluster(socket string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 metricsCluster,
		ConnectTimeout:       durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       single(metricsCluster, pipeTo(socket)),
	}
}

// metricsListener returns a listener that serves the metrics of the admin interface and
// nothing else of it.
func metricsListener(address netip.AddrPort) *listenerv3.Listener {
	const name = "epic-metrics"
	method := &routev3.HeaderMatcher{Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "GET"}},
	}}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: name,
			VirtualHosts: []*routev3.VirtualHost{{Name: name, Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: "/metrics"}, Headers: []*routev3.HeaderMatcher{method}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: metricsCluster},
					PrefixRewrite:    "/stats/prometheus",
				}},
			}}}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
		}},
	}
	return &listenerv3.Listener{
		Name:                  name,
		Address:               socketAddress(address.Addr().String(), address.Port()),
		IgnoreGlobalConnLimit: true,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)},
		}}}},
	}
}
