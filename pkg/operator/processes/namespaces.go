// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/cni"
	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/ownthread"
)

// Namespaces gives each proxy a network namespace with its public addresses, as the CNI
// plugin does for pods. It requires root.
type Namespaces struct {
	// Prefix returns a service prefix, which names the bridge, or nil if it does not
	// exist.
	Prefix func(name string) *epicv1.ServicePrefix
}

const (
	namespaceFolder = "/run/netns"
	// network is the network name in the aliases of interfaces, in place of the name of a
	// pod's CNI configuration.
	network = "epic-operator"
	// noInterface is the name of the first interface, which these proxies do not have.
	noInterface = "none"
)

func attachmentOf(id string) wire.Attachment {
	return wire.Attachment{Network: network, Container: id, Interface: noInterface}
}

func namespaceName(id string) string { return "epic-" + id }

// Attach implements Network.
func (n *Namespaces) Attach(id, pod string, p *workload.Proxy) (Link, error) {
	addresses, err := publicAddresses(p)
	if err != nil {
		return Link{}, err
	}
	prefix := n.Prefix(p.Prefix)
	if prefix == nil {
		return Link{}, fmt.Errorf("the ServicePrefix %q does not exist", p.Prefix)
	}
	return attachNamespace(id, &record{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, Pod: pod, Link: Link{Addresses: addresses, Bridge: cni.Bridge(prefix)}})
}

// Restore implements Network.
func (n *Namespaces) Restore(id string, r *record) error {
	if r.Link.Bridge == "" {
		return errNoBridge
	}
	_, err := attachNamespace(id, r)
	return err
}

// errNoBridge is returned for a record of an earlier version.
var errNoBridge = errors.New("the proxy's bridge is not known; the proxy starts when the API server responds")

// attachNamespace connects a proxy with the addresses in the record to the bridge in the
// record.
func attachNamespace(id string, r *record) (Link, error) {
	worker := podnet.Worker{Host: netns.None()}
	mtu, err := worker.MTU(r.Link.Bridge)
	if err != nil {
		return Link{}, err
	}
	path, err := makeNamespace(namespaceName(id))
	if err != nil {
		return Link{}, err
	}
	a := attachmentOf(id)
	name := a.HostName()
	plan := &wire.Plan{
		Kind: string(r.Kind), Namespace: r.Namespace, Owner: r.Name, Pod: r.Pod,
		Host: name, HostMAC: host.StableMAC("host " + name), Alias: a.Alias(),
		Bridge: r.Link.Bridge, BridgeMAC: host.BridgeMAC(r.Link.Bridge),
		Name: cni.InterfaceName, MAC: host.StableMAC("pod " + name), MTU: mtu, Addresses: r.Link.Addresses,
	}
	if _, err := worker.Attach(path, noInterface, plan); err != nil {
		return Link{}, fmt.Errorf("connect %s: %w", r.Pod, err)
	}
	return Link{Netns: path, Interface: name, MAC: plan.MAC.String(), Bridge: plan.Bridge, Addresses: r.Link.Addresses}, nil
}

// Detach implements Network. The interfaces are removed with the namespace.
func (n *Namespaces) Detach(id string, l Link) error {
	if l.Netns == "" && os.Geteuid() != 0 {
		return nil // it never existed
	}
	worker := podnet.Worker{Host: netns.None()}
	err := worker.Detach("", attachmentOf(id))
	if gone := removeNamespace(namespaceName(id)); gone != nil {
		err = errors.Join(err, gone)
	}
	return err
}

// Do implements Network.
func (n *Namespaces) Do(l Link, do func() error) error {
	return ownthread.Run(func() error {
		ns, err := netns.GetFromPath(l.Netns)
		if err != nil {
			return fmt.Errorf("open the network namespace %s: %w", l.Netns, err)
		}
		defer func() { _ = ns.Close() }()
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", l.Netns, err)
		}
		return do()
	})
}

// makeNamespace creates a network namespace that "ip netns" knows by its name, unless it
// exists, and sets its loopback interface up.
func makeNamespace(name string) (string, error) {
	path := namespaceFolder + "/" + name
	err := ownthread.Run(func() error {
		ns, err := netns.GetFromName(name)
		if err != nil {
			// A file without a namespace remains after an interrupted start.
			if err := removeNamespace(name); err != nil {
				return err
			}
			if ns, err = netns.NewNamed(name); err != nil {
				return err
			}
		}
		defer func() { _ = ns.Close() }()
		h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		return h.LinkSetUp(lo)
	})
	if err != nil {
		return "", fmt.Errorf("create the network namespace %s: %w", name, err)
	}
	return path, nil
}

func removeNamespace(name string) error {
	path := namespaceFolder + "/" + name
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
