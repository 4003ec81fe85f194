// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	tagsv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/edge"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// traceCluster is the cluster of the trace collector. No backend has such a name.
const traceCluster = "epic-traces"

// forgetTraces removes trace headers of clients. Otherwise, any client could force the
// tracing of all requests.
var forgetTraces = []*corev3.TypedExtensionConfig{{
	Name: "envoy.http.early_header_mutation.header_mutation",
	TypedConfig: pack(&earlyv3.HeaderMutation{Mutations: []*mutationv3.HeaderMutation{
		{Action: &mutationv3.HeaderMutation_Remove{Remove: "traceparent"}},
		{Action: &mutationv3.HeaderMutation_Remove{Remove: "tracestate"}},
	}}),
}}

// trace enables tracing of a part of the requests, if it is configured.
func (t *translation) trace(manager *hcmv3.HttpConnectionManager) {
	to := t.edge.Tracing
	if to == nil {
		return
	}
	manager.EarlyHeaderMutationExtensions = forgetTraces
	manager.Tracing = &hcmv3.HttpConnectionManager_Tracing{
		// X-Client-Trace-Id of a client must not force a trace.
		ClientSampling: &typev3.Percent{Value: 0},
		RandomSampling: &typev3.Percent{Value: to.Share},
		CustomTags: []*tagsv3.CustomTag{
			tag("epic.account", literal(t.account)),
			tag("epic.proxy", literal(t.proxy.Kind+"/"+t.proxy.Name)),
			tag("epic.route", "%ROUTE_NAME%"),
			tag("epic.endpoint", connectionFields["endpoint"]),
			tag("epic.client_node", connectionFields["client_node"]),
			tag("epic.client_cluster", connectionFields["client_cluster"]),
		},
		// Show failed attempts separately.
		SpawnUpstreamSpan: wrapperspb.Bool(true),
		Provider: &tracev3.Tracing_Http{
			Name: "envoy.tracers.opentelemetry",
			ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(&tracev3.OpenTelemetryConfig{
				GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: traceCluster},
				}},
				ServiceName: t.proxy.Namespace + "/" + t.proxy.Name,
			})},
		},
	}
	if _, there := t.resources[resource.Key{Type: resource.Cluster, Name: traceCluster}]; !there {
		t.put(resource.Cluster, traceCluster, t.collector(to), t.proxy)
	}
}

// collector returns the cluster of the trace collector. It is on the gateway's side and is
// reached without a tunnel.
func (t *translation) collector(to *edge.Tracing) *clusterv3.Cluster {
	discovery := clusterv3.Cluster_STRICT_DNS
	if _, err := netip.ParseAddr(to.Host); err == nil {
		discovery = clusterv3.Cluster_STATIC
	}
	return &clusterv3.Cluster{
		Name:                          traceCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:                t.parts.connectTimeout,
		TypedExtensionProtocolOptions: httpOptions(true, false),
		// Requests do not wait for it.
		WaitForWarmOnInit: wrapperspb.Bool(false),
		DnsLookupFamily:   clusterv3.Cluster_V4_PREFERRED,
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: traceCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{
					Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
						Address: to.Host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(to.Port)},
					}},
				}}},
			}}}},
		},
	}
}

func tag(name, value string) *tagsv3.CustomTag {
	return &tagsv3.CustomTag{Tag: name, Type: &tagsv3.CustomTag_Value{Value: value}}
}
