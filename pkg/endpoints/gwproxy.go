// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"fmt"
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ServiceOf returns the UID of the tenant's Service to which a slice belongs; empty if it
// names none.
func ServiceOf(slice *epicv1.GWEndpointSlice) string {
	return slice.Spec.ParentRef.UID
}

// OfGWProxy returns the endpoints of a gateway proxy: ready ones, and terminating ones
// that still serve, in the slices of the Services to which the proxy's routes lead, at
// the ports of the routes. It ignores routes of other proxies, slices of other Services,
// objects of other namespaces, and objects that are being deleted. Both results are
// sorted and independent of the order of the input.
func OfGWProxy(proxy *epicv1.GWProxy, routes []*epicv1.GWRoute, all []*epicv1.GWEndpointSlice) ([]Endpoint, []Problem) {
	c := newCollector()
	services := byService(proxy, all)
	// Many routes may lead to one backend.
	seen := map[Backend]bool{}
	for _, route := range mine(proxy, routes) {
		if !slices.Contains(ProxiesOf(route), proxy.Name) {
			continue
		}
		for _, b := range backendsOf(route) {
			if !seen[b] {
				seen[b] = true
				c.addBackend("GWRoute "+route.Name, b, services[b.Service])
			}
		}
	}
	return c.result()
}

// OfGWRoute returns the endpoints to which one route leads, regardless of its gateway
// proxies, like OfGWProxy.
func OfGWRoute(route *epicv1.GWRoute, all []*epicv1.GWEndpointSlice) ([]Endpoint, []Problem) {
	c := newCollector()
	services := byService(route, all)
	for _, b := range backendsOf(route) {
		c.addBackend("GWRoute "+route.Name, b, services[b.Service])
	}
	return c.result()
}

// OfGWEndpointSlice returns the ready endpoints of one slice. Their ports are 0: only a
// route determines the port.
func OfGWEndpointSlice(slice *epicv1.GWEndpointSlice) ([]Endpoint, []Problem) {
	c := newCollector()
	c.addSlice("GWEndpointSlice "+slice.Name, slice, 0, protocolTCP)
	return c.result()
}

// OfBackend returns the endpoints of one backend of a route of the namespace, including
// draining ones; all may contain slices of any Service. Both results are sorted and
// independent of the order of the input.
func OfBackend(namespace string, b Backend, all []*epicv1.GWEndpointSlice) ([]Endpoint, []Problem) {
	c := newCollector()
	c.drains = true
	c.addBackend("a GWRoute", b, byService(&metav1.ObjectMeta{Namespace: namespace}, all)[b.Service])
	return c.result()
}

// byService returns the slices in the namespace of their owner, by the UIDs of their
// Services.
func byService(owner metav1.Object, all []*epicv1.GWEndpointSlice) map[string][]*epicv1.GWEndpointSlice {
	services := map[string][]*epicv1.GWEndpointSlice{}
	for _, slice := range mine(owner, all) {
		if uid := ServiceOf(slice); uid != "" {
			services[uid] = append(services[uid], slice)
		}
	}
	return services
}

// addBackend adds the endpoints in the slices of one Service for one of its ports.
func (c *collector) addBackend(route string, b Backend, all []*epicv1.GWEndpointSlice) {
	if len(all) == 0 {
		c.problems.add(ReasonBackendWithoutSlices, route,
			"no GWEndpointSlice belongs to its backend %q: create one with this spec.parentRef.uid", b.Service)
		return
	}
	names := b.names(all)
	for _, slice := range all {
		object := "GWEndpointSlice " + slice.Name
		port, ok := c.port(route, object, b, b.numbers(slice, names))
		if ok {
			c.addSlice(object, slice, port, b.protocol())
		}
	}
}

