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

// Plane is a data plane, implemented by *dataplane.DataPlane.
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

// HostNetwork is the host's own network, implemented by *host.Host.
type HostNetwork interface {
	Apply(host.Desired) (int, error)
	Run(ctx context.Context, repaired func(int, error))
	// Problems describes changes by others that keep packets from proxies.
	Problems() []string
}

// Config is the configuration of both roles.
type Config struct {
	Client versioned.Interface
	// Access is the client's credential. May be nil.
	Access *Access
	// Reach tracks whether the API responds to the client. May be nil.
	Reach  *Reach
	Plane  Plane
	Kernel underlay.Kernel

	// Nodes are the addresses by which the API identifies this node.
	Nodes []netip.Addr
	// Local maps Nodes to addresses of interfaces if they differ.
	Local map[netip.Addr]netip.Addr
	// Interfaces are the underlay interfaces; detected if empty.
	Interfaces []string
	// Port is the UDP port of this end.
	Port uint16
	// Cookies is the policy for cookies in data packets. If it requires them, the Plane
	// must require them, too.
	Cookies gue.CookiePolicy
	// StateDir is the directory for the last state.
	StateDir string
	// Name is the name of the node, and Version the version of this program.
	Name, Version string
	// StatusSocket and MetricsAddress are the addresses of the status and metrics
	// servers; a server is disabled if its address is empty.
	StatusSocket, MetricsAddress string
	// SecureMetrics serves metrics to authorized clients until stop is called. If nil,
	// they are served at MetricsAddress without authorization.
	SecureMetrics func(ctx context.Context, metrics http.Handler) (stop func(), err error)
	// TunnelMetrics enables series for each tunnel.
	TunnelMetrics bool
}

// Part is a function that runs in parallel with the rest, until the context ends. If it
// returns an error, the program ends.
type Part struct {
	// Name is the prefix of its errors.
	Name string
	Run  func(ctx context.Context) error
}

// GatewayConfig is the configuration of a gateway node.
type GatewayConfig struct {
	Config
	Proxies proxies.Source
	Host    HostNetwork
	// Announcer announces what Host delivers. May be nil.
	Announcer *announce.Announcer
	// Shares limits what one account may have of the Plane. The zero value means no
	// limit.
	Shares apply.Counts
	// Parts run in parallel, such as the server of the CNI plugin.
	Parts []Part
}

// ClientConfig is the configuration of a client node.
type ClientConfig struct {
	Config
	// Namespace is the tenant's namespace.
	Namespace string
	// Cluster is the client cluster to which the node belongs. If it is set, the node
	// ignores objects through which only other clusters publish.
	Cluster string
	// PingInterval is the time between PINGs on a working tunnel.
	PingInterval time.Duration
	// Ports excludes control packets from the host's NAT. May be nil.
	Ports PortKeeper
	// Forwarding returns reasons why packets of these families are not forwarded to pods.
	// May be nil.
	Forwarding func(four, six bool) []string
}

// PortKeeper makes packets from an address keep their source port, as *ownport.Keeper
// does.
type PortKeeper interface {
	Keep(netip.Addr) error
	// Repair reports whether it had to restore something.
	Repair() (bool, error)
}
