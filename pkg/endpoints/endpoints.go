// SPDX-License-Identifier: Apache-2.0

// Package endpoints finds the tenants' pods that a load balancer or a gateway
// proxy sends requests to, and the nodes on which they run. It is pure: it reads
// API objects and writes nothing. Both the controller, which wants tunnels to
// these nodes, and the node programs, which let packets of these endpoints pass,
// decide with it, so that they agree.
package endpoints

import "net/netip"

// Endpoint is one address and port of a tenant's pod that may get requests.
type Endpoint struct {
	// Address is the pod's address and port, inside the tunnel.
	Address netip.AddrPort
	// Protocol is the number of the transport protocol: 6 for TCP, 17 for UDP.
	Protocol uint8
	// Node is the address of the tenant's node at which tunnels end; the zero value
	// when it is not known.
	Node netip.Addr
}
