// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Announcements lists what the kernel delivers to ready proxies, so the network may send
// it here.
type Announcements struct {
	// Routes are the routes in the main table: addresses, or their aggregates.
	Routes []netip.Prefix
	// Addresses are the public and alternate addresses themselves.
	Addresses []netip.Addr
}

// Equal reports whether two values are equal.
func (a Announcements) Equal(b Announcements) bool {
	return slices.Equal(a.Routes, b.Routes) && slices.Equal(a.Addresses, b.Addresses)
}

// Announced returns what is currently announced. It must not be modified.
func (h *Host) Announced() Announcements {
	h.announcedMu.Lock()
	defer h.announcedMu.Unlock()
	return h.announced
}

// AnnouncedChanged returns a channel that receives a value whenever the announcements
// have changed since the last receive.
func (h *Host) AnnouncedChanged() <-chan struct{} { return h.announcedChanged }

// setAnnounced records what is announced. It sorts both lists.
func (h *Host) setAnnounced(a Announcements) {
	slices.SortFunc(a.Routes, netip.Prefix.Compare)
	slices.SortFunc(a.Addresses, netip.Addr.Compare)
	h.announcedMu.Lock()
	changed := !h.announced.Equal(a)
	h.announced = a
	h.announcedMu.Unlock()
	if changed {
		select {
		case h.announcedChanged <- struct{}{}:
		default:
		}
	}
}

// announces reports whether the network may send visitors of an address here: it does not
// wait, and one of its ends is not on standby. If all proxies of an address are
// terminating or have not started, it is still delivered but no longer announced.
func (a *Address) announces(ends []End) bool {
	return !a.Waits && slices.ContainsFunc(ends, func(e End) bool { return !e.Standby })
}

// Left reports whether the kernel has announced routes left by an earlier program: then
// packets were delivered while none was running.
func (h *Host) Left() (bool, error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		own, err := h.ownRoutes(family, unix.RT_TABLE_MAIN)
		if err != nil {
			return false, err
		}
		if len(own) > 0 {
			return true, nil
		}
	}
	return false, nil
}
