// SPDX-License-Identifier: Apache-2.0

package podnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/cni/wire"
)

const (
	// protocol is the origin of the routes and rules created here.
	protocol = 233
	// table is the table for the routes of the first interface.
	table = 6080
	// priority is the priority of the rules that select the table.
	priority = 6080
)

// The gateways of a proxy. They represent the bridge; permanent neighbor entries map them
// to its hardware address.
var (
	gateway4 = netip.MustParseAddr("169.254.1.1")
	gateway6 = netip.MustParseAddr("fe80::1")
)

var families = []int{netlink.FAMILY_V4, netlink.FAMILY_V6}

func isIPv6(a netip.Addr) bool { return a.Is6() }

func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func gateway(f int) netip.Addr {
	if f == netlink.FAMILY_V4 {
		return gateway4
	}
	return gateway6
}

func everything(f int) *net.IPNet {
	if f == netlink.FAMILY_V4 {
		return &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	}
	return &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
}

// Single returns the network that contains one address.
func Single(a netip.Addr) net.IPNet {
	return net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func single(a netip.Addr) *net.IPNet {
	n := Single(a)
	return &n
}

func addAddresses(h *netlink.Handle, link netlink.Link, p *wire.Plan) error {
	for _, a := range p.Addresses {
		addr := &netlink.Addr{IPNet: single(a)}
		if a.Is6() {
			// Disable duplicate address detection: nobody else on the bridge could be
			// heard.
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("add %s: %w", a, err)
		}
	}
	return nil
}

func addGateways(h *netlink.Handle, link netlink.Link, p *wire.Plan) error {
	for _, a := range p.Addresses {
		gw := gateway(family(a))
		if err := h.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: gw.AsSlice(), HardwareAddr: p.BridgeMAC, State: netlink.NUD_PERMANENT}); err != nil {
			return fmt.Errorf("set the neighbor %s: %w", gw, err)
		}
	}
	return nil
}

// firstInterface returns the link, or nil if the pod has no interface with that name.
func firstInterface(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	return link, err
}

// clusterRoutes returns the routes of the first interface in a table, except those that
// only concern the link itself.
func clusterRoutes(h *netlink.Handle, f int, link netlink.Link, in int) ([]netlink.Route, error) {
	list, err := h.RouteListFiltered(f, &netlink.Route{LinkIndex: link.Attrs().Index, Table: in}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return slices.DeleteFunc(list, func(r netlink.Route) bool {
		if r.Type != unix.RTN_UNICAST || in == unix.RT_TABLE_MAIN && r.Protocol == protocol {
			return true
		}
		return r.Dst != nil && (r.Dst.IP.IsLinkLocalUnicast() && f == netlink.FAMILY_V6 || r.Dst.IP.IsMulticast())
	}), nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

// moveRoutes moves the routes of the first interface to their own table, except those
// that the plan keeps.
func moveRoutes(h *netlink.Handle, first string, p *wire.Plan) error {
	link, err := firstInterface(h, first)
	if err != nil || link == nil {
		return err
	}
	for _, f := range families {
		addrs, err := h.AddrList(link, f)
		if err != nil {
			return fmt.Errorf("list addresses: %w", err)
		}
		for _, a := range addrs {
			if a.IP.IsLinkLocalUnicast() {
				continue
			}
			if err := addRule(h, f, a.IP); err != nil {
				return err
			}
		}
		routes, err := clusterRoutes(h, f, link, unix.RT_TABLE_MAIN)
		if err != nil {
			return err
		}
		var uplink *netlink.Route
		for _, r := range routes {
			if isDefault(r) && (uplink == nil || r.Priority < uplink.Priority) {
				uplink = &r
			}
			if err := moveRoute(h, r); err != nil {
				return err
			}
		}
		for _, keep := range p.Keep {
			if family(keep.Addr()) != f || len(addrs) == 0 {
				continue
			}
			r := netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: keep.Addr().AsSlice(), Mask: net.CIDRMask(keep.Bits(), keep.Addr().BitLen())}, Protocol: protocol}
			switch {
			case uplink != nil && uplink.Gw != nil:
				r.Gw, r.Flags, r.MTU, r.AdvMSS, r.Src = uplink.Gw, int(netlink.FLAG_ONLINK), uplink.MTU, uplink.AdvMSS, uplink.Src
			case f == netlink.FAMILY_V4:
				r.Scope = netlink.SCOPE_LINK
			}
			if err := h.RouteReplace(&r); err != nil {
				return fmt.Errorf("keep %s on %s: %w", keep, first, err)
			}
		}
	}
	return nil
}

func moveRoute(h *netlink.Handle, r netlink.Route) error {
	moved := r
	moved.Table = table
	if moved.Dst == nil {
		moved.Dst = everything(r.Family)
	}
	if moved.Gw != nil {
		// The route to the gateway itself also moves.
		moved.Flags |= int(netlink.FLAG_ONLINK)
	}
	if err := h.RouteReplace(&moved); err != nil {
		return fmt.Errorf("copy the route %s: %w", r, err)
	}
	if r.Dst == nil {
		r.Dst = everything(r.Family)
	}
	if err := h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove the route %s: %w", r, err)
	}
	return nil
}

