// SPDX-License-Identifier: Apache-2.0

// Package denied contains the addresses that an endpoint without a tunnel must not have.
// The API server refuses such endpoints, and a gateway node never opens a path to them. It
// is pure.
package denied

import (
	"net/netip"

	"go4.org/netipx"
)

// reserved lists the prefixes that no endpoint without a tunnel may have in any
// installation, each with a description.
var reserved = []named{
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this host"},
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	// Addresses at which clouds serve a machine's metadata and credentials, in addition
	// to the link-local 169.254.169.254.
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a cloud's metadata address"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "a cloud's metadata address"},
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud's metadata address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata address"},
	{netip.MustParsePrefix("192.0.0.192/32"), "a cloud's metadata address"},
}

// named is a prefix and the description of its addresses.
type named struct {
	netip.Prefix
	what string
}

// List is a set of addresses that endpoints without a tunnel must not have. The zero
// value only contains the reserved ones.
type List struct {
	prefixes []named
	ranges   []addressRange
	single   map[netip.Addr]string
}

type addressRange struct {
	netipx.IPRange
	what string
}

// AddPrefix denies the addresses of a prefix.
func (d *List) AddPrefix(p netip.Prefix, what string) {
	if p.IsValid() {
		d.prefixes = append(d.prefixes, named{p.Masked(), what})
	}
}

// AddRange denies the addresses of a range.
func (d *List) AddRange(r netipx.IPRange, what string) {
	d.ranges = append(d.ranges, addressRange{r, what})
}

// AddAddress denies one address.
func (d *List) AddAddress(a netip.Addr, what string) {
	if d.single == nil {
		d.single = map[netip.Addr]string{}
	}
	d.single[a.Unmap().WithZone("")] = what
}

// Check returns the description of a denied address, such as "a service address of the
// gateway cluster", and false for an address that is not denied.
func (d *List) Check(a netip.Addr) (what string, denied bool) {
	a = a.Unmap().WithZone("")
	if what, denied = d.check(a); denied {
		return what, true
	}
	if inner, ok := translated(a); ok {
		return d.check(inner)
	}
	return "", false
}

func (d *List) check(a netip.Addr) (string, bool) {
	for _, list := range [][]named{reserved, d.prefixes} {
		for _, p := range list {
			if p.Contains(a) {
				return p.what, true
			}
		}
	}
	for _, r := range d.ranges {
		if r.Contains(a) {
			return r.what, true
		}
	}
	what, ok := d.single[a]
	return what, ok
}

// IPv6 prefixes whose addresses networks may translate to the embedded IPv4 address, with
// the offset of that address.
var translations = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// translated returns the IPv4 address to which a network may translate an IPv6 one.
func translated(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	for _, t := range translations {
		if t.prefix.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[t.at : t.at+4])), true
		}
	}
	return netip.Addr{}, false
}
