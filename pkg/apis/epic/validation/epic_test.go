// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

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
		{"another name", func(o *epic.EPIC) { o.Name = "second" }, "metadata.name", "its name is epic"},
		{"another namespace", func(o *epic.EPIC) { o.Namespace = "epic-a" }, "metadata.namespace", "create it there"},
		{"image with spaces", func(o *epic.EPIC) { o.Spec.EnvoyImage = "a b" }, "spec.envoy-image", "spaces"},
		{"image with a newline", func(o *epic.EPIC) { o.Spec.EDSImage = "a\nb" }, "spec.eds-image", "control"},
		{"long image", func(o *epic.EPIC) { o.Spec.XDSImage = long(5000) }, "spec.xds-image", "shorten"},
		{"service CIDR with spaces", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.0/12, fd00::/108" }, "spec.service-cidr", "nothing but a comma"},
		{"service CIDR with a gap", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.0/12," }, "spec.service-cidr", "nothing but a comma"},
		{"service CIDR that is an address", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.1" }, "spec.service-cidr", "CIDR form"},
		{"service CIDR with host bits", func(o *epic.EPIC) { o.Spec.ServiceCIDR = "10.96.0.1/12" }, "spec.service-cidr", "write 10.96.0.0/12"},
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
	})
}
