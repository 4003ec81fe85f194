// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// LoadBalancerInput is what one load balancer is translated from.
type LoadBalancerInput struct {
	// LoadBalancer is the object itself.
	LoadBalancer *epicv1.LoadBalancer
	// Group is its service group; nil if there is none.
	Group *epicv1.LBServiceGroup
	// Options are of the place where the proxy runs.
	Options Options
}

// GatewayInput is what one gateway proxy is translated from.
type GatewayInput struct {
	// Proxy is the object itself.
	Proxy *epicv1.GWProxy
	// Group is its service group; nil if there is none.
	Group *epicv1.LBServiceGroup
	// Routes are those that may belong to the proxy. Routes of other proxies and
	// namespaces, and routes that are being deleted, are ignored.
	Routes []*epicv1.GWRoute
	// Services are what the endpoint slices tell of the Services to which the routes
	// lead, by UID. One that is missing has no slices.
	Services map[string]*Service
	// Secrets are the Secrets in the proxy's namespace, by name: at least those that
	// SecretsOf names, where they exist.
	Secrets map[string]*corev1.Secret
	// Now is the time at which it is judged whether certificates are valid. When zero, they
	// are not judged.
	Now time.Time
	// Options are of the place where the proxy runs.
	Options Options
	// Earlier is a result of the same proxy, or nil. Everything unchanged since then is
	// taken from it: the result is the same as without, and takes less time. Objects that
	// are the same pointer must be unchanged.
	Earlier *Result
}

// Options are of the place where a proxy runs. The zero value is right for a pod with a
// public interface.
type Options struct {
	// Addresses are those on which the proxy listens. When empty, the object's public
	// and alternate address.
	Addresses []netip.Addr
	// ListenPort maps a published port to the one that the proxy listens on, for
	// proxies that have no address of their own. When nil, both are the same.
	ListenPort func(published uint16) uint16
}

// Reach is what is known of the way from a proxy to a client node.
type Reach uint8

// The values of Reach, the best first.
const (
	// ReachUp is a tunnel that carries packets.
	ReachUp Reach = iota
	// ReachUnknown is a tunnel of which nothing was reported.
	ReachUnknown
	// ReachDown is a tunnel that carries nothing, or one that has no ID yet.
	ReachDown
)

// EndpointsInput is what the endpoints of a backend are rendered from.
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
	// Reach returns what is known of the tunnel to a client node. Requests go to the
	// endpoints with the best way. When nil, all tunnels count as up. It is not asked
	// about endpoints that do not need a tunnel.
	Reach func(clientNode netip.Addr) Reach
}
