// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/acnodal/epic/pkg/bgpcommunity"
)

func TestRouterID(t *testing.T) {
	if got := RouterID(netip.MustParseAddr("192.0.2.40")); got.String() != "192.0.2.40" {
		t.Errorf("%s", got)
	}
	seen := map[netip.Addr]bool{}
	for i := range 200 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
		id := RouterID(a)
		if !id.Is4() || id.IsUnspecified() || id.IsMulticast() || id.As4()[0] == 0 || id.As4()[0] > 223 || id != RouterID(a) {
			t.Errorf("%s: %s", a, id)
		}
		seen[id] = true
	}
	if len(seen) != 200 {
		t.Errorf("200 nodes have %d identifiers", len(seen))
	}
}

func TestLibraryPeer(t *testing.T) {
	p := Peer{
		Name: "tor", Address: netip.MustParseAddr("2001:db8::1"), ASN: 64512, Port: 1790, Password: "secret",
		HoldTime: 9 * time.Second, MaxPrefixes: 5, GracefulRestart: time.Minute, TTLSecurity: true, MultihopTTL: 3,
	}
	is := libraryPeer(p, true)
	if is.TtlSecurity.GetTtlMin() != 255 || is.EbgpMultihop != nil || is.GetGracefulRestart().GetRestartTime() != 60 || !is.GetGracefulRestart().GetLocalRestarting() ||
		is.GetTimers().GetConfig().GetHoldTime() != 9 || is.GetTransport().GetRemotePort() != 1790 || is.GetAfiSafis()[0].GetPrefixLimits().GetMaxPrefixes() != 5 {
		t.Errorf("%+v", is)
	}
	p.TTLSecurity, p.GracefulRestart = false, 0
	is = libraryPeer(p, true)
	if is.TtlSecurity != nil || is.EbgpMultihop.GetMultihopTtl() != 3 || is.GetGracefulRestart().GetEnabled() || is.GetGracefulRestart().GetLocalRestarting() {
		t.Errorf("%+v", is)
	}
}

func TestLibraryPaths(t *testing.T) {
	large, _ := bgpcommunity.Parse("1:2:3")
	plain, _ := bgpcommunity.Parse("64512:7")
	paths, err := libraryPaths([]netip.Prefix{netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("2001:db8::/64")}, []bgpcommunity.Community{large, plain})
	if err != nil || len(paths) != 2 || paths[0].Family != bgp.RF_IPv4_UC || paths[1].Family != bgp.RF_IPv6_UC {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, p := range paths {
		if len(p.Attrs) != 4 {
			t.Errorf("%s has %d attributes", p.Nlri, len(p.Attrs))
		}
	}
}
