// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"testing"
	"time"

	xicmp "golang.org/x/net/icmp"
	xipv4 "golang.org/x/net/ipv4"
	xipv6 "golang.org/x/net/ipv6"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// A proxy gets errors about its packets, and pings, by their types alone: also where
// connection tracking knows nothing of what they are about, as after it was flushed or
// where a router answers a packet that left by a tunnel.
func TestICMPWithoutConnections(t *testing.T) {
	w := newWorld(t)
	ns, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	for _, c := range []struct {
		network, proxy, outside string
		kind                    func(int) xicmp.Type
		number                  int
		passes, refused         []int
	}{
		{"ip4:icmp", "203.0.113.5", "198.51.100.9", func(n int) xicmp.Type { return xipv4.ICMPType(n) }, 1, []int{3, 8, 11, 12}, []int{0, 4, 5, 13, 14, 17}},
		{"ip6:ipv6-icmp", "2001:db8:5::5", "2001:db8:1::9", func(n int) xicmp.Type { return xipv6.ICMPType(n) }, 58, []int{1, 2, 3, 4, 128}, []int{100, 127, 129, 139, 200}},
	} {
		listen := func(at *testns.NS, address string) *xicmp.PacketConn {
			t.Helper()
			var conn *xicmp.PacketConn
			if err := at.Do(func() (err error) { conn, err = xicmp.ListenPacket(c.network, address); return err }); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		from, to := listen(w.internet, c.outside), listen(ns, c.proxy)
		send := func(kind int) bool {
			t.Helper()
			// What it quotes is no packet that anybody has sent.
			body := &xicmp.RawBody{Data: append([]byte{0, 0, 5, 0}, make([]byte, 48)...)}
			var pseudo []byte
			if c.number == 58 {
				pseudo = xicmp.IPv6PseudoHeader(net.ParseIP(c.outside), net.ParseIP(c.proxy))
			}
			packet, err := (&xicmp.Message{Type: c.kind(kind), Body: body}).Marshal(pseudo)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := from.WriteTo(packet, &net.IPAddr{IP: net.ParseIP(c.proxy)}); err != nil {
				t.Fatal(err)
			}
			_ = to.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			for b := make([]byte, 1500); ; {
				n, sender, err := to.ReadFrom(b)
				if err != nil {
					return false
				}
				if n > 0 && int(b[0]) == kind && sender.String() == c.outside {
					return true
				}
			}
		}
		// The way there is found out first.
		for range 20 {
			if send(c.passes[0]) {
				break
			}
		}
		for _, kind := range c.passes {
			if !send(kind) {
				t.Errorf("%s: ICMP type %d does not reach the proxy", c.proxy, kind)
			}
		}
		for _, kind := range c.refused {
			if send(kind) {
				t.Errorf("%s: ICMP type %d reaches the proxy", c.proxy, kind)
			}
		}
	}
}
