// SPDX-License-Identifier: Apache-2.0

package fieldset

import "net/netip"

// Address is an IP address in the one form by which objects are selected, however
// its author wrote it: IPv6 in the shortest form of RFC 5952, an IPv4 address in
// IPv6 as IPv4. Other text stays as it is.
func Address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.Unmap().String()
}
