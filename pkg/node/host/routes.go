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

// metric6 is the metric that the kernel assigns to an IPv6 route without one. It is
// explicit, so a route compares equal to the one that the kernel returns.
const metric6 = 1024

// plannedRoutes are the desired routes.
type plannedRoutes struct {
	// delivery holds routes of visitors' packets to proxies, and announced those for
	// routers.
	delivery, announced map[netip.Prefix]*netlink.Route
	// slots holds routes of the packets of connections to their proxies.
	slots map[slotTableKey]map[netip.Prefix]*netlink.Route
	// families holds the families with any routes.
	families map[int]bool
	// ready holds the addresses that are announced: those with a proxy that is ready and
	// does not wait.
	ready []*Address
}

// planRoutes computes the routes. If an address has one proxy, the slot makes no
// difference.
func (h *Host) planRoutes(o *observed) *plannedRoutes {
	p := &plannedRoutes{
		delivery: map[netip.Prefix]*netlink.Route{}, announced: map[netip.Prefix]*netlink.Route{},
		slots: map[slotTableKey]map[netip.Prefix]*netlink.Route{}, families: map[int]bool{},
	}
	for i := range h.desired.Addresses {
		a := &h.desired.Addresses[i]
		ends := o.ends(*a)
		if len(ends) == 0 {
			continue
		}
		host := netip.PrefixFrom(a.Address, a.Address.BitLen())
		bridge := o.bridges[a.Bridge].Attrs().Index
		p.delivery[host] = deliveryRoute(host, Table, bridge, active(ends))
		if a.announces(ends) {
			p.announced[a.Announce] = announcedRoute(a.Announce, bridge)
			p.ready = append(p.ready, a)
		}
		p.families[family(a.Address)] = true
		if !a.shared() {
			continue
		}
		for _, e := range ends {
			slot := h.slots[slotKeyOf(a.Address, e)]
			if slot == 0 {
				continue
			}
			key := slotTableKey{family(a.Address), slot}
			if p.slots[key] == nil {
				p.slots[key] = map[netip.Prefix]*netlink.Route{}
			}
			p.slots[key][host] = deliveryRoute(host, slotTable(slot), bridge, []End{e})
		}
	}
	return p
}

// reconcileRoutes updates the rules and the routes. Delivery routes are added before
// announcements, and announcements removed before delivery routes, so nothing is
// announced that is not delivered. An address is announced while one of its proxies is
// ready. The routes of connections are added before all others and deleted after them.
func (h *Host) reconcileRoutes(o *observed) (int, error) {
	p := h.planRoutes(o)
	failed := map[netip.Prefix]bool{}
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
		n, haveSlots, err := h.addSlots(family, p)
		count(n, err)
		// The route of a kept prefix is replaced, without a gap.
		count(h.addRoutes(family, p.delivery, haveDelivery, failed))
		count(h.reconcileRule(family, 0, p.families[family]))
		count(h.addRoutes(family, p.announced, haveAnnounced, failed))
		count(h.deleteRoutes(p.announced, haveAnnounced))
		count(h.deleteRoutes(p.delivery, haveDelivery))
		count(h.deleteSlots(family, p, haveSlots))
	}
	h.setAnnounced(p.announcedBut(failed))
	return changed, errors.Join(errs...)
}

// announcedBut returns the announcements if some routes could not be created. The
// aggregate of an address that is not delivered is still announced for its other
// addresses.
func (p *plannedRoutes) announcedBut(failed map[netip.Prefix]bool) Announcements {
	var a Announcements
	routes := map[netip.Prefix]bool{}
	for _, d := range p.ready {
		host := netip.PrefixFrom(d.Address, d.Address.BitLen())
		if failed[host] || failed[d.Announce] {
			continue
		}
		a.Addresses = append(a.Addresses, d.Address)
		if !routes[d.Announce] {
			routes[d.Announce] = true
			a.Routes = append(a.Routes, d.Announce)
		}
	}
	return a
}

// slotTableKey identifies a slot's table of one family.
type slotTableKey struct {
	family int
	slot   uint8
}

// addSlots adds the routes and rules of slots, and returns the existing routes. Usually
// there are none, so empty tables are read only once.
func (h *Host) addSlots(fam int, p *plannedRoutes) (int, map[uint8]map[netip.Prefix][]netlink.Route, error) {
	if h.slotTables == nil {
		h.slotTables = map[slotTableKey]bool{}
		for slot := uint8(1); slot <= maxSlot; slot++ {
			h.slotTables[slotTableKey{netlink.FAMILY_V4, slot}], h.slotTables[slotTableKey{netlink.FAMILY_V6, slot}] = true, true
		}
	}
	have := map[uint8]map[netip.Prefix][]netlink.Route{}
	changed := 0
	for slot := uint8(1); slot <= maxSlot; slot++ {
		key := slotTableKey{fam, slot}
		want := p.slots[key]
		if len(want) == 0 && !h.slotTables[key] {
			continue
		}
		h.slotTables[key] = true
		routes, err := h.ownRoutes(fam, slotTable(slot))
		if err != nil {
			return changed, have, err
		}
		have[slot] = routes
		// The route of a slot is for open connections, and does not affect announcements.
		n, err := h.addRoutes(fam, want, routes, map[netip.Prefix]bool{})
		changed += n
		if err != nil {
			return changed, have, err
		}
		n, err = h.reconcileRule(fam, slot, len(want) > 0)
		changed += n
		if err != nil {
			return changed, have, err
		}
	}
	return changed, have, nil
}

