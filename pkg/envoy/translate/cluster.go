// SPDX-License-Identifier: Apache-2.0

package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// cluster returns a cluster whose endpoints come by EDS under its own name.
func (t *translation) cluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:              &clusterv3.Cluster_EdsClusterConfig{EdsConfig: resource.ADS()},
		ConnectTimeout:                durationpb.New(t.limits.connectTimeout),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(t.limits.buffer),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(t.limits.upstream),
			MaxPendingRequests: wrapperspb.UInt32(t.limits.upstream),
			MaxRequests:        wrapperspb.UInt32(t.limits.upstream),
			MaxRetries:         wrapperspb.UInt32(t.limits.retries),
		}}},
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{
			// Which endpoints get requests is decided where their states are known. Envoy
			// does not go back to those that can't serve because they are in the majority.
			HealthyPanicThreshold: &typev3.Percent{Value: 0},
			// A change of weights or priorities is applied at once.
			UpdateMergeWindow: durationpb.New(0),
		},
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{
			// A tunnel whose client node is gone answers nothing; this finds out.
			TcpKeepalive: &corev3.TcpKeepalive{
				KeepaliveTime:     wrapperspb.UInt32(60),
				KeepaliveInterval: wrapperspb.UInt32(10),
				KeepaliveProbes:   wrapperspb.UInt32(3),
			},
		},
	}
}
