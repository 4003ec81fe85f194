// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// A client behind a NAT talks to a server behind a router: the server sees the
// NAT's address, and another port once the NAT has forgotten the mapping.
func TestNAT(t *testing.T) {
	lab := Test(t)
	inside, nat, server := host(t, lab, "inside"), host(t, lab, "nat"), host(t, lab, "server")
	must(t, Veth(inside, "eth0", nat, "in", 1500))
	must(t, Veth(nat, "out", server, "eth0", 1500))
	must(t, inside.Addr("eth0", "10.0.0.2/24", "fd00::2/64"))
	must(t, nat.Addr("in", "10.0.0.1/24", "fd00::1/64"))
	must(t, nat.Addr("out", "192.0.2.1/24", "2001:db8::1/64"))
	must(t, server.Addr("eth0", "192.0.2.2/24", "2001:db8::2/64"))
	must(t, inside.Route("0.0.0.0/0", "10.0.0.1", ""))
	must(t, inside.Route("::/0", "fd00::1", ""))
	must(t, nat.Forward())
	must(t, nat.Masquerade("out"))
	must(t, inside.SetOffload("eth0", false, TSO, GSO))

	for _, network := range []struct{ server, nat string }{
		{"192.0.2.2", "192.0.2.1"},
		{"2001:db8::2", "2001:db8::1"},
	} {
		t.Run(network.server, func(t *testing.T) {
			var listener, client net.PacketConn
			must(t, server.Do(func() (err error) {
				listener, err = net.ListenPacket("udp", net.JoinHostPort(network.server, "6080"))
				return err
			}))
			defer func() { _ = listener.Close() }()
			must(t, inside.Do(func() (err error) {
				client, err = net.ListenPacket("udp", ":6080")
				return err
			}))
			defer func() { _ = client.Close() }()

			first := source(t, client, listener)
			if got := first.IP.String(); got != network.nat {
				t.Errorf("the server sees %s, want the NAT's %s", got, network.nat)
			}
			if again := source(t, client, listener); again.Port != first.Port {
				t.Errorf("a second packet came from port %d, the first from %d", again.Port, first.Port)
			}
			must(t, nat.FlushNAT())
			if after := source(t, client, listener); after.Port == first.Port {
				t.Errorf("after the NAT forgot its mappings a packet came from port %d as before", after.Port)
			}
		})
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	Require(t)
	lab := New()
	n := host(t, lab, "gone")
	must(t, n.Bridge("br0", 1500))
	must(t, lab.Close())
	if _, err := os.Stat(n.Path); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", n.Path, err)
	}
}

func source(t *testing.T, from, to net.PacketConn) *net.UDPAddr {
	t.Helper()
	_, err := from.WriteTo([]byte("hello"), to.LocalAddr())
	must(t, err)
	must(t, to.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, addr, err := to.ReadFrom(make([]byte, 16))
	must(t, err)
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		t.Fatal(fmt.Errorf("address of type %T", addr))
	}
	return udp
}

func host(t *testing.T, lab *Lab, name string) *Namespace {
	t.Helper()
	n, err := lab.Namespace(name)
	must(t, err)
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
