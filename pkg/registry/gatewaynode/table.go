// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.GatewayNode

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceGatewayNodes,
		kind.Text("Node", "The name of the node: that of its Node object, or the hostname.", func(o *object) string { return o.Status.NodeName }),
		kind.Number("Tunnels", "Number of tunnels that end on the node.", func(o *object) int64 { return int64(o.Status.Tunnels) }),
		kind.Number("Up", "Number of tunnels that are up.", func(o *object) int64 { return int64(o.Status.TunnelsUp) }),
		kind.Number("Down", "Number of tunnels that are down.", func(o *object) int64 { return int64(o.Status.TunnelsDown) }),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Heartbeat", "Time since the node last wrote its status, normally at most a minute.", func(o *object) string {
			if o.Status.HeartbeatTime.IsZero() {
				return ""
			}
			return metatable.ConvertToHumanReadableDateType(o.Status.HeartbeatTime)
		}),
		kind.Text("Version", "The version of the node program.", func(o *object) string { return o.Status.Version }).Wide(),
	)
}
