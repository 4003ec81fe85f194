// SPDX-License-Identifier: Apache-2.0

package fieldset

import "net/netip"

// Address returns the canonical form of an IP address, by which objects are selected:
// IPv6 in the shortest form of RFC 5952, IPv4-mapped IPv6 as IPv4. It returns other text
// unchanged.
func Address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.Unmap().String()
}
