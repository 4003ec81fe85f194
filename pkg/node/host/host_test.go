// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRestartTakesOver(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5")
	gone, _ := w.proxy("203.0.113.6")
	w.apply()
	next, err := New(Options{Namespace: w.node.Handle})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	w.desired.Addresses = w.desired.Addresses[:1]
	w.desired.Openings = w.desired.Openings[:1]
	if _, err := next.Apply(w.desired); err != nil {
		t.Fatal(err)
	}
	w.reaches("203.0.113.5", ns.Name)
	if got, err := shut(w.internet, "203.0.113.6", 80, ""); err == nil {
		t.Errorf("what an earlier program made for %s is still there: %q", gone.Name, got)
	}
	if n, err := next.Apply(w.desired); n != 0 || err != nil {
		t.Errorf("Apply again changed %d things, %v", n, err)
	}
}

func TestManyAddresses(t *testing.T) {
	w := newWorld(t)
	_, end := w.proxy("203.0.113.5")
	const many = 5000
	for i := range many {
		a := netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)})
		w.desired.Addresses = append(w.desired.Addresses, Address{Address: a, Announce: netip.MustParsePrefix("10.77.0.0/16"), Bridge: testBridge, Ends: []End{end}})
		for port := range uint16(4) {
			w.desired.Openings = append(w.desired.Openings, Opening{Address: a, Protocol: unix.IPPROTO_TCP, Port: 8000 + port})
		}
	}
	start := time.Now()
	w.apply()
	made := time.Since(start)
	start = time.Now()
	if n := w.apply(); n != 0 {
		t.Errorf("Apply again changed %d things", n)
	}
	t.Logf("%d addresses with %d openings: made in %v, compared in %v", many, 4*many, made, time.Since(start))
}

func TestBrokenDesired(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	good := netip.MustParseAddr("203.0.113.5")
	bridges := []Bridge{{Name: "multus0", MTU: 1400}, {Name: "multus1", MTU: 1400}}
	address := func(change func(*Address)) Desired {
		a := Address{Address: good, Announce: netip.PrefixFrom(good, 32), Bridge: "multus0", Ends: []End{{Index: 3, MAC: mac}}}
		change(&a)
		return Desired{Bridges: bridges, Addresses: []Address{a}}
	}
	for _, tt := range []struct {
		name string
		in   Desired
		want string
	}{
		{"bridge without name", Desired{Bridges: []Bridge{{MTU: 1400}}}, "bridges[0].name"},
		{"bridge with a long name", Desired{Bridges: []Bridge{{Name: "0123456789abcdef", MTU: 1400}}}, "bridges[0].name"},
		{"bridge with a slash", Desired{Bridges: []Bridge{{Name: "../x", MTU: 1400}}}, "bridges[0].name"},
		{"bridge without MTU", Desired{Bridges: []Bridge{{Name: "b"}}}, "bridges[0].mtu"},
		{"bridge with two MTUs", Desired{Bridges: []Bridge{{Name: "b", MTU: 1400}, {Name: "b", MTU: 1500}}}, "bridges[1].mtu"},
		{"not of the same address family", address(func(a *Address) { a.Address = netip.Addr{} }), "addresses[0].address"},
		{"multicast", address(func(a *Address) { a.Address = netip.MustParseAddr("224.0.0.1") }), "addresses[0].address"},
		{"announce elsewhere", address(func(a *Address) { a.Announce = netip.MustParsePrefix("192.0.2.0/24") }), "addresses[0].announce"},
		{"unknown bridge", address(func(a *Address) { a.Bridge = "x" }), "addresses[0].bridge"},
		{"no index", address(func(a *Address) { a.Ends[0].Index = 0 }), "interface's index"},
		{"no hardware address", address(func(a *Address) { a.Ends[0].MAC = nil }), "hardware address"},
		{"two hardware addresses", address(func(a *Address) { a.Ends = append(a.Ends, End{Index: 3, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}) }), "two hardware addresses"},
		{"no opening address", Desired{Openings: []Opening{{Protocol: 6, Port: 80}}}, "openings[0].address"},
		{"no opening protocol", Desired{Openings: []Opening{{Address: good, Port: 80}}}, "openings[0].protocol"},
		{"no opening port", Desired{Openings: []Opening{{Address: good, Protocol: 6}}}, "openings[0].port"},
		{"prefix on two bridges", Desired{Bridges: bridges, Addresses: []Address{
			{Address: good, Announce: netip.MustParsePrefix("203.0.113.0/24"), Bridge: "multus0"},
			{Address: good.Next(), Announce: netip.MustParsePrefix("203.0.113.0/24"), Bridge: "multus1"},
		}}, "addresses[1].announce"},
		{"end on two bridges", Desired{Bridges: bridges, Addresses: []Address{
			{Address: good, Announce: netip.PrefixFrom(good, 32), Bridge: "multus0", Ends: []End{{Index: 3, MAC: mac}}},
			{Address: good.Next(), Announce: netip.PrefixFrom(good.Next(), 32), Bridge: "multus1", Ends: []End{{Index: 3, MAC: mac}}},
		}}, "two bridges"},
		{"good", address(func(*Address) {}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.in.normalize()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestAnnounced(t *testing.T) {
	for _, tt := range []struct {
		addr, subnet, aggregation, want string
	}{
		{"192.168.77.2", "192.168.77.0/24", "/32", "192.168.77.2/32"},
		{"192.168.77.2", "192.168.77.0/24", "default", "192.168.77.0/24"},
		{"192.168.77.2", "192.168.77.0/24", "/28", "192.168.77.0/28"},
		{"2001:db8::5", "2001:db8::/64", "/128", "2001:db8::5/128"},
		{"2001:db8::5", "2001:db8::/64", "default", "2001:db8::/64"},
		{"192.168.77.2", "2001:db8::/64", "default", ""},
		{"192.168.77.2", "192.168.77.0/24", "/33", ""},
		{"192.168.77.2", "192.168.77.0/24", "32", ""},
		{"192.168.77.2", "192.168.77.0/24", "", ""},
	} {
		subnet := netip.MustParsePrefix(tt.subnet)
		got, err := Announced(netip.MustParseAddr(tt.addr), subnet, tt.aggregation)
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), "aggregation") {
				t.Errorf("%+v: got %v, %v; want an error that names the field", tt, got, err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("%+v: got %v, %v", tt, got, err)
		}
	}
}

func TestSysctls(t *testing.T) {
	if got := sysctls(t.TempDir(), false, false, "to its proxies"); len(got) != 0 {
		t.Errorf("nothing is needed, and yet: %q", got)
	}
	got := sysctls(t.TempDir(), true, true, "to its proxies")
	if len(got) != 2 || !strings.Contains(got[0], "net.ipv4.ip_forward") || !strings.Contains(got[1], "net.ipv6.conf.all.forwarding") {
		t.Errorf("got %q", got)
	}
}

func TestKeysAreRecognized(t *testing.T) {
	for _, index := range []int{1, 77, maxKey - 1} {
		if !isKey(key4(index)) || !isKey(key6(index)) {
			t.Errorf("the keys of %d are not recognized", index)
		}
	}
	for _, a := range []string{"169.254.1.1", "fe80::1", "fe80::6:80", "203.0.113.5", "2001:db8::1"} {
		if isKey(netip.MustParseAddr(a)) {
			t.Errorf("%s is taken for a key", a)
		}
	}
	if mac := BridgeMAC("multus0"); mac[0]&1 != 0 || mac[0]&2 == 0 || len(mac) != 6 {
		t.Errorf("%s is not a local unicast address", mac)
	}
}
