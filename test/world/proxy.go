// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/test/netlab"
)

// Proxy is the pod of a proxy on the gateway node, with the interface that the CNI
// plugin would make.
type Proxy struct {
	*netlab.Namespace
	// Interface is how a node program is told of it.
	Interface proxies.Interface
}

// Proxy makes a pod with the given public addresses, at most one of each family. The
// gateway node's program makes its host end a port of the bridge.
func (w *World) Proxy(kind proxies.Kind, namespace, owner, pod string, addresses ...netip.Addr) (*Proxy, error) {
	ns, err := w.lab.Namespace(pod)
	if err != nil {
		return nil, err
	}
	name := hostEnd(pod)
	err = steps(
		func() error { return netlab.Veth(w.Gateway, name, ns, "net1", w.mtu) },
		func() error { return attach(ns, addresses) },
	)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", pod, err)
	}
	outer, err := w.Gateway.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", pod, err)
	}
	peer, err := ns.LinkByName("net1")
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", pod, err)
	}
	return &Proxy{
		Namespace: ns,
		Interface: proxies.Interface{
			Kind: kind, Namespace: namespace, Owner: owner, Pod: pod,
			Index: outer.Attrs().Index, Name: name, PeerMAC: peer.Attrs().HardwareAddr, Addresses: addresses,
		},
	}, nil
}

// attach gives a proxy's interface its addresses and its routes. The gateways stand
// for the bridge, whatever addresses that has.
func attach(ns *netlab.Namespace, addresses []netip.Addr) error {
	link, err := ns.LinkByName("net1")
	if err != nil {
		return err
	}
	for _, address := range addresses {
		gateway, all := netip.MustParseAddr(proxyGateway), "0.0.0.0/0"
		if address.Is6() {
			gateway, all = netip.MustParseAddr(proxyGateway6), "::/0"
		}
		err := steps(
			func() error { return ns.Addr("net1", fmt.Sprintf("%s/%d", address, address.BitLen())) },
			func() error {
				return ns.NeighSet(&netlink.Neigh{
					LinkIndex: link.Attrs().Index, IP: gateway.AsSlice(), HardwareAddr: host.BridgeMAC(Bridge), State: netlink.NUD_PERMANENT,
				})
			},
			func() error { return ns.Route(fmt.Sprintf("%s/%d", gateway, gateway.BitLen()), "", "net1") },
			func() error { return ns.Route(all, gateway.String(), "net1") },
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// hostEnd is a name that fits into an interface's 15 characters.
func hostEnd(pod string) string {
	name := "v-" + pod
	return name[:min(len(name), 15)]
}
