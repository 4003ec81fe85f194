// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"fmt"
	"net/netip"

	"github.com/acnodal/epic/pkg/operator/workload"
)

// Link is how a proxy is connected.
type Link struct {
	// Netns is the path of its network namespace; empty for that of this host.
	Netns string `json:"netns,omitempty"`
	// Interface is the host's end of its interface, and MAC the hardware address of
	// the proxy's end; both are empty where it has none of its own.
	Interface string `json:"interface,omitempty"`
	MAC       string `json:"mac,omitempty"`
	// Bridge is that of the host's end.
	Bridge string `json:"bridge,omitempty"`
	// Addresses are what it listens on.
	Addresses []netip.Addr `json:"addresses"`
}

// Network connects proxies.
type Network interface {
	// Attach connects a proxy. An existing link is left as it is. An error may go away
	// by itself, as when the node program has not made a bridge yet.
	Attach(id, pod string, p *workload.Proxy) (Link, error)
	// Restore connects a proxy again as it was, without the API's objects. It fails with
	// the same errors.
	Restore(id string, r *record) error
	// Detach removes what Attach made.
	Detach(id string, l Link) error
	// Do runs a function where the proxy's sockets belong.
	Do(l Link, do func() error) error
}

// publicAddresses are those of a proxy, at most one of each family.
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

// Loopback listens on loopback addresses of this host, for a laptop without root. No
// tunnel leads there, so endpoints have to be reachable from this host.
type Loopback struct{}

// Attach implements Network. Each public address has a loopback address that ends in
// the same three bytes, so proxies do not meet.
func (Loopback) Attach(_, _ string, p *workload.Proxy) (Link, error) {
	public, err := publicAddresses(p)
	if err != nil {
		return Link{}, err
	}
	return Link{Addresses: []netip.Addr{LoopbackAddress(public[0])}}, nil
}

// Restore implements Network. Nothing has to be made.
func (Loopback) Restore(string, *record) error { return nil }

// LoopbackAddress is the loopback address that stands for a public address.
func LoopbackAddress(public netip.Addr) netip.Addr {
	b := public.AsSlice()
	n := len(b)
	return netip.AddrFrom4([4]byte{127, b[n-3], b[n-2], b[n-1]})
}

// LoopbackPort is the port that stands for a published one: the same, where everybody
// may listen there.
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
// itself. No tunnel leads there either.
type Host struct{ Loopback }

// Attach implements Network.
func (Host) Attach(_, _ string, p *workload.Proxy) (Link, error) {
	public, err := publicAddresses(p)
	return Link{Addresses: public}, err
}
