// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"net/netip"
	"slices"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// LoadBalancerOf returns the name of the load balancer to which an endpoint belongs, in
// the endpoint's own namespace; empty if it names none.
func LoadBalancerOf(rep *epicv1.RemoteEndpoint) string {
	return rep.Labels[epic.OwningLoadBalancerLabel]
}

// OfLoadBalancer returns the endpoints of a load balancer among remote endpoints. It
// ignores those of other load balancers, those of an earlier load balancer of the same
// name, and those that are being deleted. With true-ingress disabled, none of them needs
// a tunnel, and none has a Node. Both results are sorted and independent of the order of
// the input.
func OfLoadBalancer(lb *epicv1.LoadBalancer, reps []*epicv1.RemoteEndpoint) ([]Endpoint, []Problem) {
	c := newCollector()
	tunnels := lb.Spec.TrueIngress == nil || *lb.Spec.TrueIngress
	for _, rep := range mine(lb, reps) {
		if epic.BelongsTo(rep, lb) {
			c.addRemote(lb, rep, tunnels)
		}
	}
	return c.result()
}

func (c *collector) addRemote(lb *epicv1.LoadBalancer, rep *epicv1.RemoteEndpoint, tunnels bool) {
	object := "RemoteEndpoint " + rep.Name
	if !slices.Contains(lb.Spec.UpstreamClusters, rep.Spec.Cluster) {
		c.problems.add(ReasonClusterNotListed, object,
			"its cluster %q is not among the load balancer's upstream-clusters: add it there, or delete the endpoint", rep.Spec.Cluster)
		return
	}
	e, ok := c.remote(object, &rep.Spec)
	if !ok {
		return
	}
	if tunnels {
		if e.Node, ok = nodeAddress(rep.Spec.NodeAddress); !ok {
			e.Unreadable = rep.Spec.NodeAddress != ""
			c.problems.add(ReasonEndpointWithoutNode, object,
				"its node-address is %q, so it gets no tunnel: set it to the address of the endpoint's node", rep.Spec.NodeAddress)
		}
	}
	c.add(object, e)
}

// remote parses everything except the node.
func (c *collector) remote(object string, spec *epicv1.RemoteEndpointSpec) (Endpoint, bool) {
	address, ok := podAddress(spec.Address)
	if !ok {
		c.problems.add(ReasonAddressUnusable, object, "its address is %q: set it to the IP address by which other hosts reach it", spec.Address)
		return Endpoint{}, false
	}
	protocol, ok := ProtocolNumber(spec.Port.Protocol)
	if !ok {
		c.problems.add(ReasonPortUnusable, object, "its protocol is %q: set it to TCP or UDP", spec.Port.Protocol)
		return Endpoint{}, false
	}
	port, ok := portNumber(spec.Port.Port)
	if !ok {
		c.problems.add(ReasonPortUnusable, object, "its port is %d: set it to a number from 1 to %d", spec.Port.Port, maxPort)
		return Endpoint{}, false
	}
	return Endpoint{Address: netip.AddrPortFrom(address, port), Protocol: protocol}, true
}
