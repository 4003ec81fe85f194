// SPDX-License-Identifier: Apache-2.0

package podnet

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/test/netlab"
)

// A proxy without a first interface, as on a gateway host without Kubernetes, has a default route
// for each of its addresses, and what was made once is left alone.
func TestWithoutFirstInterface(t *testing.T) {
	lab := netlab.Test(t)
	node, err := lab.Namespace("node")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Bridge("br0", 1500); err != nil {
		t.Fatal(err)
	}
	worker := Worker{Host: netns.NsHandle(node.FD())}
	for name, addresses := range map[string][]netip.Addr{
		"IPv4":      {netip.MustParseAddr("192.168.77.2")},
		"IPv6":      {netip.MustParseAddr("2001:db8:77::2")},
		"IPv6-IPv4": {netip.MustParseAddr("2001:db8:77::3"), netip.MustParseAddr("192.168.77.3")},
		"IPv4-IPv6": {netip.MustParseAddr("192.168.77.4"), netip.MustParseAddr("2001:db8:77::4")},
	} {
		t.Run(name, func(t *testing.T) {
			pod, err := lab.Namespace("pod-" + addresses[0].String())
			if err != nil {
				t.Fatal(err)
			}
			a := wire.Attachment{Network: "test", Container: name, Interface: "none"}
			plan := &wire.Plan{
				Kind: "LoadBalancer", Namespace: "epic-a", Owner: "lb", Pod: "lb-0",
				Host: a.HostName(), HostMAC: host.StableMAC("host " + name), Alias: a.Alias(), Bridge: "br0", BridgeMAC: host.BridgeMAC("br0"),
				Name: "net1", MAC: host.StableMAC("pod " + name), MTU: 1500, Addresses: addresses,
			}
			index, err := worker.Attach(pod.Path, "none", plan)
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range addresses {
				routes, err := pod.RouteListFiltered(family(address), &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
				if err != nil {
					t.Fatal(err)
				}
				if len(routes) != 1 || !isDefault(routes[0]) || !routes[0].Gw.Equal(gateway(family(address)).AsSlice()) {
					t.Errorf("the routes for %s are %v, want a default route", address, routes)
				}
			}
			if again, err := worker.Attach(pod.Path, "none", plan); err != nil || again != index {
				t.Errorf("attached again, the interface has index %d, and had %d: %v", again, index, err)
			}
		})
	}
}

// A default route that is missing is noticed, whichever family it is of.
func TestCheckSeesMissingDefaultRoute(t *testing.T) {
	lab := netlab.Test(t)
	node, err := lab.Namespace("node")
	if err != nil {
		t.Fatal(err)
	}
	pod, err := lab.Namespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Bridge("br0", 1500); err != nil {
		t.Fatal(err)
	}
	worker := Worker{Host: netns.NsHandle(node.FD())}
	a := wire.Attachment{Network: "test", Container: "both", Interface: "none"}
	plan := &wire.Plan{
		Kind: "GWProxy", Namespace: "epic-a", Owner: "gw", Pod: "gw-0",
		Host: a.HostName(), HostMAC: host.StableMAC("host"), Alias: a.Alias(), Bridge: "br0", BridgeMAC: host.BridgeMAC("br0"),
		Name: "net1", MAC: host.StableMAC("pod"), MTU: 1500,
		Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:77::3"), netip.MustParseAddr("192.168.77.3")},
	}
	for _, f := range families {
		if _, err := worker.Attach(pod.Path, "none", plan); err != nil {
			t.Fatal(err)
		}
		if err := worker.Check(pod.Path, "none", plan); err != nil {
			t.Fatal(err)
		}
		if err := removeOwnRoutes(pod.Handle, f); err != nil {
			t.Fatal(err)
		}
		if worker.Check(pod.Path, "none", plan) == nil {
			t.Errorf("nothing is said though the default route of family %d is missing", f)
		}
	}
}
