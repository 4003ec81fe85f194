// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Veth creates a veth pair with one end in each namespace, both up.
func Veth(a *Namespace, aName string, b *Namespace, bName string, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = aName, mtu
	err := a.LinkAdd(&netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      bName,
		PeerNamespace: netlink.NsFd(b.FD()),
		PeerMTU:       uint32(mtu),
	})
	if err != nil {
		return fmt.Errorf("veth %s to %s: %w", aName, bName, err)
	}
	return errors.Join(a.Up(aName), b.Up(bName))
}

// Bridge creates a bridge with the given ports, and sets it up.
func (n *Namespace) Bridge(name string, mtu int, ports ...string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, mtu
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := n.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	for _, port := range ports {
		link, err := n.LinkByName(port)
		if err != nil {
			return fmt.Errorf("bridge %s: port %s: %w", name, port, err)
		}
		if err := n.LinkSetMaster(link, bridge); err != nil {
			return fmt.Errorf("bridge %s: port %s: %w", name, port, err)
		}
	}
	return n.Up(name)
}

// Up sets an interface up.
func (n *Namespace) Up(name string) error {
	link, err := n.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return n.LinkSetUp(link)
}

// Index returns an interface's index.
func (n *Namespace) Index(name string) (int, error) {
	link, err := n.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

// Addr adds addresses such as "192.0.2.1/24" to an interface. IPv6 addresses are usable
// immediately, without duplicate address detection.
func (n *Namespace) Addr(name string, addresses ...string) error {
	link, err := n.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	for _, address := range addresses {
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return fmt.Errorf("interface %s: address %q: %w", name, address, err)
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := n.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("interface %s: address %s: %w", name, address, err)
		}
	}
	return nil
}

// Route adds a route to a prefix ("0.0.0.0/0", "2001:db8::/64") through a gateway, which
// may be of the other family, or through an interface if gateway is empty.
func (n *Namespace) Route(prefix, gateway, device string) error {
	dst, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	route := &netlink.Route{Dst: &net.IPNet{
		IP:   dst.Addr().AsSlice(),
		Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen()),
	}}
	if gateway != "" {
		via, err := netip.ParseAddr(gateway)
		if err != nil {
			return err
		}
		if via.Is4() == dst.Addr().Is4() {
			route.Gw = via.AsSlice()
		} else {
			route.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: via.AsSlice()}
		}
	}
	if device != "" {
		if route.LinkIndex, err = n.Index(device); err != nil {
			return err
		}
	}
	if gateway == "" {
		route.Scope = netlink.SCOPE_LINK
	}
	if err := n.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s via %s dev %s: %w", prefix, gateway, device, err)
	}
	return nil
}

// Forward makes the namespace a router for both families.
func (n *Namespace) Forward() error {
	return errors.Join(
		n.Sysctl("ipv4.ip_forward", "1"),
		n.Sysctl("ipv6.conf.all.forwarding", "1"),
	)
}
