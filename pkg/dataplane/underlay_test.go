// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

func TestXDPGains(t *testing.T) {
	for _, c := range []struct {
		kind, driver string
		want         bool
	}{
		{"device", "mlx5_core", true}, {"device", "ice", true},
		{"device", "virtio_net", false}, {"device", "vmxnet3", false}, {"device", "", false},
		{"veth", "veth", false}, {"bond", "bonding", false}, {"netkit", "netkit", false}, {"tuntap", "tun", false}, {"vlan", "802.1Q VLAN Support", false},
	} {
		if got := xdpGains(c.kind, c.driver); got != c.want {
			t.Errorf("%s with the driver %q: %v", c.kind, c.driver, got)
		}
	}
}

// segments reports whether an interface takes whole TCP segments of any size (TSO).
func segments(t *testing.T, n *netlab.Namespace, name string) bool {
	t.Helper()
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_GTSO}
	must(t, n.Do(func() error { return ethtool(name, unsafe.Pointer(&value)) }))
	return value.data != 0
}

// XDP on a veth takes segmentation from its far end, so there it is used only if that was
// asked for, also where an earlier start has attached it at both ends: then both have their
// segmentation back.
func TestNoXDPOnVeth(t *testing.T) {
	w := newWorld(t, 1500)
	w.gatewayOptions.XDP, w.nodeOptions.XDP = XDPNative, XDPNative
	w.open()
	w.connect(false)
	mode := func(d *DataPlane, n *netlab.Namespace) string {
		attached, err := d.Underlay().Attached()
		must(t, err)
		return attached[index(t, n, "eth0")]
	}
	if segments(t, w.gateway, "eth0") || segments(t, w.node, "eth0") || mode(w.gatewaySide, w.gateway) != "xdp" {
		t.Skip("XDP leaves veths of this kernel their segmentation")
	}
	for range 2 {
		must(t, errors.Join(w.gatewaySide.Close(), w.nodeSide.Close()))
		w.gatewayOptions.XDP, w.nodeOptions.XDP = XDPAuto, XDPAuto
		w.open()
		w.connect(false)
		for side, n := range map[*DataPlane]*netlab.Namespace{w.gatewaySide: w.gateway, w.nodeSide: w.node} {
			if got := mode(side, n); got == "xdp" {
				t.Errorf("%s: the mode is %s", n.Name, got)
			}
			if !segments(t, n, "eth0") {
				t.Errorf("%s: there is no segmentation any more", n.Name)
			}
		}
	}
	if err := w.transfer(false, 1<<20); err != nil {
		t.Error(err)
	}
	// Also where somebody has switched it off.
	must(t, errors.Join(w.gateway.SetOffload("eth0", false, netlab.TSO, netlab.GSO), w.node.SetOffload("eth0", false, netlab.TSO, netlab.GSO)))
	w.connect(false)
	if got := mode(w.gatewaySide, w.gateway); got == "xdp" {
		t.Errorf("without segmentation the mode is %s", got)
	}
}
