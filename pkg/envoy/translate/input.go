// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// LoadBalancerInput is the input for the translation of one load balancer.
type LoadBalancerInput struct {
	// LoadBalancer is the object itself.
	LoadBalancer *epicv1.LoadBalancer
	// Group is its service group, or nil if there is none.
	Group *epicv1.LBServiceGroup
	// Options are the options for the place where the proxy runs.
	Options Options
}

// GatewayInput is the input for the translation of one gateway proxy.
type GatewayInput struct {
	// Proxy is the object itself.
	Proxy *epicv1.GWProxy
	// Group is its service group, or nil if there is none.
	Group *epicv1.LBServiceGroup
	// Routes are routes that may belong to the proxy. Routes of other proxies and
	// namespaces, and routes that are being deleted, are ignored.
	Routes []*epicv1.GWRoute
	// Services are the Services to which the routes lead, as derived from the endpoint
	// slices, by UID. A missing one has no slices.
	Services map[string]*Service
	// Secrets holds the Secrets in the proxy's namespace, by name: at least those that
	// SecretsOf names, if they exist.
	Secrets map[string]*corev1.Secret
	// Now is the time at which the validity of certificates is checked. If it is zero,
	// validity is not checked.
	Now time.Time
	// Options are the options for the place where the proxy runs.
	Options Options
	// Earlier is a result of the same proxy, or nil. Unchanged parts are reused: the
	// result is the same as without it, but takes less time. Objects with the same
	// pointer must be unchanged.
	Earlier *Result
}

// Options describes the place where a proxy runs. The zero value is for a pod with a
// public interface.
type Options struct {
	// Addresses are the addresses on which the proxy listens. If empty, they are the
	// object's public and alternate address.
	Addresses []netip.Addr
	// ListenPort maps a published port to the one on which the proxy listens, for proxies
	// without an address of their own. If nil, both are the same.
	ListenPort func(published uint16) uint16
}

// Reach is the state of the tunnel from a proxy to a client node.
type Reach uint8

// Values of Reach, best first.
const (
	// ReachUp is a tunnel that carries packets.
	ReachUp Reach = iota
	// ReachUnknown is a tunnel without a report.
	ReachUnknown
	// ReachDown is a tunnel that carries no packets, or one without an ID.
	ReachDown
)

// EndpointsInput is the input for rendering the endpoints of a backend.
type EndpointsInput struct {
	// LoadBalancer and RemoteEndpoints are set for the backends of a load balancer.
	// Endpoints of others are ignored.
	LoadBalancer    *epicv1.LoadBalancer
	RemoteEndpoints []*epicv1.RemoteEndpoint
	// Namespace and Slices are set for the backends of a gateway proxy: its namespace,
	// and at least the slices of the Services that the backend names. Others are
	// ignored.
	Namespace string
	Slices    []*epicv1.GWEndpointSlice
	// Reach returns the state of the tunnel to a client node. Requests go to the
	// endpoints with the best state. If nil, all tunnels are assumed to be up. It is not
	// called for endpoints that do not need a tunnel.
	Reach func(clientNode netip.Addr) Reach
}
