// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epicapi.EPIC

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epicapi.ResourceEPICs,
		kind.Number("Last Tunnel ID", "The tunnel ID that was assigned most recently to any object.", func(o *object) int64 { return int64(o.Status.CurrentTunnelID) }),
		kind.Number("Last Group ID", "The group ID that was assigned most recently to any account.", func(o *object) int64 { return int64(o.Status.CurrentGroupID) }),
		kind.Number("Nodes", "Number of gateway nodes. GatewayNode objects report their state.", func(o *object) int64 {
			if o.Status.GatewayNodes != nil {
				return int64(*o.Status.GatewayNodes)
			}
			return int64(len(o.Status.Nodes))
		}),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Service CIDR", "The service CIDRs of the gateway cluster.", func(o *object) string { return o.Spec.ServiceCIDR }).Wide(),
		kind.Text("NICs", "The interfaces of a gateway node that carry tunnels.", func(o *object) string {
			return strings.Join(o.Spec.Base.GUEIngressNICs, ",")
		}).Wide(),
		kind.Text("Envoy Image", "The Envoy image of proxies whose group does not set one.", func(o *object) string { return o.Spec.EnvoyImage }).Wide(),
	)
}