func addRule(h *netlink.Handle, f int, ip net.IP) error {
	addr, _ := netip.AddrFromSlice(ip)
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Protocol, rule.Src = f, priority, table, protocol, single(addr.Unmap())
	if err := h.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add a rule for %s: %w", addr, err)
	}
	return nil
}

// addDefaults routes everything else to the public interface, or makes it unreachable.
func addDefaults(h *netlink.Handle, link netlink.Link, first string, p *wire.Plan) error {
	public := map[int]netip.Addr{}
	for _, a := range p.Addresses {
		public[family(a)] = a
	}
	for _, f := range families {
		r := netlink.Route{Dst: everything(f), Family: f, Protocol: protocol}
		if f == netlink.FAMILY_V6 {
			// Take precedence over routes that a router advertisement may add on the
			// first interface.
			r.Priority = 1
		}
		if a, ok := public[f]; ok {
			r.LinkIndex, r.Gw, r.Src, r.Flags = link.Attrs().Index, gateway(f).AsSlice(), a.AsSlice(), int(netlink.FLAG_ONLINK)
		} else {
			eth, err := firstInterface(h, first)
			if err != nil {
				return err
			}
			if eth == nil {
				continue // packets have no other route anyway
			}
			routes, err := clusterRoutes(h, f, eth, table)
			if err != nil {
				return err
			}
			if len(routes) == 0 {
				continue
			}
			r.Type = unix.RTN_UNREACHABLE
		}
		if err := h.RouteReplace(&r); err != nil {
			return fmt.Errorf("add the default route %s: %w", r, err)
		}
	}
	return nil
}

// restoreRoutes restores the pod's original routes.
func restoreRoutes(h *netlink.Handle, first string) error {
	var errs []error
	for _, f := range families {
		errs = append(errs, removeOwnRoutes(h, f), removeRules(h, f))
		link, err := firstInterface(h, first)
		if err != nil {
			errs = append(errs, err)
		}
		if link == nil {
			continue
		}
		moved, err := clusterRoutes(h, f, link, table)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// Restore routes to gateways before the routes that need them.
		slices.SortStableFunc(moved, func(a, b netlink.Route) int { return len(a.Gw) - len(b.Gw) })
		for _, r := range moved {
			errs = append(errs, restoreRoute(h, r))
		}
	}
	return errors.Join(errs...)
}

func restoreRoute(h *netlink.Handle, r netlink.Route) error {
	if r.Dst == nil {
		r.Dst = everything(r.Family)
	}
	back := r
	back.Table = unix.RT_TABLE_MAIN
	back.Flags &^= int(netlink.FLAG_ONLINK)
	err := h.RouteReplace(&back)
	if err != nil {
		// Its gateway was not reachable by a route before either.
		back.Flags |= int(netlink.FLAG_ONLINK)
		err = h.RouteReplace(&back)
	}
	if err != nil {
		return fmt.Errorf("restore the route %s: %w", r, err)
	}
	if err := h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove the copy of %s: %w", r, err)
	}
	return nil
}

func removeOwnRoutes(h *netlink.Handle, f int) error {
	own, err := h.RouteListFiltered(f, &netlink.Route{Protocol: protocol, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for _, r := range own {
		if r.Dst == nil {
			r.Dst = everything(f)
		}
		if err := h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove the route %s: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

func removeRules(h *netlink.Handle, f int) error {
	rules, err := h.RuleListFiltered(f, &netlink.Rule{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	var errs []error
	for _, r := range rules {
		if r.Protocol != protocol {
			continue
		}
		if err := h.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove a rule: %w", err))
		}
	}
	return errors.Join(errs...)
}

// checkPod returns an error that describes missing addresses and routes of the pod.
func checkPod(h *netlink.Handle, link netlink.Link, first string, p *wire.Plan) error {
	addrs, err := h.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, want := range p.Addresses {
		if !slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.Equal(want.AsSlice()) }) {
			return fmt.Errorf("%s in the pod does not have the address %s", p.Name, want)
		}
		f := family(want)
		routes, err := h.RouteListFiltered(f, &netlink.Route{LinkIndex: link.Attrs().Index}, netlink.RT_FILTER_OIF)
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		if !slices.ContainsFunc(routes, isDefault) {
			return fmt.Errorf("the pod's default route for %s does not lead to %s", want, p.Name)
		}
		eth, err := firstInterface(h, first)
		if err != nil {
			return err
		}
		if eth == nil {
			continue
		}
		left, err := clusterRoutes(h, f, eth, unix.RT_TABLE_MAIN)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("the pod has a route on %s that may overlap a tenant's addresses: %s", first, left[0])
		}
	}
	return nil
}
