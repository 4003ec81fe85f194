// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

func validGatewayNode() *epic.GatewayNode {
	return &epic.GatewayNode{ObjectMeta: meta("epic", "192.0.2.40"), Spec: epic.GatewayNodeSpec{Address: "192.0.2.40"}}
}

func TestGatewayNode(t *testing.T) {
	creations(t, validGatewayNode, ValidateGatewayNode, []change[epic.GatewayNode]{
		{"IPv6", func(o *epic.GatewayNode) { o.Name, o.Spec.Address = "2001-db8--40", "2001:db8::40" }, "", ""},
		{"another namespace", func(o *epic.GatewayNode) { o.Namespace = "epic-a" }, "metadata.namespace", "create it there"},
		{"a name that is no address", func(o *epic.GatewayNode) { o.Name = "gw1" }, "metadata.name", "192.0.2.40 or 2001-db8--40"},
		{"a second name of an address", func(o *epic.GatewayNode) { o.Name, o.Spec.Address = "2001-db8-0--40", "2001:db8::40" }, "metadata.name", "write 2001-db8--40"},
		{"IPv4 in IPv6", func(o *epic.GatewayNode) { o.Name, o.Spec.Address = "--ffff-192.0.2.40", "" }, "metadata.name", "must be the address"},
		{"no one host", func(o *epic.GatewayNode) { o.Name, o.Spec.Address = "0.0.0.0", "0.0.0.0" }, "metadata.name", "must be the address"},
		{"another address", func(o *epic.GatewayNode) { o.Spec.Address = "192.0.2.41" }, "spec.address", "name the object 192.0.2.41"},
		{"no address", func(o *epic.GatewayNode) { o.Spec.Address = "" }, "spec.address", "must be an IP address"},
	})
	updates(t, validGatewayNode, ValidateGatewayNodeUpdate, []change[epic.GatewayNode]{
		{"a label", func(o *epic.GatewayNode) { o.Labels = map[string]string{"a": "b"} }, "", ""},
		{"another address", func(o *epic.GatewayNode) { o.Spec.Address = "192.0.2.41" }, "spec.address", "can't be changed from 192.0.2.40"},
	})
	states := func(up, down []byte) func(o *epic.GatewayNode) {
		return func(o *epic.GatewayNode) { o.Status.TunnelStates = &epic.TunnelStates{Up: up, Down: down} }
	}
	down := func(all ...epic.DownTunnel) func(o *epic.GatewayNode) {
		return func(o *epic.GatewayNode) { o.Status.DownTunnels = all }
	}
	updates(t, validGatewayNode, ValidateGatewayNodeStatusUpdate, []change[epic.GatewayNode]{
		{"a report", func(o *epic.GatewayNode) {
			o.Status = epic.GatewayNodeStatus{
				NodeName: "gw1", Version: "v1", Tunnels: 5, TunnelsUp: 3, TunnelsDown: 2, Conditions: []metav1.Condition{condition()},
				TunnelStates: &epic.TunnelStates{Up: idset.Of(1, 2, 9).Encode(), Down: idset.Of(3, 7).Encode()},
				DownTunnels:  []epic.DownTunnel{{TunnelID: 3, TenantNode: "10.0.0.1", LastAnswer: metav1.Unix(1, 0)}, {TunnelID: 7}},
			}
		}, "", ""},
		{"a name with spaces", func(o *epic.GatewayNode) { o.Status.NodeName = "a b" }, "status.node-name", "spaces"},
		{"a long version", func(o *epic.GatewayNode) { o.Status.Version = long(129) }, "status.version", "shorten"},
		{"fewer than no tunnels", func(o *epic.GatewayNode) { o.Status.Tunnels = -1 }, "status.tunnels", "negative"},
		{"fewer than none up", func(o *epic.GatewayNode) { o.Status.TunnelsUp = -1 }, "status.tunnels-up", "negative"},
		{"fewer than none down", func(o *epic.GatewayNode) { o.Status.TunnelsDown = -1 }, "status.tunnels-down", "negative"},
		{"more known than there are", func(o *epic.GatewayNode) { o.Status.Tunnels, o.Status.TunnelsUp, o.Status.TunnelsDown = 3, 2, 2 }, "status.tunnels", "together (4)"},
		{"many conditions", func(o *epic.GatewayNode) {
			for range 17 {
				c := condition()
				c.Type += string(rune('a' + len(o.Status.Conditions)))
				o.Status.Conditions = append(o.Status.Conditions, c)
			}
		}, "status.conditions", "more than 16"},
		{"no set", states([]byte{0, 0}, nil), "status.tunnel-states.up", "not a set of tunnel IDs"},
		{"half a set", states(nil, []byte{1}), "status.tunnel-states.down", "not a set of tunnel IDs"},
		{"up and down", states(idset.Of(1, 2, 3).Encode(), idset.Of(3).Encode()), "status.tunnel-states.down", "remove it from one"},
		{"every tunnel there is", states([]byte{1, 0xfe, 0xff, 0xff, 0xff, 0x07}, nil), "", ""},
		{"large sets", states(make([]byte, 640<<10), []byte{1}), "status.tunnel-states", "more than 655360 bytes"},
		{"a tunnel without an ID", down(epic.DownTunnel{}), "status.down-tunnels[0].tunnel-id", "from 1 to"},
		{"a tunnel twice", down(epic.DownTunnel{TunnelID: 1}, epic.DownTunnel{TunnelID: 1}), "status.down-tunnels[1].tunnel-id", "Duplicate"},
		{"a far end that is none", down(epic.DownTunnel{TunnelID: 1, TenantNode: "host"}), "status.down-tunnels[0].tenant-node", "IP address"},
		{"many tunnels", down(make([]epic.DownTunnel, 51)...), "status.down-tunnels", "more than 50"},
	})
}
