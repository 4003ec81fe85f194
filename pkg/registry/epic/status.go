// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"maps"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// prepareStatus restores fields that a write of the status leaves out, and those that
// only the store or the server sets.
func prepareStatus(obj, old *epicapi.EPIC) {
	// The store sets these.
	obj.Status.CurrentTunnelID = old.Status.CurrentTunnelID
	obj.Status.CurrentGroupID = old.Status.CurrentGroupID
	if obj.Status.GatewayNodes == nil {
		obj.Status.GatewayNodes = old.Status.GatewayNodes
	}
	keepNodes(&obj.Status, &old.Status)
	stampHeartbeats(obj.Status.Nodes, old.Status.Nodes, metav1.Now())
}

// keepNodes restores the nodes that a write of the status leaves out: programs published
// before nodes reported here only write the rest of the status. An empty map, as opposed
// to none, removes the nodes, and a patch can remove each.
func keepNodes(status, old *epicapi.EPICStatus) {
	if status.Nodes == nil {
		status.Nodes = maps.Clone(old.Nodes)
		return
	}
	for address, node := range status.Nodes {
		kind.KeepConditions(&node.Conditions, old.Nodes[address].Conditions)
		status.Nodes[address] = node
	}
}

// stampHeartbeats sets the server's time in each entry that changes: a node's clock may
// be wrong, so a dead node could appear alive.
func stampHeartbeats(nodes, old map[string]epicapi.EPICNodeStatus, now metav1.Time) {
	for address, node := range nodes {
		if before, known := old[address]; known && apiequality.Semantic.DeepEqual(node, before) {
			continue
		}
		// Stored times have a precision of one second.
		node.HeartbeatTime = now.Rfc3339Copy()
		nodes[address] = node
	}
}
