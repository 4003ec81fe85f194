// SPDX-License-Identifier: Apache-2.0

package template

import "google.golang.org/protobuf/reflect/protoreflect"

const (
	noFile       = "a file of the gateway can't be read: write the value inline"
	noSocket     = "it changes how the gateway sends packets: remove it"
	noDiscovery  = "it is not served: write the configuration where it is used"
	onlyEDS      = "endpoints come from the operator: use type EDS"
	noChoice     = "a request can't select its cluster: use cluster or weighted_clusters"
	noCode       = "it loads an extension that is not on the list of extensions that only affect the proxy's own traffic: remove it"
	noOtherPlace = "a listener only accepts connections at the proxy's own addresses: remove it"
)

// refusedMessages lists messages that are refused anywhere.
var refusedMessages = map[protoreflect.FullName]string{
	"envoy.config.core.v3.Pipe":                                                                 "a pipe is a socket of the gateway: use an address",
	"envoy.config.core.v3.EnvoyInternalAddress":                                                 "internal listeners are not supported: use an address",
	"envoy.config.core.v3.WatchedDirectory":                                                     noFile,
	"envoy.config.core.v3.SocketOption":                                                         noSocket,
	"envoy.config.core.v3.SocketOptionsOverride":                                                noSocket,
	"envoy.config.core.v3.BindConfig":                                                           noSocket,
	"envoy.config.core.v3.ExtensionConfigSource":                                                noDiscovery,
	"envoy.config.core.v3.EventServiceConfig":                                                   noDiscovery,
	"envoy.config.core.v3.GrpcService.GoogleGrpc":                                               "it has its own channels and credentials: use envoy_grpc",
	"envoy.config.core.v3.ApiConfigSource":                                                      noDiscovery,
	"envoy.config.core.v3.SelfConfigSource":                                                     noDiscovery,
	"envoy.config.route.v3.Vhds":                                                                noDiscovery,
	"envoy.config.route.v3.ClusterSpecifierPlugin":                                              noCode,
	"envoy.config.core.v3.HealthCheck.CustomHealthCheck":                                        noCode,
	"envoy.extensions.transport_sockets.tls.v3.TlsKeyLog":                                       "keys would be written to a file: leave it out",
	"envoy.extensions.transport_sockets.tls.v3.PrivateKeyProvider":                              noCode,
	"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes":                  noDiscovery,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing": "traces would be sent elsewhere: leave it out",
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.OnDemand":                           noDiscovery,
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig":                    noChoice,
	"envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig.UdpTunnelingConfig":               noChoice,
	"envoy.config.listener.v3.ApiListener":                                                      noOtherPlace,
	"envoy.config.listener.v3.Listener.InternalListenerConfig":                                  noOtherPlace,
	"envoy.config.listener.v3.Listener.ConnectionBalanceConfig":                                 noCode,
	"envoy.config.cluster.v3.Cluster.CustomClusterType":                                         onlyEDS,
}

