// SPDX-License-Identifier: Apache-2.0

package world

// The addresses of the world. The public ones are those of artifacts/samples.
const (
	// GatewayAddress and GatewayAddress6 are the gateway node's.
	GatewayAddress  = "192.0.2.40"
	GatewayAddress6 = "2001:db8:2::40"
	// NodeAddress and NodeAddress6 are those of each client node, behind NAT.
	NodeAddress  = "192.168.1.16"
	NodeAddress6 = "fd00:1::16"
	// PodAddress and PodAddress6 are those of each tenant's pod.
	PodAddress  = "10.244.0.5"
	PodAddress6 = "fd00:244::5"
	// PublicPrefix and PublicPrefix6 are the proxies' addresses.
	PublicPrefix  = "192.168.77.0/24"
	PublicPrefix6 = "2001:db8:77::/64"
	// Bridge is the bridge of the proxies on the gateway node, which its program makes.
	Bridge = "multus0"

	// The router's ends of its links.
	routerToGateway  = "192.0.2.1"
	routerToGateway6 = "2001:db8:2::1"
	visitorAddress   = "203.0.113.9"
	visitorAddress6  = "2001:db8:3::9"
	routerToVisitor  = "203.0.113.1"
	routerToVisitor6 = "2001:db8:3::1"
	// The proxies' way out, the same on every gateway node.
	proxyGateway  = "169.254.1.1"
	proxyGateway6 = "fe80::1"
)
