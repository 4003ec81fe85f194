// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mainRoutes are the announced routes of the kernel.
func (w *world) mainRoutes() []netip.Prefix {
	w.t.Helper()
	var out []netip.Prefix
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		own, err := w.host.ownRoutes(family, unix.RT_TABLE_MAIN)
		if err != nil {
			w.t.Fatal(err)
		}
		for dst := range own {
			out = append(out, dst)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// changed reports whether there was news since the last call.
func (w *world) changed() bool {
	select {
	case <-w.host.AnnouncedChanged():
		return true
	default:
		return false
	}
}

func TestAnnouncedWhileReady(t *testing.T) {
	w := newWorld(t)
	w.proxy("192.0.2.5", "2001:db8:5::5")
	w.proxy("192.0.2.6")
	first := func(standby bool) {
		t.Helper()
		for i := range w.desired.Addresses {
			if a := &w.desired.Addresses[i]; a.Address != netip.MustParseAddr("192.0.2.6") {
				a.Ends = []End{{Index: a.Ends[0].Index, MAC: a.Ends[0].MAC, Standby: standby}}
			}
		}
		w.apply()
	}
	expect := func(routes []string, addresses ...string) {
		t.Helper()
		a := w.host.Announced()
		var want Announcements
		for _, r := range routes {
			want.Routes = append(want.Routes, netip.MustParsePrefix(r))
		}
		for _, r := range addresses {
			want.Addresses = append(want.Addresses, netip.MustParseAddr(r))
		}
		if !a.Equal(want) || !slices.Equal(w.mainRoutes(), want.Routes) {
			t.Errorf("announced: %v, kernel: %v, want %v", a, w.mainRoutes(), want)
		}
	}
	first(false)
	expect([]string{"192.0.2.0/24", "2001:db8:5::/64"}, "192.0.2.5", "192.0.2.6", "2001:db8:5::5")
	if !w.changed() {
		t.Error("no news of the first announcement")
	}
	w.apply()
	if w.changed() {
		t.Error("news of nothing")
	}

	// It waits: nothing new comes here, and what comes is served.
	waits := func(waits bool) {
		t.Helper()
		for i := range w.desired.Addresses {
			if a := &w.desired.Addresses[i]; a.Address != netip.MustParseAddr("192.0.2.6") {
				a.Waits = waits
			}
		}
		w.apply()
	}
	waits(true)
	expect([]string{"192.0.2.0/24"}, "192.0.2.6")
	if !w.changed() {
		t.Error("no news of a proxy that waits")
	}
	for _, addr := range []string{"192.0.2.5", "2001:db8:5::5"} {
		if _, err := dial(w.internet, addr, 80, ""); err != nil {
			t.Errorf("%s is not served while it waits: %v", addr, err)
		}
	}
	waits(false)
	expect([]string{"192.0.2.0/24", "2001:db8:5::/64"}, "192.0.2.5", "192.0.2.6", "2001:db8:5::5")
	if !w.changed() {
		t.Error("no news of a proxy that waits no longer")
	}

	// It ends: nothing new comes here, and what comes is served.
	first(true)
	expect([]string{"192.0.2.0/24"}, "192.0.2.6")
	if !w.changed() {
		t.Error("no news of a proxy that ends")
	}
	for _, addr := range []string{"192.0.2.5", "2001:db8:5::5"} {
		if _, err := dial(w.internet, addr, 80, ""); err != nil {
			t.Errorf("%s is not served while its proxy ends: %v", addr, err)
		}
	}
	first(false)
	expect([]string{"192.0.2.0/24", "2001:db8:5::/64"}, "192.0.2.5", "192.0.2.6", "2001:db8:5::5")

	// An interface that goes is no longer announced, before anybody applies anything.
	link, err := w.node.Net.LinkByIndex(w.desired.Addresses[0].Ends[0].Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.node.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Repair(); err != nil {
		t.Fatal(err)
	}
	expect([]string{"192.0.2.0/24"}, "192.0.2.6")
}

// A prefix of which another program has a route is not announced, because it is not ours to
// deliver.
func TestForeignRouteIsNotAnnounced(t *testing.T) {
	w := newWorld(t)
	w.proxy("192.0.2.5", "2001:db8:5::5")
	uplink, err := w.node.Net.LinkByName("uplink")
	if err != nil {
		t.Fatal(err)
	}
	w.node.Route(uplink, "192.0.2.0/24", "198.51.100.9")
	if _, err := w.host.Apply(w.desired); err == nil {
		t.Error("no error about the foreign route")
	}
	want := Announcements{Routes: []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/64")}, Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:5::5")}}
	if a := w.host.Announced(); !a.Equal(want) {
		t.Errorf("announced: %v", a)
	}
}
