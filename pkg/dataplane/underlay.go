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
	// uplink is what programs ask for routes on a host that forwards nothing.
	uplink *ebpf.Variable
}

// hooks are those that every interface of the underlay has.
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

// attachXDP attaches the XDP program where that is wanted and gains something.
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
		// The tc program does all that XDP does, so an interface that can't is
		// no error.
		return nil
	}
	return err
}

// xdpCosts are drivers of network cards that switch offloads of all traffic off for XDP:
// they receive small packets then instead of merged ones.
var xdpCosts = []string{"virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "veth", "tun"}

// xdpGains reports whether XDP makes tunnels faster and costs other traffic nothing. It does
// so on a network card. On a veth it takes segmentation offload from the far end, which
// is that of the host's bridge where nodes are containers; and there the far end may have
// lost it to an XDP program of this one, so nothing that is seen there describes what would be
// without.
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

// setUplink tells programs the underlay interface with the lowest index.
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
