// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

const heapMonitor = "envoy.resource_monitors.fixed_heap"

// heapActions lists Envoy's actions near the memory limit, with the fraction of the limit
// at which they begin.
var heapActions = []struct {
	name string
	from float64
}{
	{"envoy.overload_actions.shrink_heap", 0.85},
	{"envoy.overload_actions.disable_http_keepalive", 0.92},
	{"envoy.overload_actions.stop_accepting_requests", 0.95},
	{"envoy.overload_actions.stop_accepting_connections", 0.95},
}

// overload protects an Envoy against overload.
func overload(memory, connections uint64) *overloadv3.OverloadManager {
	m := &overloadv3.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{{
			Name: "envoy.resource_monitors.global_downstream_max_connections",
			ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: pack(&connectionsv3.DownstreamConnectionsConfig{
				MaxActiveDownstreamConnections: int64(min(connections, 1<<31)),
			})},
		}},
	}
	if memory == 0 {
		return m
	}
	m.ResourceMonitors = append(m.ResourceMonitors, &overloadv3.ResourceMonitor{
		Name:       heapMonitor,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: pack(&heapv3.FixedHeapConfig{MaxHeapSizeBytes: memory})},
	})
	for _, a := range heapActions {
		m.Actions = append(m.Actions, &overloadv3.OverloadAction{
			Name: a.name,
			Triggers: []*overloadv3.Trigger{{
				Name:         heapMonitor,
				TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: a.from}},
			}},
		})
	}
	return m
}
