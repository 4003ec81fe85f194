// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Desired is the desired state of this node. The order is irrelevant, and duplicates are
// merged.
type Desired struct {
	Bridges   []Bridge
	Addresses []Address
	Openings  []Opening
	Directs   []Direct
}

// Bridge is a bridge to which proxies are attached.
type Bridge struct {
	// Name is the interface name, at most 15 bytes.
	Name string
	// MTU is in bytes.
	MTU int
}

// Address is one public or alternate address, and its proxies on this node.
type Address struct {
	Address netip.Addr
	// Announce is the route in the main table for it: the address itself or an aggregate
	// that contains it. See [Announced].
	Announce netip.Prefix
	// Bridge is the name of one of the bridges.
	Bridge string
	// Ends are the proxies. An address is announced while one of them is not on standby;
	// an interface that does not exist is ignored.
	Ends []End
	// Waits keeps the address from being announced. It is still delivered.
	Waits bool
}

// End is the second interface of one proxy.
type End struct {
	// Index is the index of the host's end, which becomes a port of the bridge.
	Index int
	// MAC is the hardware address of the proxy's end.
	MAC net.HardwareAddr
	// Standby directs new connections of visitors to other proxies with the address,
	// while any is not on standby. Existing connections stay.
	Standby bool
	// Served is set if it was not on standby before. If all are on standby, those that
	// served are preferred.
	Served bool
}

// Opening is one port that is reachable from the internet.
type Opening struct {
	Address netip.Addr
	// Protocol is the number of a protocol with ports, such as 6 for TCP and 17
	// for UDP.
	Protocol uint8
	Port     uint16
}

// Direct is one endpoint to which a proxy may open connections.
type Direct struct {
	// Proxy is one of the proxy's addresses.
	Proxy netip.Addr
	// Endpoint is the address to which it may connect, of the same family.
	Endpoint netip.AddrPort
	// Protocol is 6 for TCP and 17 for UDP.
	Protocol uint8
}

// Announced returns the route for a pool's aggregation: "default" means the mask of the
// pool's subnet, "/N" means N bits.
func Announced(addr netip.Addr, subnet netip.Prefix, aggregation string) (netip.Prefix, error) {
	if aggregation == "default" {
		if !subnet.IsValid() || subnet.Addr().Is4() != addr.Is4() {
			return netip.Prefix{}, fmt.Errorf("aggregation: the default is the subnet's mask, and the subnet %s is not one of %s", subnet, addr)
		}
		return addr.Prefix(subnet.Bits())
	}
	digits, found := strings.CutPrefix(aggregation, "/")
	bits, err := strconv.Atoi(digits)
	if !found || err != nil {
		return netip.Prefix{}, fmt.Errorf("aggregation: %q is neither default nor a slash and a number of bits", aggregation)
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("aggregation: %q: %w", aggregation, err)
	}
	return prefix, nil
}

// maxName is the maximum length of an interface name in Linux.
const maxName = 15

