// SPDX-License-Identifier: Apache-2.0

// Package nodereports combines the reports of gateway nodes: GatewayNode objects and, for
// nodes of earlier releases, the status of the EPIC object.
package nodereports

import (
	"maps"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Merge returns the newest report of each node, by the node's address. installation may
// be nil.
func Merge(installation *epicv1.EPIC, nodes []*epicv1.GatewayNode) map[string]epicv1.EPICNodeStatus {
	all := map[string]epicv1.EPICNodeStatus{}
	if installation != nil {
		maps.Copy(all, installation.Status.Nodes)
	}
	for _, node := range nodes {
		address, err := epic.GatewayNodeAddress(node.Name)
		if err != nil {
			continue
		}
		key, s := address.String(), &node.Status
		if before, ok := all[key]; ok && s.HeartbeatTime.Before(&before.HeartbeatTime) {
			continue
		}
		all[key] = epicv1.EPICNodeStatus{
			Name: s.NodeName, Version: s.Version, HeartbeatTime: s.HeartbeatTime, Tunnels: s.Tunnels, TunnelsUp: s.TunnelsUp, Conditions: s.Conditions,
		}
	}
	return all
}

// Replaced returns the entries of the EPIC object for nodes that have a newer object of
// their own, by address: nodes that were upgraded.
func Replaced(installation *epicv1.EPIC, nodes []*epicv1.GatewayNode) []string {
	var out []string
	for _, node := range nodes {
		address, err := epic.GatewayNodeAddress(node.Name)
		if err != nil {
			continue
		}
		if before, ok := installation.Status.Nodes[address.String()]; ok && before.HeartbeatTime.Before(&node.Status.HeartbeatTime) {
			out = append(out, address.String())
		}
	}
	return out
}
