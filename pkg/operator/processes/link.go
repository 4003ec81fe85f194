// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"fmt"
	"net/netip"

	"github.com/acnodal/epic/pkg/operator/workload"
)

// Link describes how a proxy is connected.
type Link struct {
	// Netns is the path of its network namespace, or empty for that of this host.
	Netns string `json:"netns,omitempty"`
	// Interface is the host's end of its interface, and MAC the hardware address of the
	// proxy's end. Both are empty if it has no interface of its own.
	Interface string `json:"interface,omitempty"`
	MAC       string `json:"mac,omitempty"`
	// Bridge is the bridge of the host's end.
	Bridge string `json:"bridge,omitempty"`
	// Addresses are the addresses on which it listens.
	Addresses []netip.Addr `json:"addresses"`
}

// Network connects proxies.
type Network interface {
	// Attach connects a proxy. An existing link is left unchanged. An error may be
	// temporary, for example if the node program has not created a bridge yet.
	Attach(id, pod string, p *workload.Proxy) (Link, error)
	// Restore restores the connection of a proxy from its record, without the API's
	// objects. It fails with the same errors.
	Restore(id string, r *record) error
	// Detach removes the connection that Attach created.
	Detach(id string, l Link) error
	// Do calls a function in the network namespace of the proxy's sockets.
	Do(l Link, do func() error) error
}

// publicAddresses returns the addresses of a proxy, at most one of each family.
func publicAddresses(p *workload.Proxy) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range []string{p.Address, p.AltAddress} {
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s/%s: %q is not an address", p.Kind, p.Namespace, p.Name, text)
		}
		if a = a.Unmap(); len(out) == 0 || out[0].Is4() != a.Is4() {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s %s/%s has no public address yet", p.Kind, p.Namespace, p.Name)
	}
	return out, nil
}

// Loopback listens on loopback addresses of this host, for a laptop without root. It has
// no tunnels, so endpoints must be reachable from this host.
type Loopback struct{}

// Attach implements Network. Each public address maps to a loopback address that ends in
// the same three bytes, so proxies do not conflict.
func (Loopback) Attach(_, _ string, p *workload.Proxy) (Link, error) {
	public, err := publicAddresses(p)
	if err != nil {
		return Link{}, err
	}
	return Link{Addresses: []netip.Addr{LoopbackAddress(public[0])}}, nil
}

// Restore implements Network. It has nothing to do.
func (Loopback) Restore(string, *record) error { return nil }

// LoopbackAddress returns the loopback address that represents a public address.
func LoopbackAddress(public netip.Addr) netip.Addr {
	b := public.AsSlice()
	n := len(b)
	return netip.AddrFrom4([4]byte{127, b[n-3], b[n-2], b[n-1]})
}

// LoopbackPort returns the port that represents a published one: the same, if
// unprivileged processes may listen on it.
func LoopbackPort(published uint16) uint16 {
	const reserved, shift = 1024, 10000
	if published < reserved {
		return published + shift
	}
	return published
}

// Detach implements Network.
func (Loopback) Detach(string, Link) error { return nil }

// Do implements Network.
func (Loopback) Do(_ Link, do func() error) error { return do() }

// Host listens on the public addresses themselves, which this host has or routes to
// itself. It has no tunnels either.
type Host struct{ Loopback }

// Attach implements Network.
func (Host) Attach(_, _ string, p *workload.Proxy) (Link, error) {
	public, err := publicAddresses(p)
	return Link{Addresses: public}, err
}
