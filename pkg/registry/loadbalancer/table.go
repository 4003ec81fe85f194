// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

type object = epic.LoadBalancer

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceLoadBalancers,
		kind.Text("Public Address", "The address on which the service is published.", func(o *object) string { return o.Spec.PublicAddress }),
		kind.Label[object]("Service Group", epic.OwningLBServiceGroupLabel, "The service group of the load balancer."),
		kind.Label[object]("Service Prefix", epic.OwningServicePrefixLabel, "The prefix from which the address comes."),
		kind.Number("Tunnels", "Number of tunnels of the load balancer.", func(o *object) int64 { return proxy.Tunnels(&o.Status) }),
		kind.Text("Envoys", "Number of ready Envoys and desired Envoys.", func(o *object) string { return proxy.Envoys(&o.Status) }),
		kind.Condition("Programmed", "Programmed", "Whether the Envoys have accepted the newest configuration.", func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Ports", "The ports on which the service is published.", func(o *object) string {
			return proxy.Ports(o.Spec.PublicPorts)
		}).Wide(),
		kind.Number("Service ID", "Numeric ID of the load balancer.", func(o *object) int64 { return int64(o.Spec.ServiceID) }).Wide(),
		kind.Number("Replicas", "Desired number of Envoys.", func(o *object) int64 { return int64(ptr.Deref(o.Spec.EnvoyReplicaCount, 0)) }).Wide(),
		kind.Text("Clusters", "The client clusters whose endpoints are used.", func(o *object) string {
			return strings.Join(o.Spec.UpstreamClusters, ",")
		}).Wide(),
		kind.Text("EPIC Nodes", "The gateway nodes that have tunnels or run a proxy.", func(o *object) string {
			return proxy.Few(proxy.EPICNodes(&o.Status))
		}).Wide(),
		kind.Text("Interfaces", "The public interfaces of the proxies on the gateway nodes.", func(o *object) string {
			return proxy.Few(proxy.Interfaces(&o.Status))
		}).Wide(),
	)
}