// addSlice adds the serving endpoints of a slice, at one port.
func (c *collector) addSlice(object string, slice *epicv1.GWEndpointSlice, port uint16, protocol uint8) {
	for i := range slice.Spec.Endpoints {
		if e := &slice.Spec.Endpoints[i]; ready(e) || draining(e) {
			c.addSliceEndpoint(object, slice, e, port, protocol)
		}
	}
}

// port determines the port of a slice for a backend.
func (c *collector) port(route, object string, b Backend, numbers []int32) (uint16, bool) {
	switch len(numbers) {
	case 0:
		c.problems.add(ReasonPortMissing, object, "it has no %s port for %s of its Service, to which %s refers: add one", b.protocolText(), b.portText(), route)
		return 0, false
	case 1:
		port, ok := portNumber(numbers[0])
		if !ok {
			c.problems.add(ReasonPortUnusable, object, "its port is %d: set a number from 1 to %d", numbers[0], maxPort)
		}
		return port, ok
	}
	c.problems.add(ReasonPortAmbiguous, object, "%s of its Service, to which %s refers, may be any of the ports %v: "+
		"select one in the annotation %s, as in \"80=http,9090=metrics\"", b.portText(), route, numbers, ServicePortsAnnotation)
	return 0, false
}

func (b Backend) protocolText() string {
	if b.protocol() == protocolUDP {
		return "UDP"
	}
	return "TCP"
}

func (b Backend) portText() string {
	if b.Port == 0 {
		return "the port"
	}
	return fmt.Sprintf("port %d", b.Port)
}

// ready reports whether an endpoint may get new requests. As in Kubernetes, an endpoint
// without the condition is ready; a terminating one is not, even if it is published
// before it is ready.
func ready(e *discoveryv1.Endpoint) bool {
	return (e.Conditions.Ready == nil || *e.Conditions.Ready) && (e.Conditions.Terminating == nil || !*e.Conditions.Terminating)
}

// draining reports whether an endpoint is terminating and still serves. Its requests
// complete, and it gets others if no endpoint is ready.
func draining(e *discoveryv1.Endpoint) bool {
	return e.Conditions.Terminating != nil && *e.Conditions.Terminating && e.Conditions.Serving != nil && *e.Conditions.Serving
}

// addSliceEndpoint adds one endpoint of a slice. Only its first address counts:
// Kubernetes defines no meaning for others.
func (c *collector) addSliceEndpoint(object string, slice *epicv1.GWEndpointSlice, e *discoveryv1.Endpoint, port uint16, protocol uint8) {
	if len(e.Addresses) == 0 {
		c.problems.add(ReasonAddressUnusable, object, "an endpoint has no address: set one")
		return
	}
	address, ok := podAddress(e.Addresses[0])
	if !ok {
		c.problems.add(ReasonAddressUnusable, object, "the address of an endpoint is %q: set it to the IP address by which other hosts reach it", e.Addresses[0])
		return
	}
	node, ok := nodeOf(slice, e)
	if !ok {
		c.problems.add(ReasonEndpointWithoutNode, object,
			"nodeAddresses has no IP address for the node %q of the endpoint %s, which therefore gets no tunnel: add it", ptr.Deref(e.NodeName, ""), address)
	}
	c.add(object, Endpoint{Address: netip.AddrPortFrom(address, port), Protocol: protocol, Node: node, Unreadable: !ok && namesNode(slice, e),
		Draining: c.drains && !ready(e)})
}

// namesNode reports whether an endpoint's slice has an address of its node, valid or not.
func namesNode(slice *epicv1.GWEndpointSlice, e *discoveryv1.Endpoint) bool {
	return e.NodeName != nil && slice.Spec.NodeAddresses[*e.NodeName] != ""
}

// nodeOf returns the address of an endpoint's node.
func nodeOf(slice *epicv1.GWEndpointSlice, e *discoveryv1.Endpoint) (netip.Addr, bool) {
	if e.NodeName == nil {
		return netip.Addr{}, false
	}
	return nodeAddress(slice.Spec.NodeAddresses[*e.NodeName])
}
