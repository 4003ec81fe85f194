// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// LoadBalancer translates a load balancer: a listener and a cluster for each published
// port.
func LoadBalancer(in LoadBalancerInput) *Result {
	lb := in.LoadBalancer
	t := newTranslation("LoadBalancer", lb, in.Group, lb.Spec.Edge)
	where := bindingOf(in.Options, lb.Spec.PublicAddress)
	if len(where.addresses) == 0 {
		t.problems.add(t.proxy, "spec.public-address", ReasonAddressMissing, "is %q, on which no proxy can listen: leave it out, so the server assigns one", lb.Spec.PublicAddress)
		return t.result()
	}
	seen := map[PublishedPort]bool{}
	for i := range lb.Spec.PublicPorts {
		p := &lb.Spec.PublicPorts[i]
		field := fmt.Sprintf("spec.public-ports[%d]", i)
		published, ok := publishedPort(p.Port, p.Protocol)
		switch {
		case !ok:
			t.problems.add(t.proxy, field, "ProtocolUnsupported", "is not served: its port is %d and its protocol %q: use a port from 1 to 65535, and TCP or UDP", p.Port, p.Protocol)
		case seen[published]:
			t.problems.add(t.proxy, field, ReasonPortConflict, "is already published by an earlier entry: remove one of the two")
		default:
			seen[published] = true
			t.publish(where, published)
		}
	}
	return t.result()
}

func publishedPort(port int32, protocol corev1.Protocol) (PublishedPort, bool) {
	number, ok := endpoints.ProtocolNumber(protocol)
	return PublishedPort{uint16(port), number}, ok && port >= 1 && port <= 65535
}

// publish creates the listener and the cluster of one port of a load balancer.
func (t *translation) publish(where binding, p PublishedPort) {
	// Both have the same name. Access logs show it as the route.
	name := listenerName(p.Protocol, p.Port)
	stat := "port_" + strconv.Itoa(int(p.Port))
	cluster := t.cluster(name)
	cluster.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	listener := t.listener(where, p.Protocol, p.Port)
	if p.Protocol == protocolUDP {
		listener.ListenerFilters = []*listenerv3.ListenerFilter{t.udpProxy(stat, name, name)}
	} else {
		cluster.TransportSocket = t.giveAddress(nil)
		t.watchHealth(cluster, spoken{})
		listener.FilterChains = []*listenerv3.FilterChain{{
			Name:    name,
			Filters: append(t.admission(stat, name), t.tcpProxy(stat, name, []share{{name, 1}})),
		}}
	}
	if t.put(resource.Cluster, name, cluster, t.proxy) && t.put(resource.Listener, name, listener, t.proxy) {
		t.backends[name] = Backend{Name: name, Port: p, Sources: []resource.Source{t.proxy}}
	}
}
