// SPDX-License-Identifier: Apache-2.0

// Package status serves the state of a running node program: a report as JSON and a trace
// on a Unix socket for root, human-readable tables, metrics for Prometheus, and probes. It
// does not collect any data itself.
package status

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/underlay"
)

// Report is the state of a node program.
type Report struct {
	Role    string       `json:"role"`
	Version string       `json:"version"`
	Name    string       `json:"name"`
	Nodes   []netip.Addr `json:"nodes"`
	Port    uint16       `json:"port"`
	Started time.Time    `json:"started"`
	Now     time.Time    `json:"now"`
	// Source is the source of the state: "api", "disk" or "none".
	Source string `json:"source"`
	// Synced is set if the state is from the API and the API is being watched.
	Synced bool `json:"synced"`
	// Problems describes the problems of the node.
	Problems   []string             `json:"problems"`
	Interfaces []underlay.Interface `json:"interfaces"`
	Proxies    []Proxy              `json:"proxies,omitempty"`
	Tunnels    []Tunnel             `json:"tunnels"`
	// Announcements are what a gateway node announces.
	Announcements announce.Status `json:"announcements,omitzero"`
	// Directs are the endpoints without a tunnel, on a gateway node.
	Directs []Direct `json:"directs,omitempty"`
	// Drops counts dropped packets, by reason.
	Drops map[dataplane.DropReason]uint64 `json:"drops"`
	// Flows holds the flow counts of addresses that several pods of a proxy on this
	// gateway node have.
	Flows []dataplane.AddressCounts `json:"flows,omitempty"`
	// Fragments holds the counts of first fragments of the proxies' addresses on a
	// gateway node.
	Fragments []dataplane.AddressCounts `json:"fragments,omitempty"`
	// Control counts received control packets, by result.
	Control    map[string]uint64 `json:"control"`
	SendErrors uint64            `json:"sendErrors"`
	// Applied and the following fields count load balancers and gateway proxies, by
	// whether they are applied.
	Applied int `json:"applied"`
	Failed  int `json:"failed"`
	// Repairs is the number of restored objects.
	Repairs uint64 `json:"repairs"`
	// Saved is when the state was last written to disk.
	Saved time.Time `json:"saved,omitzero"`
	// CredentialExpires is when the node's credential for the API expires.
	CredentialExpires time.Time `json:"credentialExpires,omitzero"`
}

// Proxy is one proxy on a gateway node.
type Proxy struct {
	Object    string       `json:"object"`
	Pod       string       `json:"pod"`
	Interface string       `json:"interface"`
	Index     int          `json:"index"`
	Addresses []netip.Addr `json:"addresses"`
}

// Open is the state of an endpoint that proxies reach without a tunnel.
const Open = "open"

// Direct is one endpoint without a tunnel.
type Direct struct {
	Object   string         `json:"object"`
	Endpoint netip.AddrPort `json:"endpoint"`
	// Protocol is 6 for TCP or 17 for UDP.
	Protocol uint8 `json:"protocol"`
	// State is Open, or why the endpoint is closed.
	State string `json:"state"`
}

// CompareDirects orders by object, endpoint and protocol.
func CompareDirects(a, b Direct) int {
	return cmp.Or(cmp.Compare(a.Object, b.Object), a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Protocol, b.Protocol))
}

// States of a tunnel.
const (
	// Up is a tunnel whose far end responds.
	Up = "up"
	// Down is a tunnel whose far end has responded before.
	Down = "down"
	// Opening is a tunnel whose far end has not responded yet.
	Opening = "opening"
	// NoKey is a tunnel that can't be opened before the API returns its key.
	NoKey = "no-key"
)

// Cookies is how the packets of a tunnel use cookies.
type Cookies string

// Values of Cookies.
const (
	// CookiesRequired is a tunnel in which packets without a cookie are dropped here.
	CookiesRequired Cookies = "required"
	// CookiesSent is a tunnel in which this end sends cookies, and does not yet know that
	// the far end always does.
	CookiesSent Cookies = "sent"
	// CookiesNone is a tunnel in which this end sends none.
	CookiesNone Cookies = "none"
)

// Tunnel is one tunnel.
type Tunnel struct {
	ID        uint32         `json:"id"`
	Kind      string         `json:"kind"`
	Namespace string         `json:"namespace"`
	Object    string         `json:"object"`
	Local     netip.AddrPort `json:"local"`
	// Remote is the verified far end; invalid if there is none.
	Remote netip.AddrPort `json:"remote,omitzero"`
	MTU    uint16         `json:"mtu"`
	State  string         `json:"state"`
	// Seen is when the far end last responded.
	Seen time.Time `json:"seen,omitzero"`
	// RTT is the last round-trip time, in nanoseconds.
	RTT time.Duration `json:"rtt,omitempty"`
	// Unanswered is the number of consecutive PINGs without a response, on a client node.
	Unanswered int `json:"unanswered,omitempty"`
	// Cookies is how packets of the tunnel use cookies.
	Cookies  Cookies            `json:"cookies"`
	Services int                `json:"services"`
	Counters dataplane.Counters `json:"counters"`
}

// Source provides the state to show.
type Source interface {
	// Report returns the current state.
	Report() Report
	// Trace shows a tunnel's packets until the context ends.
	Trace(ctx context.Context, tunnel uint32, show func(dataplane.TraceEvent)) error
	// Ready returns why the node can't do its work yet, or nil if it can.
	Ready() error
	// Healthy returns why the program should be restarted, or nil if it is healthy.
	Healthy() error
}
