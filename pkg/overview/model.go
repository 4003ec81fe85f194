// SPDX-License-Identifier: Apache-2.0

package overview

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Objects is the input of a Model: everything that the reader may see.
type Objects struct {
	// Now is when they were read.
	Now metav1.Time `json:"now"`

	EPIC             *v1.EPIC              `json:"epic,omitempty"`
	Prefixes         []*v1.ServicePrefix   `json:"prefixes,omitempty"`
	GatewayNodes     []*v1.GatewayNode     `json:"gatewayNodes,omitempty"`
	Accounts         []*v1.Account         `json:"accounts,omitempty"`
	Groups           []*v1.LBServiceGroup  `json:"groups,omitempty"`
	LoadBalancers    []*v1.LoadBalancer    `json:"loadBalancers,omitempty"`
	GWProxies        []*v1.GWProxy         `json:"gwproxies,omitempty"`
	RemoteEndpoints  []*v1.RemoteEndpoint  `json:"remoteEndpoints,omitempty"`
	GWRoutes         []*v1.GWRoute         `json:"gwroutes,omitempty"`
	GWEndpointSlices []*v1.GWEndpointSlice `json:"gwendpointslices,omitempty"`
	// Pods are the pods of proxies.
	Pods []*corev1.Pod `json:"pods,omitempty"`
	// PodsRead indicates that Pods is complete, so a missing pod does not exist.
	PodsRead bool `json:"podsRead,omitempty"`
	// Unread is what could not be read.
	Unread []Unread `json:"unread,omitempty"`
	// Checks are the checks of the installation.
	Checks []Check `json:"checks,omitempty"`
}

// State is the state of an object or a part.
type State string

// Values of State, from worst to best.
const (
	Bad     State = "bad"
	Warning State = "warn"
	Unknown State = "unknown"
	Good    State = "ok"
)

// rank orders states, worst first.
func (s State) rank() int {
	switch s {
	case Bad:
		return 0
	case Warning:
		return 1
	case Unknown:
		return 2
	}
	return 3
}

// worse returns the worse of two states.
func (s State) worse(other State) State {
	if other.rank() < s.rank() {
		return other
	}
	return s
}

// Fault is one problem.
type Fault struct {
	// Key identifies the fault while it lasts.
	Key string `json:"key"`
	// State is Bad if something is not served because of it, and otherwise Warning.
	State State `json:"state"`
	// Kind, Namespace and Name identify the object; all are empty for a part of the
	// installation, which Subject names.
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Subject names the object of the fault, for people.
	Subject string `json:"subject"`
	// Proxy is the load balancer or gateway proxy that the fault concerns, if any.
	Proxy string `json:"proxy,omitempty"`
	// Reason is the reason of the condition, and Message explains it.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
	// Fix describes what to do.
	Fix string `json:"fix,omitempty"`
	// Since is when it began, if known.
	Since metav1.Time `json:"since,omitempty,omitzero"`
	// Count is the number of objects that have it, if there are several.
	Count int `json:"count,omitempty"`
}

// Model is everything to show.
type Model struct {
	Now metav1.Time `json:"now"`
	// Totals summarizes the rest.
	Totals Totals `json:"totals"`
	// Faults lists all faults, worst first.
	Faults       []Fault       `json:"faults,omitempty"`
	Checks       []Check       `json:"checks,omitempty"`
	Unread       []Unread      `json:"unread,omitempty"`
	Accounts     []*Account    `json:"accounts,omitempty"`
	GatewayNodes []GatewayNode `json:"gatewayNodes,omitempty"`
	Pools        []Pool        `json:"pools,omitempty"`
}

// Totals holds sums over everything that the reader may see.
type Totals struct {
	Accounts     int    `json:"accounts"`
	Proxies      Counts `json:"proxies,omitzero"`
	Envoys       Counts `json:"envoys,omitzero"`
	Tunnels      Counts `json:"tunnels,omitzero"`
	Endpoints    Counts `json:"endpoints,omitzero"`
	GatewayNodes Counts `json:"gatewayNodes,omitzero"`
}

// Counts counts parts by their state.
type Counts struct {
	Good    int `json:"ok,omitempty"`
	Warning int `json:"warn,omitempty"`
	Bad     int `json:"bad,omitempty"`
	Unknown int `json:"unknown,omitempty"`
}

// All returns the number of parts.
func (c Counts) All() int { return c.Good + c.Warning + c.Bad + c.Unknown }

// Worst returns the state of the worst part, or Unknown without parts.
func (c Counts) Worst() State {
	switch {
	case c.Bad > 0:
		return Bad
	case c.Warning > 0:
		return Warning
	case c.Unknown > 0 || c.Good == 0:
		return Unknown
	}
	return Good
}

// Together returns the state of redundant parts.
func (c Counts) Together() State {
	switch {
	case c.Good > 0 && c.Bad == 0:
		return Good
	case c.Good > 0 || c.Bad > 0 && c.Bad < c.All() || c.Warning > 0:
		return Warning
	case c.Bad > 0:
		return Bad
	}
	return Unknown
}

func (c *Counts) count(s State) {
	switch s {
	case Bad:
		c.Bad++
	case Warning:
		c.Warning++
	case Good:
		c.Good++
	case Unknown:
		c.Unknown++
	}
}

func (c *Counts) add(o Counts) {
	c.Good += o.Good
	c.Warning += o.Warning
	c.Bad += o.Bad
	c.Unknown += o.Unknown
}

