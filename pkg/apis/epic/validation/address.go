// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// address checks that s is an IP address in the one form in which it is
// compared everywhere: without a zone, not IPv4 inside IPv6, and canonical. It
// returns the zero Addr with errors.
func address(path *field.Path, s string) (netip.Addr, field.ErrorList) {
	if s == "" {
		return netip.Addr{}, field.ErrorList{field.Required(path, "must be an IP address, such as 192.0.2.1 or 2001:db8::1")}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, field.ErrorList{field.Invalid(path, quoted(s),
			"must be an IP address, such as 192.0.2.1 (without leading zeros) or 2001:db8::1")}
	}
	switch canonical := a.WithZone("").Unmap().String(); {
	case a.Zone() != "":
		err = textError("must not have a zone: write " + canonical)
	case a.Is4In6():
		err = textError("must not be an IPv4 address inside an IPv6 one: write " + canonical)
	case s != canonical:
		err = textError("must be in its shortest form, in lowercase: write " + canonical)
	case a.IsUnspecified():
		err = textError("must be the address of one host: specify it")
	case a.IsMulticast():
		err = textError("must be the address of one host, not of a multicast group: specify it")
	default:
		return a, nil
	}
	return netip.Addr{}, field.ErrorList{field.Invalid(path, quoted(s), err.Error())}
}

// addressOrNone is address for a field that may be left out.
func addressOrNone(path *field.Path, s string) (netip.Addr, field.ErrorList) {
	if s == "" {
		return netip.Addr{}, nil
	}
	return address(path, s)
}

// endpointAddress is address for something to which a proxy connects. Addresses
// that mean the proxy itself, or what is next to it, would let a tenant reach
// what is not a tenant's.
func endpointAddress(path *field.Path, s string) (netip.Addr, field.ErrorList) {
	a, errs := address(path, s)
	if len(errs) == 0 && (a.IsLoopback() || a.IsLinkLocalUnicast()) {
		errs = append(errs, field.Invalid(path, s, "must not be a loopback or link-local address: write the address by which other hosts reach the endpoint"))
	}
	return a, errs
}

// textError is an error that is a message and no more.
type textError string

func (e textError) Error() string { return string(e) }

// prefix checks a CIDR prefix.
func prefix(path *field.Path, s string) (netip.Prefix, field.ErrorList) {
	p, err := netip.ParsePrefix(s)
	switch {
	case s == "":
		return netip.Prefix{}, field.ErrorList{field.Required(path, "must be a CIDR, such as 192.0.2.0/24")}
	case err != nil:
		return netip.Prefix{}, field.ErrorList{field.Invalid(path, quoted(s), "must be a CIDR, such as 192.0.2.0/24 or 2001:db8::/64")}
	case p.Addr().Is4In6():
		return netip.Prefix{}, field.ErrorList{field.Invalid(path, s, "must not be an IPv4 CIDR inside IPv6: write it as IPv4, such as 192.0.2.0/24")}
	case p.Masked().String() != s:
		return netip.Prefix{}, field.ErrorList{field.Invalid(path, s, "must have no bits beyond its mask and be in its shortest form: write "+p.Masked().String())}
	}
	return p, nil
}
