// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"net/netip"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// endpointsByEDS makes a cluster get its endpoints by EDS, under its own name. Static
// endpoints are replaced if all of them belong to the cluster.
func endpointsByEDS(c *clusterv3.Cluster, v *clusterView) error {
	if name := v.parameters.ClusterName; c.Name != name {
		return &fieldError{"name", fmt.Sprintf("is %.200q, but a cluster must have the name of its backend: write {{.ClusterName}}", c.Name)}
	}
	if service := c.EdsClusterConfig.GetServiceName(); service != "" && service != c.Name {
		return &fieldError{"eds_cluster_config.service_name", fmt.Sprintf("is %.200q, but a cluster must use the endpoints with its own name: remove it", service)}
	}
	switch _, custom := c.ClusterDiscoveryType.(*clusterv3.Cluster_ClusterType); {
	case custom:
		return nil // refused with the other fields
	case c.GetType() == clusterv3.Cluster_EDS:
	case c.GetType() == clusterv3.Cluster_STATIC:
		own := map[string]bool{}
		for i := range v.parameters.Endpoints {
			own[endpointKey(v.parameters.Endpoints[i].Spec.Address, uint32(v.parameters.Endpoints[i].Spec.Port.Port))] = true
		}
		for i, group := range c.LoadAssignment.GetEndpoints() {
			for j, e := range group.LbEndpoints {
				at := e.GetEndpoint().GetAddress().GetSocketAddress()
				if !own[endpointKey(at.GetAddress(), at.GetPortValue())] {
					return &fieldError{
						fmt.Sprintf("load_assignment.endpoints[%d].lb_endpoints[%d].endpoint.address", i, j),
						fmt.Sprintf("%.200q port %d is not an endpoint of the proxy: use type EDS", at.GetAddress(), at.GetPortValue()),
					}
				}
			}
		}
	default:
		return &fieldError{"type", fmt.Sprintf("%s discovers endpoints itself: use type EDS", c.GetType())}
	}
	c.LoadAssignment = nil
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	if c.EdsClusterConfig == nil {
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{}
	}
	if c.EdsClusterConfig.EdsConfig == nil {
		c.EdsClusterConfig.EdsConfig = resource.ADS()
	}
	return nil
}

func endpointKey(address string, port uint32) string {
	if a, err := netip.ParseAddr(address); err == nil {
		address = a.Unmap().String()
	}
	return fmt.Sprintf("%s %d", address, port)
}

// place sets the address of a listener to that of the proxy. Unspecified addresses
// represent all addresses of the proxy.
func (r *rendering) place(field string, l *listenerv3.Listener, p *ListenerParameters) bool {
	var own []netip.Addr
	var port func(uint16) uint16
	if lb := r.in.LoadBalancer; lb != nil {
		own, port = r.in.Options.Listen(lb.Spec.PublicAddress)
	} else {
		own, port = r.in.Options.Listen(r.in.Proxy.Spec.PublicAddress, r.in.Proxy.Spec.AltAddress)
	}
	protocol := corev3.SocketAddress_TCP
	if p.Protocol == corev1.ProtocolUDP {
		protocol = corev3.SocketAddress_UDP
	}
	var use []netip.Addr
	add := func(at string, a *corev3.Address) bool {
		s := a.GetSocketAddress()
		address, err := netip.ParseAddr(s.GetAddress())
		switch {
		case err != nil:
			r.refuse(field, &fieldError{at, fmt.Sprintf("%.200q is not an IP address: use one of the proxy's addresses, or 0.0.0.0 for all of them", s.GetAddress())})
		case s.GetPortValue() != uint32(p.Port):
			r.refuse(field, &fieldError{at, fmt.Sprintf("listens on port %d, but the published port is %d: write {{.Port}}", s.GetPortValue(), p.Port)})
		case s.GetProtocol() != protocol:
			r.refuse(field, &fieldError{at, fmt.Sprintf("listens for %s, but the published port is for %s: write {{.Protocol}}", s.GetProtocol(), protocol)})
		case address.Unmap().IsUnspecified():
			use = append(use, own...)
			return true
		case !slices.Contains(own, address.Unmap()):
			r.refuse(field, &fieldError{at, fmt.Sprintf("%s is not an address of the proxy: use one of %v, or 0.0.0.0 for all of them", address, own)})
		default:
			use = append(use, address.Unmap())
			return true
		}
		return false
	}
	ok := add("address", l.Address)
	for i, a := range l.AdditionalAddresses {
		ok = add(fmt.Sprintf("additional_addresses[%d].address", i), a.GetAddress()) && ok
	}
	if ok && len(use) == 0 {
		r.refuse(field, &fieldError{"address", "the proxy has no address yet: wait until it has one"})
		ok = false
	}
	if !ok {
		return false
	}
	l.AdditionalAddresses = nil
	slices.SortFunc(use, netip.Addr.Compare)
	for i, a := range slices.Compact(use) {
		address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: a.String(), Protocol: protocol,
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port(uint16(p.Port)))},
		}}}
		if i == 0 {
			l.Address = address
		} else {
			l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: address})
		}
	}
	// The address may be added, or become usable, after Envoy has started.
	l.Freebind = wrapperspb.Bool(true)
	return true
}

// socketOf returns the key of the address of an endpoint.
func socketOf(e *endpointv3.LbEndpoint) string {
	at := e.GetEndpoint().GetAddress().GetSocketAddress()
	return endpointKey(at.GetAddress(), at.GetPortValue())
}
