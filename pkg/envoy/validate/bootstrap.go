// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// source is the cluster that the configuration names as the source of everything else.
// Nothing connects to it.
const source = "epic-validate-source"

// bootstrap makes a configuration of resources. The refusal is set instead if one can't
// be decoded.
func bootstrap(resources []*resource.Resource) (config []byte, refusal string, err error) {
	ads, err := adsCluster()
	if err != nil {
		return nil, "", err
	}
	static := &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{ads}}
	for i, r := range resources {
		var m proto.Message
		switch r.Type {
		case resource.Cluster:
			c := &clusterv3.Cluster{}
			m, static.Clusters = c, append(static.Clusters, c)
		case resource.Listener:
			l := &listenerv3.Listener{}
			m, static.Listeners = l, append(static.Listeners, l)
		case resource.Route:
			m = &routev3.RouteConfiguration{}
		case resource.Secret, resource.Endpoint:
			continue
		}
		if err := proto.Unmarshal(r.Body, m); err != nil {
			return nil, "can't be decoded: " + err.Error(), nil
		}
		if c, ok := m.(*routev3.RouteConfiguration); ok {
			l, err := routeListener(c, i)
			if err != nil {
				return nil, "", err
			}
			static.Listeners = append(static.Listeners, l)
		}
	}
	config, err = proto.Marshal(&bootstrapv3.Bootstrap{
		Node:             &corev3.Node{Id: "epic-validate", Cluster: "epic-validate"},
		StaticResources:  static,
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{AdsConfig: adsConfig()},
	})
	return config, "", err
}

// routeListener makes a listener with routes. Like routes that come by themselves, they
// may name clusters that are not there.
func routeListener(c *routev3.RouteConfiguration, i int) (*listenerv3.Listener, error) {
	c.ValidateClusters = wrapperspb.Bool(false)
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:     "check",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: c},
		HttpFilters:    []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:    fmt.Sprintf("epic-validate-%d", i),
		Address: pipe(fmt.Sprintf("@epic-validate-%d", i)),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, nil
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

func adsConfig() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: source}}}},
	}
}

func adsCluster() (*clusterv3.Cluster, error) {
	options, err := anypb.New(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
		},
	}})
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name:                          source,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(1e9),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
	}, nil
}
