// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.RemoteEndpoint

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceRemoteEndpoints,
		kind.Text("Address", "The IP address of the endpoint.", func(o *object) string { return o.Spec.Address }),
		kind.Text("Node Address", "The IP address of the node on which the endpoint runs.", func(o *object) string { return o.Spec.NodeAddress }),
		kind.Number("Port", "The port of the endpoint.", func(o *object) int64 { return int64(o.Spec.Port.Port) }),
		kind.Text("Protocol", "The protocol of the endpoint.", func(o *object) string { return string(o.Spec.Port.Protocol) }),
		kind.Label[object]("Load Balancer", epic.OwningLoadBalancerLabel, "The load balancer that sends requests to the endpoint."),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Cluster", "The client cluster in which the endpoint runs.", func(o *object) string { return o.Spec.Cluster }).Wide(),
	)
}
