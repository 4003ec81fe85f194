// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// reconcileNeighbors updates the permanent entries with the proxies' hardware addresses.
func (h *Host) reconcileNeighbors(o *observed) (int, error) {
	type entry struct {
		link int
		key  netip.Addr
	}
	want := map[entry]net.HardwareAddr{}
	for _, a := range h.desired.Addresses {
		for _, e := range o.ends(a) {
			want[entry{o.bridges[a.Bridge].Attrs().Index, key(a.Address, e.Index)}] = e.MAC
		}
	}
	bridges := map[int]bool{}
	for _, br := range o.bridges {
		bridges[br.Attrs().Index] = true
	}
	changed := 0
	var errs []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := dump(func() ([]netlink.Neigh, error) { return h.rt.NeighList(0, family) })
		if err != nil {
			return changed, fmt.Errorf("list neighbors: %w", err)
		}
		for _, n := range list {
			addr, ok := netip.AddrFromSlice(n.IP)
			if !ok || !bridges[n.LinkIndex] || !isKey(addr) {
				continue
			}
			e := entry{n.LinkIndex, addr.Unmap()}
			mac, wanted := want[e]
			if wanted {
				if n.State == netlink.NUD_PERMANENT && bytes.Equal(n.HardwareAddr, mac) {
					delete(want, e)
				}
				continue
			}
			if err := h.rt.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("remove the neighbor %s: %w", addr, err))
				continue
			}
			changed++
		}
	}
	for e, mac := range want {
		err := h.rt.NeighSet(&netlink.Neigh{LinkIndex: e.link, IP: e.key.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT})
		if err != nil {
			errs = append(errs, fmt.Errorf("set the neighbor %s: %w", e.key, err))
			continue
		}
		changed++
	}
	return changed, errors.Join(errs...)
}
