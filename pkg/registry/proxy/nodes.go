// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"slices"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ClientNodes returns the distinct addresses of the client nodes that have tunnels, in
// order.
func ClientNodes(status *epic.ProxyStatus) []string {
	return slices.Sorted(maps.Keys(status.GUETunnelEndpoints))
}

// EPICNodes returns the distinct addresses of the gateway nodes that have tunnels or run
// a proxy, in order.
func EPICNodes(status *epic.ProxyStatus) []string {
	nodes := map[string]struct{}{}
	for _, tunnel := range status.GUETunnelEndpoints {
		for node := range tunnel.EPICEndpoints {
			nodes[node] = struct{}{}
		}
	}
	for _, info := range status.ProxyIfInfo {
		if info.EPICNodeAddress != "" {
			nodes[info.EPICNodeAddress] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(nodes))
}

// Tunnels returns the number of tunnels.
func Tunnels(status *epic.ProxyStatus) int64 {
	var n int64
	for _, tunnel := range status.GUETunnelEndpoints {
		n += int64(len(tunnel.EPICEndpoints))
	}
	return n
}

// Interfaces returns the names of the proxies' interfaces, in the order of the pods'
// names.
func Interfaces(status *epic.ProxyStatus) []string {
	var names []string
	for _, pod := range slices.Sorted(maps.Keys(status.ProxyIfInfo)) {
		names = append(names, status.ProxyIfInfo[pod].Name)
	}
	return names
}
