// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// discovery makes sockets treat the way's MTU in one manner (unix.IP_PMTUDISC_DO and
// so on, which are the same for both families).
func discovery(manner int) func(string, string, syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		level, option := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
		if network == "udp6" {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, manner) }), err)
	}
}

// wayMTU is what the kernel knows of the way that a socket's datagrams take.
func wayMTU(conn *net.UDPConn, v6 bool) (mtu int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	var failed error
	err = raw.Control(func(fd uintptr) { mtu, failed = unix.GetsockoptInt(int(fd), level, option) })
	return mtu, errors.Join(err, failed)
}

// datagrams joins proxy and pod by a pair of sockets.
func (w *world) datagrams(v6 bool, manner int) (proxy, pod *net.UDPConn) {
	w.t.Helper()
	network := map[bool]string{false: "udp4", true: "udp6"}[v6]
	here, there := port(proxyAddress[v6], 40000), port(podAddress[v6], worldPort)
	dial := func(n *netlab.Namespace, from, to netip.AddrPort) *net.UDPConn {
		var conn net.Conn
		must(w.t, n.Do(func() (err error) {
			dialer := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(from), Control: discovery(manner)}
			conn, err = dialer.DialContext(w.t.Context(), network, to.String())
			return err
		}))
		w.t.Cleanup(func() { conn.Close() })
		return conn.(*net.UDPConn)
	}
	return dial(w.proxy, here, there), dial(w.pod, there, here)
}

// cross sends a datagram of a size until it arrives, because one may be lost, or until
// sending is refused.
func cross(from, to *net.UDPConn, size int) error {
	b, data := make([]byte, 1<<16), make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := from.Write(data); err != nil {
			return err
		}
		if err := to.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		n, err := to.Read(b)
		if err == nil && bytes.Equal(b[:n], data) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d bytes do not arrive: %w", size, err)
		}
	}
}

// eachWay runs a test in both directions, for both families outside and some inside,
// which are true for IPv6.
func eachWay(t *testing.T, manner int, inside []bool, prepare func(t *testing.T, w *world), run func(t *testing.T, w *world, v6 bool, room int, from, to *net.UDPConn)) {
	t.Helper()
	for _, outer6 := range []bool{false, true} {
		t.Run(family(outer6)+" outside", func(t *testing.T) {
			w := newWorld(t, 1500)
			prepare(t, w)
			w.open()
			w.connect(outer6)
			for _, v6 := range inside {
				proxy, pod := w.datagrams(v6, manner)
				room := 1500 - overhead(outer6)
				// The node learns of the flow by what comes to the pod.
				if err := cross(proxy, pod, 1); err != nil {
					t.Fatalf("%s inside: %v; dropped:%s", family(v6), err, w.drops())
				}
				t.Run(family(v6)+" inside, requests", func(t *testing.T) { run(t, w, v6, room, proxy, pod) })
				t.Run(family(v6)+" inside, replies", func(t *testing.T) { run(t, w, v6, room, pod, proxy) })
			}
		})
	}
}

// A sender whose packets may not be fragmented is told what fits, also where no card
// on the way to it fills in checksums.
func TestTooBig(t *testing.T) {
	eachWay(t, unix.IP_PMTUDISC_DO, []bool{false, true}, func(t *testing.T, w *world) {
		must(t, w.node.Masquerade("eth0"))
		must(t, w.gateway.SetOffload("proxy0", false, netlab.TXChecksum))
		must(t, w.node.SetOffload("pod0", false, netlab.TXChecksum))
	}, func(t *testing.T, w *world, v6 bool, room int, from, to *net.UDPConn) {
		fits := room - udpHeaders(v6)
		if err := cross(from, to, fits); err != nil {
			t.Fatalf("what just fits: %v; dropped:%s", err, w.drops())
		}
		if err := cross(from, to, fits+1); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("a byte more: %v; dropped:%s", err, w.drops())
		}
		if mtu, err := wayMTU(from, v6); err != nil || mtu != room {
			t.Errorf("the sender knows an MTU of %d (%v), want %d", mtu, err, room)
		}
	})
}

func udpHeaders(v6 bool) int {
	if v6 {
		return 48
	}
	return 28
}

// What its sender has fragmented arrives, also where the pods' bridge puts it together
// again (bridge-nf-call-iptables with connection tracking).
func TestFragmentsOfPods(t *testing.T) {
	eachWay(t, unix.IP_PMTUDISC_WANT, []bool{false, true}, func(t *testing.T, w *world) {
		must(t, w.node.Masquerade("eth0"))
		must(t, w.node.Bridge("cni0", 1500, "pod0"))
		for _, v6 := range []bool{false, true} {
			route := podAddress[v6] + map[bool]string{false: "/32", true: "/128"}[v6]
			gateway := map[bool]string{false: "10.244.1.1/24", true: "fd00:244:1::1/64"}[v6]
			must(t, errors.Join(w.node.Addr("cni0", gateway), w.node.Route(route, "", "cni0")))
		}
	}, func(t *testing.T, w *world, v6 bool, room int, from, to *net.UDPConn) {
		fits := room - udpHeaders(v6)
		for _, size := range []int{fits, fits + 1, 1500 - udpHeaders(v6), 2000, 5000} {
			// Being told fails a connected socket's next call, but what is sent then
			// is fragmented.
			err := cross(from, to, size)
			for deadline := time.Now().Add(10 * time.Second); errors.Is(err, unix.EMSGSIZE) && time.Now().Before(deadline); {
				err = cross(from, to, size)
			}
			if err != nil {
				t.Errorf("%v; dropped:%s", err, w.drops())
			}
		}
	})
}

// Packets that a router may fragment are fragmented, and all of their checksums made
// before, because no card can do it afterwards. Of IPv6, only the sender may do that.
func TestFragmentation(t *testing.T) {
	eachWay(t, unix.IP_PMTUDISC_DONT, []bool{false}, func(t *testing.T, w *world) {
		must(t, w.gateway.SetOffload("eth0", false, netlab.TXChecksum))
		must(t, w.node.SetOffload("eth0", false, netlab.TXChecksum))
	}, func(t *testing.T, w *world, _ bool, room int, from, to *net.UDPConn) {
		for _, size := range []int{room - 28 + 1, 1500 - 28} {
			if err := cross(from, to, size); err != nil {
				t.Errorf("%v; dropped:%s", err, w.drops())
			}
		}
		if drops := w.drops(); drops != "" {
			t.Errorf("dropped:%s", drops)
		}
	})
}

// The longest packets become many parts.
func TestFragmentationOfLongPackets(t *testing.T) {
	w := newWorld(t, 9000)
	w.open()
	w.connect(false)
	const room = 1400
	must(t, w.gatewaySide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: port(gatewayAddress[false], DefaultPort), MTU: room}))
	must(t, w.nodeSide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: port(nodeAddress[false], DefaultPort), MTU: room}))
	proxy, pod := w.datagrams(false, unix.IP_PMTUDISC_DONT)
	// Parts have 1376 bytes of payload: the highest multiple of eight. Twice that is
	// two parts, and a byte more three.
	for _, size := range []int{1, 2*1376 - 8, 2*1376 - 8 + 1, 6000, 9000 - 28} {
		for _, ends := range [][2]*net.UDPConn{{proxy, pod}, {pod, proxy}} {
			if err := cross(ends[0], ends[1], size); err != nil {
				t.Errorf("%v; dropped:%s", err, w.drops())
			}
		}
	}
	if drops := w.drops(); drops != "" {
		t.Errorf("dropped:%s", drops)
	}
}
