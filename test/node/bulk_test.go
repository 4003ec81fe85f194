// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// bulkSize is the number of bytes sent in each direction.
const bulkSize = 4 << 20

// podEchoes has a tenant's pod send back what it gets at a port, by TCP and by UDP.
func (s *site) podEchoes(tenant, port int) {
	s.t.Helper()
	pod, address := s.world.Tenants[tenant].Pod, fmt.Sprintf(":%d", port)
	listener, err := pod.Listen(s.t.Context(), "tcp", address)
	s.must(err)
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	datagrams, err := pod.ListenPacket(s.t.Context(), "udp", address)
	s.must(err)
	s.t.Cleanup(func() { datagrams.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := datagrams.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = datagrams.WriteTo(b[:n], from)
		}
	}()
}

// connect connects a proxy with the echo of its pod.
func (v *service) connect() *net.TCPConn {
	v.s.t.Helper()
	var conn net.Conn
	v.s.until("a connection to the pod", func() error {
		ctx, cancel := context.WithTimeout(v.s.t.Context(), 5*time.Second)
		defer cancel()
		var err error
		conn, err = v.proxy.Dial(ctx, "tcp", v.at(echoPort))
		return err
	})
	v.s.t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// exchange sends bytes over a connection while it reads their echo, and compares.
func (s *site) exchange(conn net.Conn) {
	s.t.Helper()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	data := make([]byte, bulkSize)
	_, _ = rand.NewChaCha8([32]byte{1, 2, 3}).Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- err
	}()
	sum := sha256.New()
	n, err := io.CopyN(sum, conn, bulkSize)
	if err != nil {
		s.t.Fatalf("after %d bytes: %v", n, err)
	}
	s.must(<-sent)
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		s.t.Error("what came back is not what was sent")
	}
}

// segment is the largest segment that a host sends over a connection.
func segment(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	return int(info.Snd_mss), nil
}

// overhead is what a tunnel adds to a packet.
func (s *site) overhead() int {
	if s.outer == outer6 {
		return 56
	}
	return 36
}

// headers is the size of a packet's headers before the transport's payload.
func (v *service) headers(transport int) int {
	if v.pod == "" || net.ParseIP(v.pod).To4() == nil {
		return 40 + transport
	}
	return 20 + transport
}

// Many bytes cross a tunnel both ways at once, unchanged.
func bulk(t *testing.T, v *service) {
	before, err := v.tunnel(v.s.gateway)
	v.s.must(err)
	conn := v.connect()
	v.s.exchange(conn)
	v.s.exchange(conn)
	after, err := v.tunnel(v.s.gateway)
	v.s.must(err)
	sent, received := after.Counters.SentBytes-before.Counters.SentBytes, after.Counters.ReceivedBytes-before.Counters.ReceivedBytes
	if sent < 2*bulkSize || received < 2*bulkSize {
		t.Errorf("the tunnel counts %d bytes sent and %d received, less than crossed it", sent, received)
	}
	mss, err := segment(conn)
	v.s.must(err)
	// The last 12 bytes are the timestamps.
	if want := 1500 - v.s.overhead() - v.headers(20) - 12; mss > want {
		t.Errorf("segments of %d bytes, want at most %d", mss, want)
	}
}

// The same where the nodes cut segments themselves, as for a wire.
func bulkWithoutOffloads(_ *testing.T, v *service) {
	hosts := []*netlab.Namespace{v.s.gateway.host, v.s.tenants[0].host}
	offloads := []netlab.Offload{netlab.TSO, netlab.GSO, netlab.GRO}
	for _, h := range hosts {
		v.s.must(h.SetOffload("eth0", false, offloads...))
	}
	v.s.exchange(v.connect())
	for _, h := range hosts {
		v.s.must(h.SetOffload("eth0", true, offloads...))
	}
	v.s.exchange(v.connect())
}

// narrowMTU is that of the narrowest link on a way.
const narrowMTU = 1360

// A link on the way becomes narrower: a connection that is open continues, and the next
// one begins with segments that fit.
func narrowWay(t *testing.T, v *service) {
	s := v.s
	width := func(mtu int) {
		for _, end := range []struct {
			host *netlab.Namespace
			link string
		}{{s.world.Internet, "nat1"}, {s.world.Tenants[0].NAT, "out"}} {
			link, err := end.host.LinkByName(end.link)
			s.must(err)
			s.must(end.host.LinkSetMTU(link, mtu))
		}
	}
	conn := v.connect()
	s.exchange(conn)
	width(narrowMTU)
	s.exchange(conn)
	want := narrowMTU - s.overhead() - v.headers(20) - 12
	for _, c := range []*net.TCPConn{conn, v.connect()} {
		mss, err := segment(c)
		s.must(err)
		if mss > want {
			t.Errorf("segments of %d bytes, want at most %d", mss, want)
		}
		s.exchange(c)
	}
	width(1500)
	// What the nodes learned of the way they forget in minutes; here, at once.
	for _, h := range []*netlab.Namespace{s.gateway.host, s.tenants[0].host} {
		for _, family := range []string{"ipv4", "ipv6"} {
			s.must(h.Sysctl(family+".route.flush", "1"))
		}
	}
	s.exchange(conn)
}

// echoOf sends a datagram until its echo comes, because a datagram may be lost.
func (v *service) echoOf(conn net.Conn, data []byte) {
	v.s.t.Helper()
	b := make([]byte, 1<<16)
	v.s.until(fmt.Sprintf("the echo of %d bytes", len(data)), func() error {
		if _, err := conn.Write(data); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, err := conn.Read(b)
			if err != nil {
				return err
			}
			if bytes.Equal(b[:n], data) {
				return nil
			}
		}
	})
}

// Datagrams cross, those that do not fit as fragments: senders are told, and find out
// that way.
func datagrams(_ *testing.T, v *service) {
	conn, err := v.proxy.Dial(v.s.t.Context(), "udp", v.at(echoPort))
	v.s.must(err)
	defer conn.Close()
	fits := 1500 - v.s.overhead() - v.headers(8)
	for i, size := range []int{1, 512, fits - 1, fits, fits + 1, 1500 - v.headers(8), 4000} {
		v.echoOf(conn, bytes.Repeat([]byte{byte('a' + i)}, size))
	}
}

// The pod refuses connections to an endpoint without a listener.
func refused(t *testing.T, v *service) {
	v.s.until("a connection is refused", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := v.proxy.Dial(ctx, "tcp", v.at(closedPort))
		if err == nil {
			conn.Close()
		}
		return isRefused(err)
	})
	conn, err := v.proxy.Dial(t.Context(), "udp", v.at(closedPort))
	v.s.must(err)
	defer conn.Close()
	v.s.until("a datagram is refused", func() error {
		if _, err := conn.Write([]byte("hello")); err != nil {
			return isRefused(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		_, err := conn.Read(make([]byte, 10))
		return isRefused(err)
	})
}

func isRefused(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err == nil {
		return errors.New("it is not refused")
	}
	return fmt.Errorf("it is not refused: %w", err)
}
