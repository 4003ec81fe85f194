// SPDX-License-Identifier: Apache-2.0

// Package proxies reports which proxies run on this node, and their interfaces. A source
// is anything that attaches proxies; the one in this package is a static description, for
// hosts without Kubernetes and for tests. It creates no interface and programs nothing.
package proxies

import (
	"cmp"
	"context"
	"net"
	"net/netip"
)

// Kind is the kind of the object that a proxy runs for.
type Kind string

// Kinds of objects that have proxies.
const (
	LoadBalancer Kind = "LoadBalancer"
	GWProxy      Kind = "GWProxy"
)

// Interface is the second interface of one proxy's pod.
type Interface struct {
	// Kind, Namespace and Owner identify the object that the proxy runs for.
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace"`
	Owner     string `json:"owner"`
	// Pod is the pod's name, the key in status.proxy-if-info.
	Pod string `json:"pod"`
	// Index and Name identify the host's end.
	Index int    `json:"index"`
	Name  string `json:"name"`
	// PeerMAC is the hardware address of the pod's end.
	PeerMAC net.HardwareAddr `json:"peerMAC"`
	// Addresses are the public and alternate addresses of the pod's end.
	Addresses []netip.Addr `json:"addresses"`
	// Standby indicates that the proxy is not ready or is terminating: other proxies with
	// its address get new connections of visitors while there are any.
	Standby bool `json:"standby,omitempty"`
	// Served is set if the proxy was ready before.
	Served bool `json:"served,omitempty"`
}

// Compare orders interfaces by namespace, pod and name.
func Compare(x, y Interface) int {
	return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Pod, y.Pod), cmp.Compare(x.Name, y.Name))
}

// Source reports the proxies of this node.
type Source interface {
	// List returns the running proxies, sorted by namespace and pod.
	List() []Interface
	// Run watches for changes until the context ends, and calls changed after each. The
	// first call indicates that List is complete.
	Run(ctx context.Context, changed func()) error
}
