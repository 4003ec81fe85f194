// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// A port that leaves its bridge, or a bridge or a port that is deleted, between being observed
// and being changed is no failure: whoever watches interfaces reconciles again.
func TestPortsThatChangeWhileReconciled(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(n *netlink.Handle, port, bridge netlink.Link) error
		// attached and isolated are how the port was observed.
		attached, isolated bool
	}{
		{"the port is taken out before it is isolated", func(n *netlink.Handle, port, _ netlink.Link) error { return n.LinkSetNoMaster(port) }, true, false},
		{"the bridge is deleted before the port is isolated", func(n *netlink.Handle, _, bridge netlink.Link) error { return n.LinkDel(bridge) }, true, false},
		{"the bridge is deleted before the port is attached", func(n *netlink.Handle, _, bridge netlink.Link) error { return n.LinkDel(bridge) }, false, false},
		{"the port is deleted before it is attached", func(n *netlink.Handle, port, _ netlink.Link) error { return n.LinkDel(port) }, false, false},
		{"the port is deleted before it is isolated", func(n *netlink.Handle, port, _ netlink.Link) error { return n.LinkDel(port) }, true, false},
		{"the port is deleted before it is set up", func(n *netlink.Handle, port, _ netlink.Link) error { return n.LinkDel(port) }, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, end := w.proxy("203.0.113.5")
			w.apply()
			port, err := w.node.Net.LinkByIndex(end.Index)
			if err != nil {
				t.Fatal(err)
			}
			bridge, err := w.node.Net.LinkByName(testBridge)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.attached {
				if err := w.node.Net.LinkSetNoMaster(port); err != nil {
					t.Fatal(err)
				}
				port.Attrs().MasterIndex = 0
			}
			port.Attrs().Flags = 0
			if err := tt.change(w.node.Net, port, bridge); err != nil {
				t.Fatal(err)
			}
			o := &observed{links: map[int]netlink.Link{end.Index: port}}
			if _, err := w.host.reconcilePort(o, port, bridge, tt.isolated); err != nil {
				t.Errorf("reconciling fails with %v", err)
			}
		})
	}
	t.Run("what is no port", func(t *testing.T) {
		w := newWorld(t)
		w.proxy("203.0.113.5")
		w.apply()
		bridge, err := w.node.Net.LinkByName(testBridge)
		if err != nil {
			t.Fatal(err)
		}
		lo, err := w.node.Net.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.host.reconcilePort(&observed{links: map[int]netlink.Link{}}, lo, bridge, false); err == nil {
			t.Error("an interface that the kernel refuses as a port is attached")
		}
	})
}
