// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/test/netlab"
)

// Proxy is the pod of a proxy on the EPIC node, with the interface that the CNI
// plugin would make.
type Proxy struct {
	*netlab.Namespace
	// Interface is how a node program is told of it.
	Interface proxies.Interface
}

// Proxy makes a pod with the given public addresses, at most one of each family,
// on the bridge of the EPIC node.
func (w *World) Proxy(kind proxies.Kind, namespace, owner, pod string, addresses ...netip.Addr) (*Proxy, error) {
	ns, err := w.lab.Namespace(pod)
	if err != nil {
		return nil, err
	}
	name := hostEnd(pod)
	err = steps(
		func() error { return netlab.Veth(w.Gateway, name, ns, "net1", w.mtu) },
		func() error { return w.join(name) },
		func() error {
			var errs []error
			for _, address := range addresses {
				if address.Is4() {
					errs = append(errs, ns.Addr("net1", address.String()+"/24"), ns.Route("0.0.0.0/0", bridgeAddress, ""))
				} else {
					errs = append(errs, ns.Addr("net1", address.String()+"/64"), ns.Route("::/0", bridgeAddress6, ""))
				}
			}
			return errors.Join(errs...)
		},
	)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", pod, err)
	}
	host, err := w.Gateway.LinkByName(name)
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
			Index: host.Attrs().Index, Name: name, PeerMAC: peer.Attrs().HardwareAddr, Addresses: addresses,
		},
	}, nil
}

func (w *World) join(port string) error {
	bridge, err := w.Gateway.LinkByName(Bridge)
	if err != nil {
		return err
	}
	link, err := w.Gateway.LinkByName(port)
	if err != nil {
		return err
	}
	return w.Gateway.LinkSetMaster(link, bridge)
}

// hostEnd is a name that fits into an interface's 15 characters.
func hostEnd(pod string) string {
	name := "v-" + pod
	return name[:min(len(name), 15)]
}