// refusedFields lists fields that are refused.
var refusedFields = map[protoreflect.FullName]string{
	"envoy.config.core.v3.DataSource.filename":                      noFile,
	"envoy.config.core.v3.DataSource.environment_variable":          "a variable of the gateway can't be read: write the value inline",
	"envoy.config.core.v3.SocketAddress.resolver_name":              "names are not resolved: use an address",
	"envoy.config.core.v3.SocketAddress.named_port":                 "names are not resolved: use a number",
	"envoy.config.core.v3.SocketAddress.network_namespace_filepath": noFile,
	"envoy.config.core.v3.HealthCheck.event_log_path":               "events would be written to a file: leave it out",
	"envoy.config.core.v3.HealthCheck.event_logger":                 noCode,
	"envoy.config.core.v3.HealthCheck.event_service":                noDiscovery,
	"envoy.config.core.v3.GrpcService.google_grpc":                  "it has its own channels and credentials: use envoy_grpc",

	"envoy.config.cluster.v3.Cluster.cluster_type":                              onlyEDS,
	"envoy.config.cluster.v3.Cluster.load_assignment":                           onlyEDS,
	"envoy.config.cluster.v3.Cluster.dns_resolvers":                             onlyEDS,
	"envoy.config.cluster.v3.Cluster.dns_resolution_config":                     onlyEDS,
	"envoy.config.cluster.v3.Cluster.typed_dns_resolver_config":                 onlyEDS,
	"envoy.config.cluster.v3.Cluster.upstream_bind_config":                      noSocket,
	"envoy.config.cluster.v3.Cluster.lrs_server":                                noDiscovery,
	"envoy.config.cluster.v3.Cluster.upstream_config":                           noCode,
	"envoy.config.cluster.v3.Cluster.filters":                                   noCode,
	"envoy.config.cluster.v3.Cluster.transport_socket_matcher":                  noCode,
	"envoy.config.endpoint.v3.ClusterLoadAssignment.named_endpoints":            onlyEDS,
	"envoy.config.endpoint.v3.Endpoint.health_check_config":                     "health checks use the endpoint's address: remove it",
	"envoy.config.endpoint.v3.Endpoint.additional_addresses":                    "an endpoint has one address: remove it",
	"envoy.config.endpoint.v3.LocalityLbEndpoints.leds_cluster_locality_config": noDiscovery,
	"envoy.config.endpoint.v3.LbEndpoint.endpoint_name":                         noDiscovery,

	"envoy.config.listener.v3.Listener.use_original_dst":                           noOtherPlace,
	"envoy.config.listener.v3.Listener.transparent":                                noOtherPlace,
	"envoy.config.listener.v3.Listener.api_listener":                               noOtherPlace,
	"envoy.config.listener.v3.Listener.internal_listener":                          noOtherPlace,
	"envoy.config.listener.v3.Listener.fcds_config":                                noDiscovery,
	"envoy.config.listener.v3.Listener.socket_options":                             noSocket,
	"envoy.config.listener.v3.AdditionalAddress.socket_options":                    noSocket,
	"envoy.config.listener.v3.UdpListenerConfig.udp_packet_packet_writer_config":   noCode,
	"envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig.use_original_src_ip": noSocket,

	"envoy.config.route.v3.RouteConfiguration.vhds":                                           noDiscovery,
	"envoy.config.route.v3.RouteAction.cluster_header":                                        noChoice,
	"envoy.config.route.v3.RouteAction.cluster_specifier_plugin":                              noCode,
	"envoy.config.route.v3.RouteAction.inline_cluster_specifier_plugin":                       noCode,
	"envoy.config.route.v3.RouteAction.RequestMirrorPolicy.cluster_header":                    noChoice,
	"envoy.config.route.v3.WeightedCluster.ClusterWeight.cluster_header":                      noChoice,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.config_discovery": noDiscovery,
	"envoy.config.listener.v3.Filter.config_discovery":                                        noDiscovery,
	"envoy.config.listener.v3.ListenerFilter.config_discovery":                                noDiscovery,
}

// addresses lists address fields that have a specific check.
var addresses = map[protoreflect.FullName]bool{
	"envoy.config.listener.v3.Listener.address":          true,
	"envoy.config.listener.v3.AdditionalAddress.address": true,
	"envoy.config.endpoint.v3.Endpoint.address":          true,
}

// clusterNames lists fields that name a cluster although their own name does not show it.
var clusterNames = map[protoreflect.FullName]bool{
	"envoy.config.route.v3.WeightedCluster.ClusterWeight.name":                                  true,
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight.name": true,
}

// harmless lists fields whose names suggest a file, but which contain none: most are
// paths of requests.
var harmless = map[protoreflect.FullName]bool{
	"envoy.extensions.access_loggers.file.v3.FileAccessLog.path": true, // which has its own rule
	"envoy.config.route.v3.RouteAction.path_rewrite":             true,
	"envoy.config.route.v3.RedirectAction.path_rewrite":          true,
	"envoy.config.route.v3.RouteMatch.path":                      true,
	"envoy.config.route.v3.RouteAction.HashPolicy.Cookie.path":   true,
	"envoy.config.route.v3.RouteMatch.path_separated_prefix":     true,
	"envoy.config.route.v3.RedirectAction.path_redirect":         true,
	"envoy.config.core.v3.HealthCheck.HttpHealthCheck.path":      true,
}