// normalize validates d and returns it sorted and without duplicates.
func (d Desired) normalize() (Desired, error) {
	var errs []error
	out := Desired{}
	bridges := map[string]int{}
	for i, b := range d.Bridges {
		mtu, seen := bridges[b.Name]
		switch {
		case b.Name == "" || len(b.Name) > maxName || strings.ContainsAny(b.Name, "/ :%\t\n") || b.Name == "." || b.Name == "..":
			errs = append(errs, fmt.Errorf("bridges[%d].name: %q is not a valid interface name: use 1 to %d letters, digits and dashes", i, b.Name, maxName))
		case b.MTU < 68 || b.MTU > 65535:
			errs = append(errs, fmt.Errorf("bridges[%d].mtu: %d is not between 68 and 65535", i, b.MTU))
		case seen && mtu != b.MTU:
			errs = append(errs, fmt.Errorf("bridges[%d].mtu: %d, but %s has %d already", i, b.MTU, b.Name, mtu))
		case !seen:
			bridges[b.Name] = b.MTU
			out.Bridges = append(out.Bridges, b)
		}
	}
	byAddr := map[netip.Addr]int{}
	announced := map[netip.Prefix]string{}
	for i, a := range d.Addresses {
		a.Address = a.Address.Unmap()
		switch {
		case !a.Address.IsValid() || a.Address.IsUnspecified() || a.Address.IsMulticast() || a.Address.IsLoopback() || a.Address.Zone() != "":
			errs = append(errs, fmt.Errorf("addresses[%d].address: %q is not a unicast address", i, a.Address))
			continue
		case !a.Announce.IsValid() || !a.Announce.Contains(a.Address):
			errs = append(errs, fmt.Errorf("addresses[%d].announce: %q does not contain %s", i, a.Announce, a.Address))
			continue
		}
		if _, ok := bridges[a.Bridge]; !ok {
			errs = append(errs, fmt.Errorf("addresses[%d].bridge: %q is not among the bridges", i, a.Bridge))
			continue
		}
		a.Announce = a.Announce.Masked()
		if other, ok := announced[a.Announce]; ok && other != a.Bridge {
			errs = append(errs, fmt.Errorf("addresses[%d].announce: %s already leads to the bridge %s, not to %s: use one bridge for both pools, or a longer aggregation", i, a.Announce, other, a.Bridge))
			continue
		}
		announced[a.Announce] = a.Bridge
		if at, ok := byAddr[a.Address]; ok {
			if out.Addresses[at].Bridge != a.Bridge || out.Addresses[at].Announce != a.Announce {
				errs = append(errs, fmt.Errorf("addresses[%d].address: %s appears twice, with different routes", i, a.Address))
				continue
			}
			out.Addresses[at].Ends = append(out.Addresses[at].Ends, a.Ends...)
			out.Addresses[at].Waits = out.Addresses[at].Waits && a.Waits
			continue
		}
		byAddr[a.Address] = len(out.Addresses)
		a.Ends = slices.Clone(a.Ends)
		out.Addresses = append(out.Addresses, a)
	}
	owner := map[int]End{}
	on := map[int]string{}
	for i := range out.Addresses {
		a := &out.Addresses[i]
		slices.SortFunc(a.Ends, func(x, y End) int { return cmp.Compare(x.Index, y.Index) })
		a.Ends = slices.CompactFunc(a.Ends, func(x, y End) bool { return x.Index == y.Index && slices.Equal(x.MAC, y.MAC) })
		for _, e := range a.Ends {
			was, seen := owner[e.Index]
			switch {
			case e.Index <= 0 || e.Index >= maxKey:
				errs = append(errs, fmt.Errorf("%s: %d is not an interface's index", a.Address, e.Index))
			case len(e.MAC) != 6:
				errs = append(errs, fmt.Errorf("%s: %q is not the hardware address of an Ethernet interface", a.Address, e.MAC))
			case seen && !slices.Equal(was.MAC, e.MAC):
				errs = append(errs, fmt.Errorf("%s: interface %d has two hardware addresses, %s and %s", a.Address, e.Index, was.MAC, e.MAC))
			case seen && on[e.Index] != a.Bridge:
				errs = append(errs, fmt.Errorf("%s: interface %d cannot be a port of two bridges, %s and %s", a.Address, e.Index, on[e.Index], a.Bridge))
			}
			owner[e.Index], on[e.Index] = e, a.Bridge
		}
	}
	for i, o := range d.Openings {
		o.Address = o.Address.Unmap()
		switch {
		case !o.Address.IsValid():
			errs = append(errs, fmt.Errorf("openings[%d].address: is missing", i))
		case o.Protocol == 0:
			errs = append(errs, fmt.Errorf("openings[%d].protocol: is missing", i))
		case o.Port == 0:
			errs = append(errs, fmt.Errorf("openings[%d].port: is missing", i))
		}
		out.Openings = append(out.Openings, o)
	}
	for i, o := range d.Directs {
		o.Proxy, o.Endpoint = o.Proxy.Unmap(), netip.AddrPortFrom(o.Endpoint.Addr().Unmap(), o.Endpoint.Port())
		switch {
		case !o.Proxy.IsValid():
			errs = append(errs, fmt.Errorf("directs[%d].proxy: is missing", i))
		case o.Proxy.Is4() != o.Endpoint.Addr().Is4() || !o.Endpoint.Addr().IsValid() || o.Endpoint.Addr().Zone() != "":
			errs = append(errs, fmt.Errorf("directs[%d].endpoint: %s is not of the same address family as %s", i, o.Endpoint, o.Proxy))
		case o.Protocol == 0:
			errs = append(errs, fmt.Errorf("directs[%d].protocol: is missing", i))
		case o.Endpoint.Port() == 0:
			errs = append(errs, fmt.Errorf("directs[%d].endpoint: the port is missing", i))
		}
		out.Directs = append(out.Directs, o)
	}
	slices.SortFunc(out.Bridges, func(x, y Bridge) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(out.Addresses, func(x, y Address) int { return x.Address.Compare(y.Address) })
	return out, errors.Join(errs...)
}
