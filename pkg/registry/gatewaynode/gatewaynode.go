// SPDX-License-Identifier: Apache-2.0

// Package gatewaynode stores the reports of gateway nodes: one object per node, which its
// node program creates and writes.
package gatewaynode

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.GatewayNode, epic.GatewayNodeList]{
	Resource:     epic.ResourceGatewayNodes,
	Singular:     "gatewaynode",
	ShortNames:   []string{"gwn", "gwns"},
	PlatformOnly: true,
	Strategy: kind.Strategy[epic.GatewayNode]{
		PrepareCreate: func(obj *epic.GatewayNode) {
			if obj.Spec.Address == "" {
				// Validation rejects a name that is not an address.
				if address, err := epic.GatewayNodeAddress(obj.Name); err == nil {
					obj.Spec.Address = address.String()
				}
			}
		},
		PrepareUpdate: func(obj, old *epic.GatewayNode) {
			if obj.Spec.Address == "" {
				obj.Spec.Address = old.Spec.Address
			}
		},
		PrepareStatus:  stampHeartbeat,
		Validate:       validation.ValidateGatewayNode,
		ValidateUpdate: validation.ValidateGatewayNodeUpdate,
		ValidateStatus: validation.ValidateGatewayNodeStatusUpdate,
	},
	Table: newTable(),
}.NewREST

// stampHeartbeat replaces the time of a heartbeat with the server's: a node's clock may
// be wrong, so a dead node could appear alive.
func stampHeartbeat(obj, old *epic.GatewayNode) {
	if !apiequality.Semantic.DeepEqual(obj.Status, old.Status) {
		// Stored times have a precision of one second.
		obj.Status.HeartbeatTime = metav1.Now().Rfc3339Copy()
	}
}
