// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownBridge reports whether this package created a link as a bridge. Either mark is
// sufficient, so a bridge that lost one is repaired.
func ownBridge(link netlink.Link) bool {
	a := link.Attrs()
	return link.Type() == "bridge" && (a.Alias == Alias || bytes.Equal(a.HardwareAddr, BridgeMAC(a.Name)))
}

// reconcileBridges creates the bridges and removes those that are no longer wanted.
func (h *Host) reconcileBridges() (*observed, int, error) {
	all, err := dump(h.rt.LinkList)
	if err != nil {
		return nil, 0, fmt.Errorf("list links: %w", err)
	}
	o := &observed{bridges: map[string]netlink.Link{}, links: map[int]netlink.Link{}}
	byName := map[string]netlink.Link{}
	for _, l := range all {
		o.links[l.Attrs().Index] = l
		byName[l.Attrs().Name] = l
	}
	changed := 0
	var errs []error
	for _, b := range h.desired.Bridges {
		link, n, err := h.reconcileBridge(b, byName[b.Name])
		changed += n
		if err != nil {
			errs = append(errs, fmt.Errorf("bridge %s: %w", b.Name, err))
			continue
		}
		o.bridges[b.Name] = link
		o.links[link.Attrs().Index] = link
	}
	n, err := h.removeBridges(all)
	return o, changed + n, errors.Join(append(errs, err)...)
}

func (h *Host) reconcileBridge(b Bridge, link netlink.Link) (netlink.Link, int, error) {
	changed := 0
	mac := BridgeMAC(b.Name)
	made := link == nil
	if made {
		br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
		br.Name, br.HardwareAddr = b.Name, mac
		if err := h.rt.LinkAdd(br); err != nil {
			return nil, 0, fmt.Errorf("make it: %w", err)
		}
		changed++
		var err error
		if link, err = h.rt.LinkByName(b.Name); err != nil {
			return nil, changed, fmt.Errorf("find it again: %w", err)
		}
	}
	if !ownBridge(link) {
		return nil, changed, fmt.Errorf("an interface (%s) with this name exists and does not belong to EPIC: remove it, or change the pool's multus-bridge", link.Type())
	}
	a := link.Attrs()
	for _, step := range []struct {
		what string
		need bool
		do   func() error
	}{
		{"set its alias", a.Alias != Alias, func() error { return h.rt.LinkSetAlias(link, Alias) }},
		{"set its hardware address", !bytes.Equal(a.HardwareAddr, mac), func() error { return h.rt.LinkSetHardwareAddr(link, mac) }},
		// An explicitly set MTU does not follow that of the ports.
		{"set its MTU", made || a.MTU != b.MTU, func() error { return h.rt.LinkSetMTU(link, b.MTU) }},
		{"set it up", a.Flags&net.FlagUp == 0, func() error { return h.rt.LinkSetUp(link) }},
	} {
		if !step.need {
			continue
		}
		if err := step.do(); err != nil {
			return nil, changed, fmt.Errorf("%s: %w", step.what, err)
		}
		changed++
	}
	n, err := h.reconcileDevconf(a.Index)
	changed += n
	if err != nil {
		return nil, changed, err
	}
	n, err = h.reconcileGateway(link)
	return link, changed + n, err
}

// reconcileGateway sets the address that proxies may use as their IPv6 gateway.
func (h *Host) reconcileGateway(link netlink.Link) (int, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.rt.AddrList(link, netlink.FAMILY_V6) })
	if err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if a.IP.Equal(GatewayIPv6.AsSlice()) {
			return 0, nil
		}
	}
	err = h.rt.AddrAdd(link, &netlink.Addr{
		IPNet: &net.IPNet{IP: GatewayIPv6.AsSlice(), Mask: net.CIDRMask(64, 128)},
		Flags: unix.IFA_F_NODAD, Scope: unix.RT_SCOPE_LINK,
	})
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		// IPv6 is disabled. An IPv6 address of a proxy fails separately.
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("add %s: %w", GatewayIPv6, err)
	}
	return 1, nil
}

// removeBridges deletes EPIC's bridges that are not desired. It lists the links if all is
// empty.
func (h *Host) removeBridges(all []netlink.Link) (int, error) {
	if all == nil {
		var err error
		if all, err = dump(h.rt.LinkList); err != nil {
			return 0, fmt.Errorf("list links: %w", err)
		}
	}
	want := map[string]bool{}
	for _, b := range h.desired.Bridges {
		want[b.Name] = true
	}
	changed := 0
	var errs []error
	for _, l := range all {
		if !ownBridge(l) || want[l.Attrs().Name] {
			continue
		}
		if err := h.rt.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove the bridge %s: %w", l.Attrs().Name, err))
			continue
		}
		changed++
	}
	return changed, errors.Join(errs...)
}
