// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validEPIC() *epic.EPIC {
	return &epic.EPIC{ObjectMeta: meta("epic", "epic"), Spec: epic.EPICSpec{
		EnvoyImage:  "quay.io/a/envoy:v1",
		ServiceCIDR: "10.96.0.0/12,fd00::/108",
		Base: epic.EPICNodeBase{
			GUEIngressNICs: []string{"enp1s0", "enp2s0"},
			GUEEndpoint:    epic.GUETunnelEndpoint{EPICPort: gue},
		},
	}}
}

func TestEPIC(t *testing.T) {
	creations(t, validEPIC, ValidateEPIC, []change[epic.EPIC]{
		{"empty spec", func(o *epic.EPIC) { o.Spec = epic.EPICSpec{} }, "", ""},
		{"another name", func(o *epic.EPIC) { o.Name = "second" }, "metadata.name", "named epic"},
		{"another namespace", func(o *epic.EPIC) { o.Namespace = "epic-a" }, "metadata.namespace", "create it there"},
		{"image with spaces", func(o *epic.EPIC) { o.Spec.EnvoyImage = "a b" }, "spec.envoy-image", "spaces"},
		{"image with a newline", func(o *epic.EPIC) { o.Spec.EDSImage = "a\nb" }, "spec.eds-image", "control"},
		{"long image", func(o *epic.EPIC) { o.Spec.XDSImage = long(5000) }, "spec.xds-image", "shorten"},
		{"service CIDR with spaces", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.0/12, fd00::/108" }, "spec.service-cidr", "separated by commas"},
		{"service CIDR with a gap", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.0/12," }, "spec.service-cidr", "separated by commas"},
		{"service CIDR that is an address", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.1" }, "spec.service-cidr", "must be a CIDR"},
		{"service CIDR with host bits", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.1/12" }, "spec.service-cidr", "write 10.96.0.0/12"},
		{"denied CIDRs", func(o *epic.EPIC) { o.Spec.DeniedEndpointCIDRs = []string{"10.244.0.0/16", "fd00::/48"} }, "", ""},
		{"denied CIDR that is an address", func(o *epic.EPIC) { o.Spec.DeniedEndpointCIDRs = []string{"10.244.0.0"} }, "spec.denied-endpoint-cidrs[0]", "must be a CIDR"},
		{"many denied CIDRs", func(o *epic.EPIC) { o.Spec.DeniedEndpointCIDRs = make([]string, 257) }, "spec.denied-endpoint-cidrs", "more than 256"},
		{"many service CIDRs", func(o *epic.EPIC) { o.Spec.ServiceCIDR = strings.Repeat("10.0.0.0/8,", 20) + "10.0.0.0/8" }, "spec.service-cidr", "more than"},
		{"bad NIC", func(o *epic.EPIC) { o.Spec.Base.GUEIngressNICs[1] = "a/b" }, "spec.base.gue-ingress-nics[1]", "network interface"},
		{"NIC twice", func(o *epic.EPIC) { o.Spec.Base.GUEIngressNICs[1] = "enp1s0" }, "spec.base.gue-ingress-nics[1]", "Duplicate"},
		{"many NICs", func(o *epic.EPIC) { o.Spec.Base.GUEIngressNICs = make([]string, 33) }, "spec.base.gue-ingress-nics", "more than"},
		{"bad tunnel port", func(o *epic.EPIC) { o.Spec.Base.GUEEndpoint.EPICPort.Port = 70000 }, "spec.base.gue-endpoint.epic-port.port", "from 1 to 65535"},
		{"tunnels over TCP", func(o *epic.EPIC) { o.Spec.Base.GUEEndpoint.EPICPort.Protocol = "TCP" }, "spec.base.gue-endpoint.epic-port.protocol", "must be UDP"},
	})
	updates(t, validEPIC, ValidateEPICUpdate, []change[epic.EPIC]{
		{"another image", func(o *epic.EPIC) { o.Spec.EnvoyImage = "b" }, "", ""},
		{"bad image", func(o *epic.EPIC) { o.Spec.EnvoyImage = "a b" }, "spec.envoy-image", "spaces"},
	})
	updates(t, validEPIC, ValidateEPICStatusUpdate, []change[epic.EPIC]{
		{"condition", func(o *epic.EPIC) { o.Status.Conditions = append(o.Status.Conditions, condition()) }, "", ""},
		{"condition without reason", func(o *epic.EPIC) {
			c := condition()
			c.Reason = ""
			o.Status.Conditions = append(o.Status.Conditions, c)
		}, "status.conditions[0].reason", "Required"},
		{"tunnel ID", func(o *epic.EPIC) { o.Status.CurrentTunnelID = 7 }, "status.current-tunnel-id", "assigned by the server"},
		{"group ID", func(o *epic.EPIC) { o.Status.CurrentGroupID = 7 }, "status.current-group-id", "assigned by the server"},
		{"negative generation", func(o *epic.EPIC) { o.Status.ObservedGeneration = -1 }, "status.observedGeneration", "negative"},
		{"a node", reported("2001:db8::1", epic.EPICNodeStatus{Name: "gw1", Version: "v1", Tunnels: 2, TunnelsUp: 2, Conditions: []metav1.Condition{condition()}}), "", ""},
		{"a node without an address", reported("gw1", epic.EPICNodeStatus{}), "status.nodes[gw1]", "must be an IP address"},
		{"a node's address inside IPv6", reported("::ffff:192.0.2.1", epic.EPICNodeStatus{}), "status.nodes[::ffff:192.0.2.1]", "write 192.0.2.1"},
		{"a node's name with spaces", reported("192.0.2.1", epic.EPICNodeStatus{Name: "a b"}), "status.nodes[192.0.2.1].name", "spaces"},
		{"a node's long version", reported("192.0.2.1", epic.EPICNodeStatus{Version: long(129)}), "status.nodes[192.0.2.1].version", "shorten"},
		{"a node with fewer than no tunnels", reported("192.0.2.1", epic.EPICNodeStatus{Tunnels: -1}), "status.nodes[192.0.2.1].tunnels", "negative"},
		{"a node with more up than it has", reported("192.0.2.1", epic.EPICNodeStatus{TunnelsUp: 1}), "status.nodes[192.0.2.1].tunnels-up", "more than tunnels"},
		{"a node's bad condition", reported("192.0.2.1", epic.EPICNodeStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Now()}}}), "status.nodes[192.0.2.1].conditions[0].reason", "Required"},
		{"a node's many conditions", reported("192.0.2.1", epic.EPICNodeStatus{Conditions: make([]metav1.Condition, 17)}), "status.nodes[192.0.2.1].conditions", "more than"},
		{"many nodes", func(o *epic.EPIC) {
			o.Status.Nodes = map[string]epic.EPICNodeStatus{}
			for i := range maxNodes + 1 {
				o.Status.Nodes[fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)] = epic.EPICNodeStatus{}
			}
		}, "status.nodes", "more than"},
	})
}

func reported(address string, n epic.EPICNodeStatus) func(*epic.EPIC) {
	return func(o *epic.EPIC) { o.Status.Nodes = map[string]epic.EPICNodeStatus{address: n} }
}
