// SPDX-License-Identifier: Apache-2.0

package translate

import (
	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// share is a cluster and its share of the connections.
type share struct {
	cluster string
	weight  uint32
}

// tcpProxy returns a filter that forwards connections to clusters. With no cluster, or
// only weights of 0, it returns nil: the chain then has no filter that accepts
// connections.
func (t *translation) tcpProxy(statPrefix, route string, shares []share) *listenerv3.Filter {
	config := &tcpproxyv3.TcpProxy{
		StatPrefix:  statPrefix,
		IdleTimeout: durationpb.New(t.limits.idle),
		AccessLog:   t.accessLog(route, false),
		// A pod may stop at any time, and another one can accept the connection.
		MaxConnectAttempts: wrapperspb.UInt32(t.limits.connectAttempts),
		BackoffOptions: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(t.limits.connectPause), MaxInterval: durationpb.New(t.limits.connectPauseMost),
		},
	}
	var weighted []*tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight
	for _, s := range shares {
		if s.weight > 0 {
			weighted = append(weighted, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{Name: s.cluster, Weight: s.weight})
		}
	}
	switch len(weighted) {
	case 0:
		return nil
	case 1:
		config.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: weighted[0].Name}
	default:
		config.ClusterSpecifier = &tcpproxyv3.TcpProxy_WeightedClusters{
			WeightedClusters: &tcpproxyv3.TcpProxy_WeightedCluster{Clusters: weighted},
		}
	}
	return networkFilter("envoy.filters.network.tcp_proxy", config)
}

// udpProxy forwards the packets of each client to one endpoint of a cluster.
func (t *translation) udpProxy(statPrefix, route, cluster string) *listenerv3.ListenerFilter {
	config := &udpproxyv3.UdpProxyConfig{
		StatPrefix:  statPrefix,
		IdleTimeout: durationpb.New(t.limits.udpIdle),
		AccessLog:   t.accessLog(route, false),
		RouteSpecifier: &udpproxyv3.UdpProxyConfig_Matcher{Matcher: &matcherv3.Matcher{
			OnNoMatch: &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{Action: &xdscorev3.TypedExtensionConfig{
				Name:        "route",
				TypedConfig: pack(&udpproxyv3.Route{Cluster: cluster}),
			}}},
		}},
	}
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.udp_listener.udp_proxy",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(config)},
	}
}
