// SPDX-License-Identifier: Apache-2.0

package denied

import (
	"net/netip"
	"testing"
)

func TestReserved(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255", "64:ff9b::7f00:1"} {
		if what, denied := (&List{}).Check(netip.MustParseAddr(address)); !denied || what == "" {
			t.Errorf("%s is allowed", address)
		}
	}
	for _, address := range []string{"203.0.113.1", "10.0.0.1", "2001:db8::1", "64:ff9b::cb00:7101"} {
		if what, denied := (&List{}).Check(netip.MustParseAddr(address)); denied {
			t.Errorf("%s is denied as %s", address, what)
		}
	}
}
