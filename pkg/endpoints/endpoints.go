// SPDX-License-Identifier: Apache-2.0

// Package endpoints determines the tenants' pods to which a load balancer or a gateway
// proxy sends requests, and the nodes on which they run. It is pure: it reads API objects
// and writes nothing. The controller, which creates tunnels to these nodes, and the node
// programs, which allow packets of these endpoints, both use it, so they agree.
//
// It does not trust its input. Invalid endpoints are left out and reported as a Problem;
// nothing is guessed.
package endpoints

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaveAfter is how long connections to an endpoint continue after its object has lost
// it. Nodes keep its open connections and open no new ones. If only this endpoint needed
// a tunnel, the controller keeps it a little longer.
const LeaveAfter = time.Minute

// Endpoint is one address and port of a tenant's pod that may get requests.
type Endpoint struct {
	// Address is the pod's address and port, inside the tunnel.
	Address netip.AddrPort
	// Node is the address of the client node at which tunnels end; the zero value if it
	// is not known, or if the endpoint does not need one.
	Node netip.Addr
	// Protocol is the number of the transport protocol: 6 for TCP, 17 for UDP.
	Protocol uint8
	// Unreadable indicates that the named node has an invalid address, so the endpoint
	// can't be reached: neither through a tunnel nor directly.
	Unreadable bool `json:",omitempty"`
	// Draining indicates that the endpoint is terminating and still serves: it only gets
	// new requests if there is no other. Only OfBackend sets it.
	Draining bool `json:",omitempty"`
}

// Direct reports whether a proxy reaches the endpoint without a tunnel.
func (e *Endpoint) Direct() bool { return !e.Node.IsValid() && !e.Unreadable }

// Nodes returns the distinct nodes to which these endpoints need tunnels, sorted by
// address.
func Nodes(endpoints []Endpoint) []netip.Addr {
	var nodes []netip.Addr
	for _, e := range endpoints {
		if e.Node.IsValid() {
			nodes = append(nodes, e.Node)
		}
	}
	slices.SortFunc(nodes, netip.Addr.Compare)
	return slices.Compact(nodes)
}

// target identifies an endpoint, which one proxy can have only once.
type target struct {
	address  netip.AddrPort
	protocol uint8
}

// set is a set of endpoints.
type set map[target]way

// way is how an endpoint is reached.
type way struct {
	node       netip.Addr
	unreadable bool
	draining   bool
}

// add adds an endpoint. A proxy can only distinguish pods by their addresses, so if
// several nodes are reported for the same address, the lowest wins, and a known node wins
// over an unknown one. add returns false if two nodes are known.
func (s set) add(e Endpoint) bool {
	key := target{e.Address, e.Protocol}
	has, ok := s[key]
	// An endpoint in several slices is draining if all of them report it as such.
	draining := e.Draining && (has.draining || !ok)
	switch {
	case !ok || !has.node.IsValid():
		// An endpoint that is reported to be on a node is never reached directly.
		s[key] = way{e.Node, !e.Node.IsValid() && (e.Unreadable || has.unreadable), draining}
		return true
	case !e.Node.IsValid() || e.Node == has.node:
		s[key] = way{has.node, has.unreadable, draining}
		return true
	case e.Node.Less(has.node):
		s[key] = way{node: e.Node, draining: draining}
		return false
	}
	s[key] = way{has.node, has.unreadable, draining}
	return false
}

// sorted returns all endpoints, sorted by address, port and protocol.
func (s set) sorted() []Endpoint {
	all := make([]Endpoint, 0, len(s))
	for key, way := range s {
		all = append(all, Endpoint{Address: key.address, Protocol: key.protocol, Node: way.node, Unreadable: way.unreadable, Draining: way.draining})
	}
	slices.SortFunc(all, func(a, b Endpoint) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol))
	})
	return all
}

// collector collects endpoints for both kinds of proxy.
type collector struct {
	endpoints set
	problems  problems
	// drains makes the collector report draining endpoints.
	drains bool
}

func newCollector() *collector { return &collector{endpoints: set{}, problems: problems{}} }

// add adds one endpoint from an object, such as "RemoteEndpoint web".
func (c *collector) add(object string, e Endpoint) {
	if !c.endpoints.add(e) {
		c.problems.add(ReasonAddressOnSeveralNodes, object,
			"%s is reported on several nodes, and only the lowest node address is used: give each endpoint a unique address", e.Address)
	}
}

func (c *collector) result() ([]Endpoint, []Problem) {
	return c.endpoints.sorted(), c.problems.sorted()
}

// object is implemented by pointers to API objects.
type object interface {
	comparable
	metav1.Object
}

// mine returns the objects in the namespace of their owner that are not being deleted,
// sorted by name, so the result does not depend on the order of the input.
func mine[T object](owner metav1.Object, all []T) []T {
	var out []T
	var none T
	for _, obj := range all {
		if obj != none && obj.GetNamespace() == owner.GetNamespace() && obj.GetDeletionTimestamp() == nil {
			out = append(out, obj)
		}
	}
	slices.SortFunc(out, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}
