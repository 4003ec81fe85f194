// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

const testBridge = "multus0"

// world is a gateway node between the internet and some proxies.
type world struct {
	t              testing.TB
	node, internet *testns.NS
	host           *Host
	desired        Desired
	proxies        int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, node: testns.New(t), internet: testns.New(t)}
	uplink, outside := testns.Veth(t, w.node, "uplink", w.internet, "eth0")
	w.node.Address(uplink, "198.51.100.1/24")
	w.node.Address(uplink, "2001:db8:1::1/64")
	w.internet.Address(outside, "198.51.100.9/24")
	w.internet.Address(outside, "2001:db8:1::9/64")
	w.internet.Route(outside, "0.0.0.0/0", "198.51.100.1")
	w.internet.Route(outside, "::/0", "2001:db8:1::1")
	w.node.Route(uplink, "0.0.0.0/0", "198.51.100.9")
	w.node.Sysctl("net/ipv4/ip_forward", "1")
	w.node.Sysctl("net/ipv6/conf/all/forwarding", "1")
	// A strict reverse path is what distributions switch on.
	w.node.Sysctl("net/ipv4/conf/all/rp_filter", "1")
	var err error
	if w.host, err = New(Options{Namespace: w.node.Handle, Interval: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.host.Close)
	w.desired.Bridges = []Bridge{{Name: testBridge, MTU: 1400}}
	return w
}

// proxy starts a proxy with addresses, which answers on TCP port 80 with its name.
func (w *world) proxy(addrs ...string) (*testns.NS, End) {
	w.t.Helper()
	w.proxies++
	ns := testns.New(w.t)
	hostEnd, podEnd := testns.Veth(w.t, w.node, fmt.Sprintf("epic%d", w.proxies), ns, "net1")
	end := End{Index: hostEnd.Attrs().Index, MAC: podEnd.Attrs().HardwareAddr}
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		ns.Address(podEnd, netip.PrefixFrom(addr, addr.BitLen()).String())
		gateway, all := "169.254.1.1", "0.0.0.0/0"
		if addr.Is6() {
			gateway, all = GatewayIPv6.String(), "::/0"
		}
		if err := ns.Net.NeighSet(&netlink.Neigh{LinkIndex: podEnd.Attrs().Index, IP: net.ParseIP(gateway), HardwareAddr: BridgeMAC(testBridge), State: netlink.NUD_PERMANENT}); err != nil {
			w.t.Fatal(err)
		}
		ns.Route(podEnd, all, gateway)
		w.publish(addr, end)
	}
	w.serve(ns, ns.Name, 80)
	return ns, end
}

func (w *world) publish(addr netip.Addr, end End) {
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	w.desired.Addresses = append(w.desired.Addresses, Address{
		Address: addr, Announce: netip.PrefixFrom(addr, bits), Bridge: testBridge, Ends: []End{end},
	})
	w.desired.Openings = append(w.desired.Openings, Opening{Address: addr, Protocol: unix.IPPROTO_TCP, Port: 80})
}

func (w *world) serve(ns *testns.NS, text string, port int) {
	w.t.Helper()
	var l net.Listener
	err := ns.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("[::]:%d", port))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
}

func (w *world) apply() int {
	w.t.Helper()
	n, err := w.host.Apply(w.desired)
	if err != nil {
		w.t.Fatalf("Apply: %v", err)
	}
	w.settle()
	return n
}

// settle waits until the kernel has noticed that the new ports have a carrier, for
// which it takes up to a second.
func (w *world) settle() {
	w.t.Helper()
	for range 200 {
		links, err := w.node.Net.LinkList()
		if err != nil {
			w.t.Fatal(err)
		}
		if !slices.ContainsFunc(links, func(l netlink.Link) bool {
			return (l.Type() == "veth" || l.Attrs().Name == testBridge && l.Attrs().Alias != "") && l.Attrs().OperState != netlink.OperUp
		}) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatal("the links do not come up")
}

// dial connects from a namespace and returns what it is told.
func dial(ns *testns.NS, addr string, port int, source string) (string, error) {
	return dialFor(3*time.Second, ns, addr, port, source)
}

// shut is dial to where no answer is expected.
func shut(ns *testns.NS, addr string, port int, source string) (string, error) {
	return dialFor(400*time.Millisecond, ns, addr, port, source)
}

func dialFor(timeout time.Duration, ns *testns.NS, addr string, port int, source string) (string, error) {
	var out string
	err := ns.Do(func() error {
		d := net.Dialer{Timeout: timeout}
		if source != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
		}
		c, err := d.DialContext(context.Background(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(port)).String())
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		data, err := io.ReadAll(c)
		out = string(data)
		return err
	})
	return out, err
}

func (w *world) reaches(addr, want string) {
	w.t.Helper()
	got, err := dial(w.internet, addr, 80, "")
	if err != nil || got != want {
		w.t.Errorf("from the internet to %s port 80: got %q, %v; want %q", addr, got, err, want)
	}
}

func (w *world) refused(r Refusal) uint64 {
	w.t.Helper()
	all, err := w.host.Refusals()
	if err != nil {
		w.t.Fatal(err)
	}
	return all[r].Packets
}
