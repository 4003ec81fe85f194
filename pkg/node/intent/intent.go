// SPDX-License-Identifier: Apache-2.0

// Package intent defines what a node stores of a load balancer or a gateway proxy: which
// of its tunnels end here, and to which endpoints they lead. Intents are computed from
// API objects and stored on disk, and the data plane is programmed from them. The
// computation is pure; nothing here performs I/O.
package intent

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// Key identifies the object from which an intent was made.
type Key struct {
	Kind      proxies.Kind `json:"kind"`
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
}

// KeyOf returns the key of the object that a proxy runs for.
func KeyOf(i proxies.Interface) Key { return Key{Kind: i.Kind, Namespace: i.Namespace, Name: i.Owner} }

// String formats the key for people.
func (k Key) String() string { return string(k.Kind) + " " + k.Namespace + "/" + k.Name }

// Compare orders keys.
func Compare(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Intent is the part of one object that concerns this node.
type Intent struct {
	Key
	UID types.UID `json:"uid"`
	// Public and Alternate are the proxy's addresses; either may be invalid.
	Public    netip.Addr `json:"public,omitzero"`
	Alternate netip.Addr `json:"alternate,omitzero"`
	// Ports are the ports on which the service is published.
	Ports []Port `json:"ports,omitempty"`
	// Prefix names the ServicePrefix of the addresses.
	Prefix string `json:"prefix,omitempty"`
	// Tunnels are the tunnels that end on this node, by ID.
	Tunnels []Tunnel `json:"tunnels,omitempty"`
	// Endpoints are the endpoints on the client nodes of the tunnels, or on this node.
	Endpoints []endpoints.Endpoint `json:"endpoints,omitempty"`
	// Untunneled indicates that there are endpoints on nodes to which no tunnel leads
	// from this node. The controller has yet to write it, or the object has too many.
	Untunneled bool `json:"untunneled,omitempty"`
	// Leaving are endpoints that the object no longer has and whose connections continue.
	Leaving []Leaving `json:"leaving,omitempty"`
	// Direct are endpoints that a proxy reaches without a tunnel, on a gateway node.
	Direct []Direct `json:"direct,omitempty"`
	// Shut are endpoints without a tunnel that stay closed nevertheless.
	Shut []Shut `json:"shut,omitempty"`
}

// Port is a published port.
type Port struct {
	Protocol uint8  `json:"protocol"`
	Port     uint16 `json:"port"`
}

// Tunnel is one tunnel.
type Tunnel struct {
	ID         uint32     `json:"id"`
	TenantNode netip.Addr `json:"tenantNode"`
	// EPICNode is the address and the port on which the gateway node listens.
	EPICNode netip.AddrPort `json:"epicNode"`
}

// Addresses returns the proxy's addresses, at most one of each family.
func (i *Intent) Addresses() []netip.Addr {
	var out []netip.Addr
	for _, a := range []netip.Addr{i.Public, i.Alternate} {
		if a.IsValid() && !slices.ContainsFunc(out, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			out = append(out, a)
		}
	}
	return out
}

// Equal reports whether two intents are equal.
func (i *Intent) Equal(o *Intent) bool {
	return i.Key == o.Key && i.UID == o.UID && i.Public == o.Public && i.Alternate == o.Alternate && i.Prefix == o.Prefix &&
		i.Untunneled == o.Untunneled && slices.Equal(i.Ports, o.Ports) && slices.Equal(i.Tunnels, o.Tunnels) && slices.Equal(i.Endpoints, o.Endpoints) &&
		slices.Equal(i.Direct, o.Direct) && slices.Equal(i.Shut, o.Shut) &&
		slices.EqualFunc(i.Leaving, o.Leaving, func(a, b Leaving) bool { return a.equal(&b) })
}

// Ends reports whether a tunnel between two nodes ends on this one.
type Ends func(tenantNode, epicNode netip.Addr) bool

// AtGateway selects tunnels whose EPIC end is one of the addresses.
func AtGateway(own ...netip.Addr) Ends {
	return func(_, epicNode netip.Addr) bool { return slices.Contains(own, epicNode) }
}

// AtTenantNode selects tunnels whose client end is one of the addresses.
func AtTenantNode(own ...netip.Addr) Ends {
	return func(tenantNode, _ netip.Addr) bool { return slices.Contains(own, tenantNode) }
}

// OfLoadBalancer returns the intent of a load balancer, given its tunnels that end here
// and its remote endpoints. It keeps a reference to tunnels.
func OfLoadBalancer(lb *epicv1.LoadBalancer, tunnels []Tunnel, reps []*epicv1.RemoteEndpoint) *Intent {
	i := &Intent{
		Key: Key{proxies.LoadBalancer, lb.Namespace, lb.Name}, UID: lb.UID,
		Public: address(lb.Spec.PublicAddress),
		Ports:  ports(lb.Spec.PublicPorts), Prefix: lb.Labels[epic.OwningServicePrefixLabel],
	}
	all, _ := endpoints.OfLoadBalancer(lb, reps)
	i.fill(tunnels, all)
	return i
}

// OfGWProxy returns the intent of a gateway proxy, given its tunnels that end here, its
// routes, and the slices to which they lead. It keeps a reference to tunnels.
func OfGWProxy(proxy *epicv1.GWProxy, tunnels []Tunnel, routes []*epicv1.GWRoute, slices []*epicv1.GWEndpointSlice) *Intent {
	i := &Intent{
		Key: Key{proxies.GWProxy, proxy.Namespace, proxy.Name}, UID: proxy.UID,
		Public: address(proxy.Spec.PublicAddress), Alternate: address(proxy.Spec.AltAddress),
		Ports: withQUIC(ports(proxy.Spec.PublicPorts), proxy.Status.Envoy), Prefix: proxy.Labels[epic.OwningServicePrefixLabel],
	}
	all, _ := endpoints.OfGWProxy(proxy, routes, slices)
	i.fill(tunnels, all)
	return i
}

// TunnelsOf returns the tunnels of a status that end on this node, by ID. It omits
// unreadable ones: a writer of the status may have damaged it, and the rest still works.
func TunnelsOf(status *epicv1.ProxyStatus, here Ends) []Tunnel {
	var out []Tunnel
	for tenant, entry := range status.GUETunnelEndpoints {
		tenantNode := address(tenant)
		if !tenantNode.IsValid() {
			continue
		}
		for key, pair := range entry.EPICEndpoints {
			epicNode := address(cmp.Or(pair.EPICAddress, key))
			port := pair.EPICPort.Port
			if port == 0 {
				port = epic.DefaultTunnelPort
			}
			if !epicNode.IsValid() || pair.TunnelID <= 0 || port < 0 || port > 65535 || !here(tenantNode, epicNode) {
				continue
			}
			out = append(out, Tunnel{ID: uint32(pair.TunnelID), TenantNode: tenantNode, EPICNode: netip.AddrPortFrom(epicNode, uint16(port))})
		}
	}
	slices.SortFunc(out, func(a, b Tunnel) int { return cmp.Compare(a.ID, b.ID) })
	// Use no more memory than necessary: a node may have a hundred thousand.
	return slices.Clone(out)
}

// fill adds the tunnels, the endpoints on the nodes where they end, and those that do not
// need a tunnel.
func (i *Intent) fill(tunnels []Tunnel, all []endpoints.Endpoint) {
	i.Tunnels = tunnels
	nodes := map[netip.Addr]bool{}
	for _, t := range tunnels {
		nodes[t.TenantNode] = true
	}
	leads := func(e endpoints.Endpoint) bool { return nodes[e.Node] }
	n := 0
	for _, e := range all {
		if leads(e) {
			n++
		}
	}
	if n > 0 {
		i.Endpoints = make([]endpoints.Endpoint, 0, n)
	}
	for _, e := range all {
		if leads(e) {
			i.Endpoints = append(i.Endpoints, e)
		} else if e.Node.IsValid() {
			i.Untunneled = true
		}
	}
	i.fillDirect(all)
}

func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// ports returns the distinct ports of a proxy: several listeners may share one.
func ports(all []epicv1.ServicePort) []Port {
	var out []Port
	for _, p := range all {
		protocol := map[corev1.Protocol]uint8{"": 6, corev1.ProtocolTCP: 6, corev1.ProtocolUDP: 17}[p.Protocol]
		if protocol != 0 && p.Port > 0 && p.Port <= 65535 {
			port := Port{protocol, uint16(p.Port)}
			if !slices.Contains(out, port) {
				out = append(out, port)
			}
		}
	}
	return out
}

// withQUIC adds the UDP ports on which Envoys serve HTTP/3, as reported by the operator.
// HTTP/3 is served on the port of HTTPS, so only ports that are published for TCP are
// added.
func withQUIC(published []Port, envoy *epicv1.EnvoyStatus) []Port {
	if envoy == nil {
		return published
	}
	out := published
	for i := range envoy.Listeners {
		l := &envoy.Listeners[i]
		if l.Protocol != corev1.ProtocolUDP || l.Port < 1 || l.Port > 65535 {
			continue
		}
		port := uint16(l.Port)
		if slices.Contains(published, Port{6, port}) && !slices.Contains(out, Port{17, port}) {
			out = append(out, Port{17, port})
		}
	}
	return out
}
