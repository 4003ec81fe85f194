// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Netlink implements Kernel with the kernel of this host.
type Netlink struct{}

// Links implements Kernel.
func (Netlink) Links() ([]Link, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var out []Link
	for _, l := range all {
		if a := l.Attrs(); a.Flags&net.FlagLoopback == 0 {
			out = append(out, Link{a.Index, a.Name, a.MTU})
		}
	}
	return out, nil
}

// Addresses implements Kernel.
func (Netlink) Addresses() (map[netip.Addr]int, error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	out := map[netip.Addr]int{}
	for _, a := range all {
		// An address that another host also has can't be used.
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.Flags&unix.IFA_F_DADFAILED == 0 {
			out[ip.Unmap()] = a.LinkIndex
		}
	}
	return out, nil
}

// DefaultRoutes implements Kernel.
func (Netlink) DefaultRoutes() ([]int, error) {
	var out []int
	for _, family := range []struct {
		number int
		all    string
	}{{netlink.FAMILY_V4, "0.0.0.0/0"}, {netlink.FAMILY_V6, "::/0"}} {
		_, all, err := net.ParseCIDR(family.all)
		if err != nil {
			return nil, err
		}
		routes, err := netlink.RouteListFiltered(family.number, &netlink.Route{Dst: all, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, err
		}
		for i := range routes {
			out = append(out, routes[i].LinkIndex)
			for _, hop := range routes[i].MultiPath {
				out = append(out, hop.LinkIndex)
			}
		}
	}
	return out, nil
}

// Route implements Kernel.
func (Netlink) Route(to netip.Addr) (int, netip.Addr, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil {
		return 0, netip.Addr{}, err
	}
	if len(routes) == 0 {
		return 0, netip.Addr{}, errors.New("none")
	}
	source, _ := netip.AddrFromSlice(routes[0].Src)
	return routes[0].LinkIndex, source.Unmap(), nil
}

// Watch implements Kernel.
func (Netlink) Watch(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	failed := make(chan error, 3)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	links, addrs, routes := make(chan netlink.LinkUpdate, 256), make(chan netlink.AddrUpdate, 256), make(chan netlink.RouteUpdate, 256)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: fail}); err != nil {
		return err
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: fail}); err != nil {
		return err
	}
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: fail}); err != nil {
		return err
	}
	// For changes before the subscription.
	changed()
	for {
		var open bool
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			changed()
			return fmt.Errorf("netlink: %w", err)
		case _, open = <-links:
		case _, open = <-addrs:
		case _, open = <-routes:
		}
		if !open {
			return errors.New("netlink: a subscription ended")
		}
		changed()
	}
}
