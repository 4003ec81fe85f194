// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	xicmp "golang.org/x/net/icmp"
	xipv4 "golang.org/x/net/ipv4"
	xipv6 "golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// largest is the largest datagram of IPv4. IPv6 has room for 20 bytes more.
const largest = 65507

// once sends a datagram a single time.
func once(from, to *net.UDPConn, size int) error {
	data, b := make([]byte, size), make([]byte, 1<<16)
	for i := range data {
		data[i] = byte(i * 11 / 5)
	}
	if err := to.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := from.Write(data); err != nil {
		return fmt.Errorf("sending %d bytes: %w", size, err)
	}
	n, err := to.Read(b)
	if err == nil && !bytes.Equal(b[:n], data) {
		err = fmt.Errorf("%d bytes arrived", n)
	}
	if err != nil {
		return fmt.Errorf("%d bytes: %w", size, err)
	}
	return nil
}

// fragFails returns the number of packets that a host could not fragment, or of which
// it could not send all fragments.
func fragFails(n *netlab.Namespace) (total int, err error) {
	err = n.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != "Ip:" {
				continue
			}
			if names == nil {
				names = fields
				continue
			}
			for i, name := range names {
				if name == "FragFails" {
					total, err = strconv.Atoi(fields[i])
				}
			}
		}
		return err
	})
	return total, err
}

// Datagrams of every size arrive in both directions, also where the node puts fragments
// together and makes others of them (connection tracking), and whether or not the sender
// has learned of the tunnel's MTU. IPv4 senders lose not a single one. IPv6 senders have
// to learn from the first that is too large.
func TestEverySize(t *testing.T) {
	for _, c := range []struct {
		name    string
		mtu     int
		tracked bool
		manner  int
	}{
		{"tracked", 1500, true, unix.IP_PMTUDISC_DONT},
		{"tracked, small", 1400, true, unix.IP_PMTUDISC_WANT},
		{"tracked, jumbo", 9000, true, unix.IP_PMTUDISC_WANT},
		{"routed", 1500, false, unix.IP_PMTUDISC_DONT},
		{"tracked, smallest", 1280, true, unix.IP_PMTUDISC_DONT},
		{"routed, smallest", 1280, false, unix.IP_PMTUDISC_WANT},
		{"routed, jumbo", 9000, false, unix.IP_PMTUDISC_DONT},
	} {
		for _, outer6 := range []bool{false, true} {
			t.Run(c.name+", "+family(outer6)+" outside", func(t *testing.T) {
				w := newWorld(t, c.mtu)
				if c.tracked {
					must(t, errors.Join(w.node.Masquerade("eth0"), w.gateway.Masquerade("eth0")))
				}
				w.open()
				w.connect(outer6)
				room := c.mtu - overhead(outer6)
				for _, v6 := range []bool{false, true} {
					proxy, pod := w.datagrams(v6, c.manner)
					must(t, cross(proxy, pod, 1))
					fits := room - udpHeaders(v6)
					// Large ones first, so nothing was learned yet.
					sizes := []int{largest, 20000, 2 * fits, 4000, 2000, c.mtu - udpHeaders(v6) + 1, c.mtu - udpHeaders(v6), fits + 1, fits, fits - 1, 100, 1, 0}
					for _, size := range sizes {
						for _, ends := range [][2]*net.UDPConn{{pod, proxy}, {proxy, pod}} {
							err := w.arrives(ends[0], ends[1], size, v6 || c.manner == unix.IP_PMTUDISC_WANT && size <= c.mtu-udpHeaders(v6))
							if err != nil {
								t.Errorf("%s inside, answer %v: %v; dropped:%s", family(v6), ends[0] == pod, err, w.drops())
							}
						}
					}
				}
				for _, n := range []*netlab.Namespace{w.node, w.gateway, w.proxy, w.pod} {
					fails, err := fragFails(n)
					must(t, err)
					if fails != 0 && c.manner == unix.IP_PMTUDISC_DONT {
						t.Errorf("%s could not send %d packets in fragments", n.Name, fails)
					}
				}
			})
		}
	}
}

// arrives sends a datagram once, or until its sender has learned of the MTU.
func (w *world) arrives(from, to *net.UDPConn, size int, learns bool) error {
	if !learns {
		return once(from, to, size)
	}
	err := cross(from, to, size)
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, unix.EMSGSIZE) && time.Now().Before(deadline); {
		err = cross(from, to, size)
	}
	return err
}

// Pings of every size are answered.
func TestPingOfEverySize(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		t.Run(family(outer6)+" outside", func(t *testing.T) {
			w := newWorld(t, 1500)
			must(t, w.node.Masquerade("eth0"))
			w.open()
			w.connect(outer6)
			for _, v6 := range []bool{false, true} {
				for _, size := range []int{65000, 4000, 1473, 1472, 1437, 56, 0} {
					if err := w.ping(v6, size); err != nil {
						t.Errorf("%s inside, %d bytes: %v; dropped:%s", family(v6), size, err, w.drops())
					}
				}
			}
		})
	}
}

// ping sends echo requests from the proxy to the pod until one is answered.
func (w *world) ping(v6 bool, size int) error {
	network, request, number := "ip4:icmp", xicmp.Type(xipv4.ICMPTypeEcho), 1
	if v6 {
		network, request, number = "ip6:ipv6-icmp", xipv6.ICMPTypeEchoRequest, 58
	}
	var conn net.PacketConn
	if err := w.proxy.Do(func() (err error) {
		conn, err = xicmp.ListenPacket(network, proxyAddress[v6])
		return err
	}); err != nil {
		return err
	}
	defer conn.Close()
	body := &xicmp.Echo{ID: 7, Seq: size, Data: bytes.Repeat([]byte("ping"), size/4)}
	packet, err := (&xicmp.Message{Type: request, Body: body}).Marshal(nil)
	if err != nil {
		return err
	}
	to := &net.IPAddr{IP: netip.MustParseAddr(podAddress[v6]).AsSlice()}
	b := make([]byte, 1<<16)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := conn.WriteTo(packet, to); err != nil && !errors.Is(err, unix.EMSGSIZE) {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				break
			}
			m, err := xicmp.ParseMessage(number, b[:n])
			if err != nil || m.Type != xipv4.ICMPTypeEchoReply && m.Type != xipv6.ICMPTypeEchoReply {
				continue
			}
			if echo, ok := m.Body.(*xicmp.Echo); ok && echo.Seq == body.Seq && bytes.Equal(echo.Data, body.Data) {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return errors.New("no answer")
		}
	}
}
