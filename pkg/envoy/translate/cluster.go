// SPDX-License-Identifier: Apache-2.0

package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/edge"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Messages that all clusters share. They must not be modified: a proxy may have thousands
// of clusters, and each of these messages has many parts.
var (
	edsConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: resource.ADS()}
	byEDS     = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	// Detect a tunnel whose client node is down, which does not respond.
	keepalive = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveTime:     wrapperspb.UInt32(60),
		KeepaliveInterval: wrapperspb.UInt32(10),
		KeepaliveProbes:   wrapperspb.UInt32(3),
	}}
	choice = choiceOf(nil)
	// A client stays with its endpoint as long as that serves.
	stickyChoice = choiceOf(&corev3.HealthStatusSet{Statuses: []corev3.HealthStatus{
		corev3.HealthStatus_UNKNOWN, corev3.HealthStatus_HEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_DEGRADED,
	}})
)

// choiceOf returns how endpoints are chosen.
func choiceOf(sticky *corev3.HealthStatusSet) *clusterv3.Cluster_CommonLbConfig {
	return &clusterv3.Cluster_CommonLbConfig{
		// The tunnels and endpoint states determine which endpoints get requests. Envoy
		// must not fall back to those that can't serve because they are in the majority.
		HealthyPanicThreshold: &typev3.Percent{Value: 0},
		// Apply changes of weights or priorities immediately.
		UpdateMergeWindow:  durationpb.New(0),
		OverrideHostStatus: sticky,
	}
}

// clusterParts holds settings that the clusters of one proxy share.
type clusterParts struct {
	connectTimeout *durationpb.Duration
	buffer         *wrapperspb.UInt32Value
	breakers       *clusterv3.CircuitBreakers
}

func partsOf(l *limits, e *edge.Settings) clusterParts {
	// It applies to connections, requests and waiting requests.
	upstream := wrapperspb.UInt32(uint32(e.PerBackend))
	return clusterParts{
		connectTimeout: durationpb.New(l.connectTimeout),
		buffer:         wrapperspb.UInt32(l.buffer),
		breakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: upstream, MaxPendingRequests: upstream, MaxRequests: upstream, MaxRetries: wrapperspb.UInt32(l.retries),
		}}},
	}
}

// cluster returns a cluster whose endpoints are delivered by EDS under its own name.
func (t *translation) cluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          byEDS,
		EdsClusterConfig:              edsConfig,
		ConnectTimeout:                t.parts.connectTimeout,
		PerConnectionBufferLimitBytes: t.parts.buffer,
		CircuitBreakers:               t.parts.breakers,
		CommonLbConfig:                choice,
		UpstreamConnectionOptions:     keepalive,
	}
}
