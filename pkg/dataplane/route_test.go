// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Packets follow changes of the routes, although the kernel is not asked for each.
func TestRoutesAreAskedForAgain(t *testing.T) {
	b := newBench(t)
	route := func(kind, mtu int) {
		t.Helper()
		_, remote, err := net.ParseCIDR(nodeAddress[false] + "/32")
		must(t, err)
		r := &netlink.Route{Dst: remote, Type: kind, MTU: mtu, MTULock: mtu > 0}
		if kind == 0 {
			r.LinkIndex, r.Scope = index(t, b.gateway, "eth0"), netlink.SCOPE_LINK
		}
		must(t, b.gateway.RouteReplace(r))
	}
	in := ip(proxyAddress[false], endpointOf(tunnel4, false), protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, 1400)))
	frame := ether(b.fixtureMAC["gateway"], b.fixtureMAC["net1"], in)
	becomes := func(what string, verdict uint32, drop DropReason) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			before, err := b.gatewaySide.Drops()
			must(t, err)
			var got uint32
			must(t, b.gateway.Do(func() error {
				// Every CPU asks for itself.
				var all, first unix.CPUSet
				if err := unix.SchedGetaffinity(0, &all); err != nil {
					return err
				}
				for cpu := 0; first.Count() == 0; cpu++ {
					if all.IsSet(cpu) {
						first.Set(cpu)
					}
				}
				if err := unix.SchedSetaffinity(0, &first); err != nil {
					return err
				}
				got, err = b.gatewaySide.objects.EpicGatewayEncap.Run(&ebpf.RunOptions{Data: frame, Context: skbContext(b.proxy0, 0)})
				return errors.Join(err, unix.SchedSetaffinity(0, &all))
			}))
			after, err := b.gatewaySide.Drops()
			must(t, err)
			if got == verdict && (drop == "" || after[drop] > before[drop]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: verdict %d after a minute, want %d and a drop %q", what, got, verdict, drop)
			}
		}
	}
	becomes("a wide way", redirect, "")
	route(0, 1300)
	becomes("a narrow way", redirect, DropTooBig)
	route(7 /* unreachable */, 0)
	becomes("no way", shot, DropNoRoute)
	route(0, 0)
	becomes("a way again", redirect, "")
}
