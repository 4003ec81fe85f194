// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// metric6 is what the kernel gives to an IPv6 route without one. It is written
// out, so that a route compares equal to what comes back.
const metric6 = 1024

// reconcileRoutes keeps the rule and the routes. New delivery routes come before
// announcements, and announcements go before delivery routes, so that nothing is
// announced that is not delivered.
func (h *Host) reconcileRoutes(o *observed) (int, error) {
	delivery := map[netip.Prefix]*netlink.Route{}
	announced := map[netip.Prefix]*netlink.Route{}
	families := map[int]bool{}
	for _, a := range h.desired.Addresses {
		ends := o.ends(a)
		if len(ends) == 0 {
			continue
		}
		host := netip.PrefixFrom(a.Address, a.Address.BitLen())
		bridge := o.bridges[a.Bridge].Attrs().Index
		delivery[host] = deliveryRoute(host, bridge, active(ends))
		announced[a.Announce] = announcedRoute(a.Announce, bridge)
		families[family(a.Address)] = true
	}
	changed := 0
	var errs []error
	count := func(n int, err error) {
		changed += n
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		haveDelivery, err := h.ownRoutes(family, Table)
		if err != nil {
			return changed, err
		}
		haveAnnounced, err := h.ownRoutes(family, unix.RT_TABLE_MAIN)
		if err != nil {
			return changed, err
		}
		// The route of a lasting prefix is replaced, never away in between.
		count(h.addRoutes(family, delivery, haveDelivery))
		count(h.reconcileRule(family, families[family]))
		count(h.addRoutes(family, announced, haveAnnounced))
		count(h.deleteRoutes(announced, haveAnnounced))
		count(h.deleteRoutes(delivery, haveDelivery))
	}
	return changed, errors.Join(errs...)
}

// active returns the ends that get visitors' packets: those that are not on standby, or
// all if there is no other.
func active(ends []End) []End {
	out := slices.DeleteFunc(slices.Clone(ends), func(e End) bool { return e.Standby })
	if len(out) == 0 {
		return ends
	}
	return out
}

func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func deliveryRoute(dst netip.Prefix, bridge int, ends []End) *netlink.Route {
	r := &netlink.Route{Dst: ipNet(dst), Table: Table, Protocol: RouteProtocol, Family: family(dst.Addr()), Type: unix.RTN_UNICAST}
	if dst.Addr().Is6() {
		r.Priority = metric6
	}
	if len(ends) == 1 {
		r.LinkIndex, r.Gw, r.Flags = bridge, key(dst.Addr(), ends[0].Index).AsSlice(), int(netlink.FLAG_ONLINK)
		return r
	}
	for _, e := range ends {
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: bridge, Gw: key(dst.Addr(), e.Index).AsSlice(), Flags: int(netlink.FLAG_ONLINK)})
	}
	return r
}

func announcedRoute(dst netip.Prefix, bridge int) *netlink.Route {
	r := &netlink.Route{Dst: ipNet(dst), Table: unix.RT_TABLE_MAIN, Protocol: RouteProtocol, Family: family(dst.Addr()), LinkIndex: bridge, Type: unix.RTN_UNICAST}
	if dst.Addr().Is6() {
		r.Priority = metric6
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

// hops is where a route leads, in a form that can be compared.
func hops(r *netlink.Route) string {
	var out []string
	if len(r.MultiPath) == 0 {
		out = append(out, fmt.Sprintf("%d via %s", r.LinkIndex, r.Gw))
	}
	for _, n := range r.MultiPath {
		out = append(out, fmt.Sprintf("%d via %s", n.LinkIndex, n.Gw))
	}
	slices.Sort(out)
	return fmt.Sprintf("type %d %s", r.Type, strings.Join(out, ", "))
}

// ownRoutes returns the routes of a table that have this package's protocol number.
func (h *Host) ownRoutes(family, table int) (map[netip.Prefix][]netlink.Route, error) {
	list, err := dump(func() ([]netlink.Route, error) {
		return h.strict.RouteListFiltered(family, &netlink.Route{Table: table, Protocol: RouteProtocol}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	})
	// The kernel says ENOENT of a table that was never used.
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	own := map[netip.Prefix][]netlink.Route{}
	for _, r := range list {
		dst := prefixOf(r.Dst, family)
		own[dst] = append(own[dst], r)
	}
	return own, nil
}

func prefixOf(n *net.IPNet, family int) netip.Prefix {
	if n == nil {
		if family == netlink.FAMILY_V4 {
			return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits)
}

// addRoutes adds and changes routes of one family.
func (h *Host) addRoutes(fam int, want map[netip.Prefix]*netlink.Route, have map[netip.Prefix][]netlink.Route) (int, error) {
	changed := 0
	var errs []error
	for dst, r := range want {
		if r.Family != fam {
			continue
		}
		old := have[dst]
		switch {
		case len(old) == 1 && hops(&old[0]) == hops(r):
			continue
		case r.Table == Table || len(old) > 0 && old[0].Priority == r.Priority:
			// Ours already: nothing of another's can be replaced.
			if err := h.rt.RouteReplace(r); err != nil {
				errs = append(errs, fmt.Errorf("replace the route of %s: %w", dst, err))
				continue
			}
		default:
			err := h.rt.RouteAdd(r)
			if errors.Is(err, unix.EEXIST) {
				err = errors.New("there is one that is not EPIC's: remove it, or change the pool's aggregation")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("announce a route of %s: %w", dst, err))
				continue
			}
		}
		changed++
	}
	return changed, errors.Join(errs...)
}

// deleteRoutes removes own routes that are not wanted, and second routes of those
// that are.
func (h *Host) deleteRoutes(want map[netip.Prefix]*netlink.Route, have map[netip.Prefix][]netlink.Route) (int, error) {
	changed := 0
	var errs []error
	for dst, routes := range have {
		for _, r := range routes {
			if w := want[dst]; w != nil && (len(routes) == 1 || r.Priority == w.Priority && r.Type == w.Type) {
				continue
			}
			if err := h.rt.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("remove the route of %s: %w", dst, err))
				continue
			}
			changed++
		}
	}
	return changed, errors.Join(errs...)
}

// reconcileRule keeps the rule that leads to the delivery table while there is
// anything in it.
func (h *Host) reconcileRule(family int, want bool) (int, error) {
	rules, err := dump(func() ([]netlink.Rule, error) {
		return h.rt.RuleListFiltered(family, &netlink.Rule{Table: Table}, netlink.RT_FILTER_TABLE)
	})
	if errors.Is(err, unix.EAFNOSUPPORT) && !want {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list rules: %w", err)
	}
	changed, found := 0, false
	for _, r := range rules {
		if r.Protocol != RouteProtocol {
			continue
		}
		if want && !found && r.Priority == RulePriority && r.Src == nil && r.Dst == nil && r.IifName == "" && r.OifName == "" && r.Mark == 0 && !r.Invert {
			found = true
			continue
		}
		if err := h.rt.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			return changed, fmt.Errorf("remove the rule of table %d: %w", Table, err)
		}
		changed++
	}
	if !want || found {
		return changed, nil
	}
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Protocol = family, RulePriority, Table, RouteProtocol
	if err := h.rt.RuleAdd(rule); err != nil {
		return changed, fmt.Errorf("add the rule of table %d: %w", Table, err)
	}
	return changed + 1, nil
}