func (t *Totals) add(o Totals) {
	t.Accounts += o.Accounts
	t.Proxies.add(o.Proxies)
	t.Envoys.add(o.Envoys)
	t.Tunnels.add(o.Tunnels)
	t.Endpoints.add(o.Endpoints)
}

// Account is the content of one account.
type Account struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	State     State  `json:"state"`
	// Known indicates that the Account object was read.
	Known      bool               `json:"known"`
	ProxyLimit int                `json:"proxyLimit,omitempty"`
	GroupID    int32              `json:"groupID,omitempty"`
	Groups     []Group            `json:"groups,omitempty"`
	Proxies    []*Proxy           `json:"proxies,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Faults     []Fault            `json:"faults,omitempty"`
	Totals     Totals             `json:"totals"`
}

// Group is a service group that an account may use.
type Group struct {
	Name    string `json:"name"`
	Prefix  string `json:"prefix,omitempty"`
	Offered bool   `json:"offered,omitempty"`
	State   State  `json:"state"`
}

// Proxy is a load balancer or a gateway proxy, and the path from its address to its
// endpoints.
type Proxy struct {
	Kind        string   `json:"kind"`
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName,omitempty"`
	Group       string   `json:"group,omitempty"`
	Addresses   []string `json:"addresses,omitempty"`
	DNSNames    []string `json:"dnsNames,omitempty"`
	Ports       []string `json:"ports,omitempty"`
	State       State    `json:"state"`
	// Envoys and EnvoysReady are reported by the operator; Operated indicates that it
	// reports.
	Operated    bool  `json:"operated,omitempty"`
	Envoys      int32 `json:"envoys,omitempty"`
	EnvoysReady int32 `json:"envoysReady,omitempty"`
	// Pods are the proxy's pods, by name.
	Pods []Pod `json:"pods,omitempty"`
	// ClientNodes are the nodes with endpoints, by address.
	ClientNodes []ClientNode `json:"clientNodes,omitempty"`
	// Direct are the endpoints without a tunnel: those that are reached directly, and
	// those whose node is unknown.
	Direct     []Endpoint         `json:"direct,omitempty"`
	Tunnels    Counts             `json:"tunnels,omitzero"`
	Endpoints  Counts             `json:"endpoints,omitzero"`
	Listeners  []Listener         `json:"listeners,omitempty"`
	Routes     []Route            `json:"routes,omitempty"`
	Rejection  *v1.EnvoyRejection `json:"rejection,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Faults     []Fault            `json:"faults,omitempty"`
}

// Pod is one pod of a proxy.
type Pod struct {
	Name string `json:"name"`
	// GatewayNode is the address of its gateway node, and Node the node's name.
	GatewayNode string `json:"gatewayNode,omitempty"`
	Node        string `json:"node,omitempty"`
	Interface   string `json:"interface,omitempty"`
	State       State  `json:"state"`
	// Status describes the state.
	Status   string `json:"status"`
	Restarts int32  `json:"restarts,omitempty"`
}

// ClientNode is a client node, with the tunnels that lead to it and its endpoints.
type ClientNode struct {
	Address   string     `json:"address"`
	State     State      `json:"state"`
	Tunnels   []Tunnel   `json:"tunnels,omitempty"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
}

// Tunnel leads from a gateway node to a client node.
type Tunnel struct {
	ID int32 `json:"id,omitempty"`
	// GatewayNode is the address of the near end, and GatewayName the name of its node.
	GatewayNode string `json:"gatewayNode"`
	GatewayName string `json:"gatewayName,omitempty"`
	Port        int32  `json:"port,omitempty"`
	State       State  `json:"state"`
	// Status describes the state.
	Status string `json:"status"`
}

// Endpoint is where requests are served.
type Endpoint struct {
	Address string `json:"address"`
	// Object is the name of the RemoteEndpoint, and Cluster the client cluster.
	Object  string `json:"object,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	State   State  `json:"state"`
	Status  string `json:"status"`
}

// Listener is a listener of a gateway proxy.
type Listener struct {
	Name   string `json:"name"`
	Routes int32  `json:"routes"`
	State  State  `json:"state"`
	Status string `json:"status"`
}

// Route is a route of a gateway proxy.
type Route struct {
	Name      string   `json:"name"`
	Client    string   `json:"client,omitempty"`
	Type      string   `json:"type"`
	Hostnames []string `json:"hostnames,omitempty"`
	State     State    `json:"state"`
	Status    string   `json:"status"`
}

// GatewayNode is a node of the gateway cluster.
type GatewayNode struct {
	Address   string      `json:"address"`
	Name      string      `json:"name,omitempty"`
	Version   string      `json:"version,omitempty"`
	State     State       `json:"state"`
	Heartbeat metav1.Time `json:"heartbeat,omitempty,omitzero"`
	Tunnels   Counts      `json:"tunnels,omitzero"`
	// Proxies is the number of proxy pods on the node that the reader may see.
	Proxies    int                `json:"proxies"`
	Routes     int32              `json:"routes,omitempty"`
	Layer2     int32              `json:"layer2,omitempty"`
	Peers      []Peer             `json:"peers,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Faults     []Fault            `json:"faults,omitempty"`
}

// Peer is a BGP peer of a gateway node.
type Peer struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	State   State  `json:"state"`
	Status  string `json:"status"`
}

// Pool is a pool of public addresses.
type Pool struct {
	Prefix  string `json:"prefix"`
	Range   string `json:"range,omitempty"`
	Size    string `json:"size,omitempty"`
	InUse   int    `json:"inUse"`
	Percent int    `json:"percent"`
	State   State  `json:"state"`
	Status  string `json:"status"`
}
