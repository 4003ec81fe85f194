// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/underlay"
)

// Plane is a data plane, as *dataplane.DataPlane is one.
type Plane interface {
	Tunnels() dataplane.Tunnels
	Services() dataplane.Services
	Openings() dataplane.Openings
	Directs() dataplane.Directs
	Proxies() dataplane.Proxies
	Underlay() dataplane.Underlay
	dataplane.Repairer
	dataplane.Observer
}

// HostNetwork is the host's own network, as *host.Host is it.
type HostNetwork interface {
	Apply(host.Desired) (int, error)
	Run(ctx context.Context, repaired func(int, error))
	// Problems are what others did that keeps packets from proxies.
	Problems() []string
}

// Config is what both roles need.
type Config struct {
	Client versioned.Interface
	// Access is the client's credential. May be nil.
	Access *Access
	// Reach has noted whether the API answers the client. May be nil.
	Reach  *Reach
	Plane  Plane
	Kernel underlay.Kernel

	// Nodes are the addresses by which the API knows this node.
	Nodes []netip.Addr
	// Local are addresses of interfaces where they differ from Nodes.
	Local map[netip.Addr]netip.Addr
	// Interfaces are the underlay's; found by themselves if empty.
	Interfaces []string
	// Port is the UDP port of this end.
	Port uint16
	// Cookies reports whether data packets carry cookies. If they are required, the Plane has
	// to be one that requires them.
	Cookies gue.CookiePolicy
	// StateDir is where the last state is kept.
	StateDir string
	// Name and Version are those of the node and of this program.
	Name, Version string
	// StatusSocket and MetricsAddress are where the program is asked; neither is
	// served if empty.
	StatusSocket, MetricsAddress string
	// SecureMetrics serves metrics to authorized clients until stop is called. If nil, they
	// are served at MetricsAddress to everybody who reaches it.
	SecureMetrics func(ctx context.Context, metrics http.Handler) (stop func(), err error)
	// TunnelMetrics has series of each tunnel.
	TunnelMetrics bool
}

// Part is something that runs next to the rest, until the context ends. That it ends
// earlier with an error ends the program.
type Part struct {
	// Name is what an error begins with.
	Name string
	Run  func(ctx context.Context) error
}

// GatewayConfig is what a gateway node needs besides.
type GatewayConfig struct {
	Config
	Proxies proxies.Source
	Host    HostNetwork
	// Announcer announces what Host delivers. May be nil.
	Announcer *announce.Announcer
	// Shares are what one account may have of the Plane. Zero is no limit.
	Shares apply.Counts
	// Parts run next to it, such as the server of the CNI plugin.
	Parts []Part
}

// ClientConfig is what a client node needs besides.
type ClientConfig struct {
	Config
	// Namespace is the tenant's.
	Namespace string
	// Cluster is the client cluster that the node belongs to. If it is not empty, objects
	// through which only other clusters publish do not concern the node.
	Cluster string
	// PingInterval is the time between PINGs on a tunnel that works.
	PingInterval time.Duration
	// Ports keeps the host's NAT from control packets. May be nil.
	Ports PortKeeper
	// Forwarding returns what keeps packets of these families from being forwarded to
	// pods. May be nil.
	Forwarding func(four, six bool) []string
}

// PortKeeper has what leaves from an address keep its port, as *ownport.Keeper does.
type PortKeeper interface {
	Keep(netip.Addr) error
	// Repair reports whether it had to put something back.
	Repair() (bool, error)
}
