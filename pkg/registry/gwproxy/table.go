// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

type object = epic.GWProxy

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceGWProxies,
		kind.Text("Client Cluster", "The client cluster of the Gateway.", func(o *object) string { return o.Spec.ClientRef.ClusterID }),
		kind.Text("Client NS", "The Gateway's namespace in that cluster.", func(o *object) string { return o.Spec.ClientRef.Namespace }),
		kind.Text("Client Name", "The Gateway's name in that cluster.", func(o *object) string { return o.Spec.ClientRef.Name }),
		kind.Text("Public Address", "The address on which the service is published.", func(o *object) string { return o.Spec.PublicAddress }),
		kind.Label[object]("Service Group", epic.OwningLBServiceGroupLabel, "The service group of the proxy."),
		kind.Label[object]("Service Prefix", epic.OwningServicePrefixLabel, "The prefix from which the address comes."),
		kind.Number("Tunnels", "Number of tunnels of the proxy.", func(o *object) int64 { return proxy.Tunnels(&o.Status) }),
		kind.Text("Envoys", "Number of ready Envoys and desired Envoys.", func(o *object) string { return proxy.Envoys(&o.Status) }),
		kind.Condition("Programmed", "Programmed", "Whether the Envoys have accepted the newest configuration.", func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Alt Address", "The IPv4 address in addition to an IPv6 public address.", func(o *object) string { return o.Spec.AltAddress }).Wide(),
		kind.Text("Ports", "The ports on which the service is published.", func(o *object) string {
			return proxy.Ports(o.Spec.PublicPorts)
		}).Wide(),
		kind.Number("Replicas", "Desired number of Envoys.", func(o *object) int64 { return int64(ptr.Deref(o.Spec.EnvoyReplicaCount, 0)) }).Wide(),
		kind.Text("Listeners", "Number of listeners that the Envoys serve, and of all listeners.", func(o *object) string { return proxy.Listeners(&o.Status) }).Wide(),
		kind.Number("Routes", "Number of attachments of routes to listeners.", func(o *object) int64 { return proxy.AttachedRoutes(&o.Status) }).Wide(),
		kind.Text("EPIC Nodes", "The gateway nodes that have tunnels or run a proxy.", func(o *object) string {
			return proxy.Few(proxy.EPICNodes(&o.Status))
		}).Wide(),
		kind.Text("Interfaces", "The public interfaces of the proxies on the gateway nodes.", func(o *object) string {
			return proxy.Few(proxy.Interfaces(&o.Status))
		}).Wide(),
	)
}
