// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A proxy pings its endpoint's address, with small packets and with ones that just fit.
func ping(t *testing.T, v *service) {
	network, protocol := "ip4:icmp", 1
	var request, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if net.ParseIP(v.pod).To4() == nil {
		network, protocol = "ip6:ipv6-icmp", 58
		request, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	conn, err := v.proxy.ListenPacket(t.Context(), network, v.lb.Spec.PublicAddress)
	v.s.must(err)
	defer conn.Close()
	to := &net.IPAddr{IP: net.ParseIP(v.pod)}
	for sequence, size := range []int{8, 1500 - v.s.overhead() - v.headers(8)} {
		body := &icmp.Echo{ID: 4711, Seq: sequence, Data: bytes.Repeat([]byte{'x'}, size)}
		packet, err := (&icmp.Message{Type: request, Body: body}).Marshal(nil)
		v.s.must(err)
		v.s.until(fmt.Sprintf("the answer to a ping of %d bytes", size), func() error {
			if _, err := conn.WriteTo(packet, to); err != nil {
				return err
			}
			if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			b := make([]byte, 2000)
			for {
				n, from, err := conn.ReadFrom(b)
				if err != nil {
					return err
				}
				m, err := icmp.ParseMessage(protocol, b[:n])
				if err != nil || m.Type != reply || from.String() != v.pod {
					continue
				}
				if echo, ok := m.Body.(*icmp.Echo); ok && echo.ID == body.ID && echo.Seq == body.Seq && bytes.Equal(echo.Data, body.Data) {
					return nil
				}
			}
		})
	}
}
