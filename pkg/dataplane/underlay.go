// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/bpf"
)

// underlay implements Underlay.
type underlay struct {
	mu       *sync.Mutex
	options  Options
	attacher *attacher
	// uplink is the interface that programs use for route lookups on a host that does not
	// forward.
	uplink *ebpf.Variable
}

// hooks returns the hooks of every underlay interface.
func (u *underlay) hooks() []bpf.KernelHook {
	if u.options.Role == RoleGateway {
		return []bpf.KernelHook{bpf.KernelHookHOOK_UNDERLAY_INGRESS}
	}
	return []bpf.KernelHook{bpf.KernelHookHOOK_UNDERLAY_INGRESS, bpf.KernelHookHOOK_UNDERLAY_EGRESS}
}

// Attach implements Underlay.
func (u *underlay) Attach(index int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return fmt.Errorf("underlay interface %d: %w", index, err)
	}
	name := l.Attrs().Name
	if l.Attrs().EncapType != "ether" {
		return fmt.Errorf("underlay interface %s is of the kind %q: tunnels need one with Ethernet headers", name, l.Attrs().EncapType)
	}
	for _, hook := range u.hooks() {
		if err := u.attacher.attach(index, hook); err != nil {
			return fmt.Errorf("underlay interface %s: %w", name, err)
		}
	}
	if err := u.attachXDP(l); err != nil {
		return fmt.Errorf("underlay interface %s: %w", name, err)
	}
	return u.setUplink()
}

// attachXDP attaches the XDP program if it is wanted and beneficial.
func (u *underlay) attachXDP(l netlink.Link) error {
	index := l.Attrs().Index
	wanted := u.options.XDP == XDPNative
	if u.options.XDP == XDPAuto {
		driver, err := driverOf(l.Attrs().Name)
		wanted = err == nil && xdpGains(l.Type(), driver)
	}
	if !wanted {
		return u.attacher.detach(index, bpf.KernelHookHOOK_UNDERLAY_XDP)
	}
	err := u.attacher.attach(index, bpf.KernelHookHOOK_UNDERLAY_XDP)
	if u.options.XDP == XDPAuto {
		// The tc program has the same functions as XDP, so an interface without XDP is
		// not an error.
		return nil
	}
	return err
}

// xdpCosts lists drivers of network cards that disable offloads of all traffic for XDP:
// they then receive small packets instead of merged ones.
var xdpCosts = []string{"virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "veth", "tun"}

// xdpGains reports whether XDP makes tunnels faster without a cost for other traffic.
// That is the case on a network card. On a veth, it disables segmentation offload at the
// far end, which is that of the host's bridge if nodes are containers; there, the far end
// may also have lost it to an XDP program of this node, so its state does not show what
// it would be without.
func xdpGains(kind, driver string) bool {
	return kind == "device" && driver != "" && !slices.Contains(xdpCosts, driver)
}

// Detach implements Underlay.
func (u *underlay) Detach(index int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var errs []error
	for _, hook := range append(u.hooks(), bpf.KernelHookHOOK_UNDERLAY_XDP) {
		errs = append(errs, u.attacher.detach(index, hook))
	}
	return errors.Join(append(errs, u.setUplink())...)
}

// setUplink informs programs of the underlay interface with the lowest index.
func (u *underlay) setUplink() error {
	var lowest uint32
	for key := range u.attacher.table.want {
		if key.Hook == bpf.KernelHookHOOK_UNDERLAY_INGRESS && (lowest == 0 || key.Ifindex < lowest) {
			lowest = key.Ifindex
		}
	}
	return u.uplink.Set(lowest)
}

// Attached implements Underlay.
func (u *underlay) Attached() (map[int]string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	attached := map[int]string{}
	for key, value := range u.attacher.table.want {
		index := int(key.Ifindex)
		switch {
		case key.Hook == bpf.KernelHookHOOK_UNDERLAY_XDP:
			attached[index] = "xdp"
		case key.Hook == bpf.KernelHookHOOK_UNDERLAY_INGRESS && attached[index] == "":
			attached[index] = "tcx"
			if value.How == bpf.KernelHowHOW_CLSACT {
				attached[index] = "clsact"
			}
		}
	}
	return attached, nil
}