// deleteSlots removes the routes of slots that are not wanted.
func (h *Host) deleteSlots(fam int, p *plannedRoutes, have map[uint8]map[netip.Prefix][]netlink.Route) (int, error) {
	changed := 0
	for slot, routes := range have {
		key := slotTableKey{fam, slot}
		n, err := h.deleteRoutes(p.slots[key], routes)
		changed += n
		if err != nil {
			return changed, err
		}
		h.slotTables[key] = len(p.slots[key]) > 0
	}
	return changed, nil
}

// active returns the ends that get new connections: those not on standby; if there are
// none, those that served before; otherwise all.
func active(ends []End) []End {
	for _, chosen := range []func(End) bool{
		func(e End) bool { return !e.Standby },
		func(e End) bool { return e.Served },
	} {
		if out := slices.DeleteFunc(slices.Clone(ends), func(e End) bool { return !chosen(e) }); len(out) > 0 {
			return out
		}
	}
	return ends
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

func deliveryRoute(dst netip.Prefix, table, bridge int, ends []End) *netlink.Route {
	r := &netlink.Route{Dst: ipNet(dst), Table: table, Protocol: RouteProtocol, Family: family(dst.Addr()), Type: unix.RTN_UNICAST}
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

// hops returns a comparable form of the destinations of a route.
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

// ownRoutes returns the routes of a table with this package's protocol number.
func (h *Host) ownRoutes(family, table int) (map[netip.Prefix][]netlink.Route, error) {
	list, err := dump(func() ([]netlink.Route, error) {
		return h.strict.RouteListFiltered(family, &netlink.Route{Table: table, Protocol: RouteProtocol}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	})
	// The kernel returns ENOENT for a table that was never used.
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

// addRoutes adds and changes routes of one family, and records failures.
func (h *Host) addRoutes(fam int, want map[netip.Prefix]*netlink.Route, have map[netip.Prefix][]netlink.Route, failed map[netip.Prefix]bool) (int, error) {
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
		case r.Table != unix.RT_TABLE_MAIN || len(old) > 0 && old[0].Priority == r.Priority:
			// The route belongs to this package, so no other route can be replaced.
			if err := h.rt.RouteReplace(r); err != nil {
				failed[dst] = true
				errs = append(errs, fmt.Errorf("replace the route of %s: %w", dst, err))
				continue
			}
		default:
			err := h.rt.RouteAdd(r)
			if errors.Is(err, unix.EEXIST) {
				err = errors.New("there is one that does not belong to EPIC: remove it, or change the pool's aggregation")
			}
			if err != nil {
				failed[dst] = true
				errs = append(errs, fmt.Errorf("announce a route of %s: %w", dst, err))
				continue
			}
		}
		changed++
	}
	return changed, errors.Join(errs...)
}

// deleteRoutes removes this package's routes that are not wanted, and duplicates of those
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

// reconcileRule keeps the rule that selects the delivery table, or the table of a slot,
// while it has any routes.
func (h *Host) reconcileRule(family int, slot uint8, want bool) (int, error) {
	table, priority := slotTable(slot), RulePriority
	if slot != 0 {
		priority = slotPriority
	}
	rules, err := dump(func() ([]netlink.Rule, error) {
		return h.rt.RuleListFiltered(family, &netlink.Rule{Table: table}, netlink.RT_FILTER_TABLE)
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
		if want && !found && r.Priority == priority && r.Src == nil && r.Dst == nil && r.IifName == "" && r.OifName == "" && r.Mark == slotMark(slot) && !r.Invert &&
			(slot == 0 || r.Mask != nil && *r.Mask == MarkMask) {
			found = true
			continue
		}
		if err := h.rt.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			return changed, fmt.Errorf("remove the rule of table %d: %w", table, err)
		}
		changed++
	}
	if !want || found {
		return changed, nil
	}
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Protocol = family, priority, table, RouteProtocol
	if slot != 0 {
		mask := uint32(MarkMask)
		rule.Mark, rule.Mask = slotMark(slot), &mask
	}
	if err := h.rt.RuleAdd(rule); err != nil {
		return changed, fmt.Errorf("add the rule of table %d: %w", table, err)
	}
	return changed + 1, nil
}
