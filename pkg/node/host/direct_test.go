// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

// echoes has a namespace answer datagrams at a port with what they say.
func (w *world) echoes(ns *testns.NS, at string) {
	w.t.Helper()
	var conn net.PacketConn
	if err := ns.Do(func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", at)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
}

// asks reports whether a datagram to an address is answered.
func asks(ns *testns.NS, to string, timeout time.Duration) bool {
	return ns.Do(func() error {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "udp", to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("question")); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(timeout))
		_, err = conn.Read(make([]byte, 100))
		return err
	}) == nil
}

// A proxy reaches its own direct endpoints, at their protocol and port, with its own address;
// nothing else, and no other proxy reaches them. One that is removed is closed at once.
func TestDirectEndpoints(t *testing.T) {
	w := newWorld(t)
	a, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	b, _ := w.proxy("203.0.113.6", "2001:db8:5::6")
	w.serve(w.internet, "endpoint", 443)
	w.serve(w.internet, "other", 444)
	direct := func(proxy, endpoint string, protocol uint8) Direct {
		return Direct{Proxy: netip.MustParseAddr(proxy), Endpoint: netip.MustParseAddrPort(endpoint), Protocol: protocol}
	}
	w.desired.Directs = []Direct{
		direct("203.0.113.5", "198.51.100.9:443", unix.IPPROTO_TCP), direct("2001:db8:5::5", "[2001:db8:1::9]:443", unix.IPPROTO_TCP),
		direct("203.0.113.5", "198.51.100.9:53", unix.IPPROTO_UDP), direct("2001:db8:5::5", "[2001:db8:1::9]:53", unix.IPPROTO_UDP),
	}
	w.apply()
	if n := w.apply(); n != 0 {
		t.Errorf("the second Apply changed %d things", n)
	}
	for _, to := range []string{"198.51.100.9", "2001:db8:1::9"} {
		datagrams := net.JoinHostPort(to, "53")
		w.echoes(w.internet, datagrams)
		w.echoes(w.internet, net.JoinHostPort(to, "443"))
		if got, err := dial(a, to, 443, ""); err != nil || got != "endpoint" {
			t.Errorf("a direct endpoint at %s: %q, %v", to, got, err)
		}
		if !asks(a, datagrams, 3*time.Second) {
			t.Errorf("a direct endpoint at %s answers no datagram", datagrams)
		}
		for what, open := range map[string]func() bool{
			"another port":            func() bool { _, err := shut(a, to, 444, ""); return err == nil },
			"another protocol":        func() bool { return asks(a, net.JoinHostPort(to, "443"), 300*time.Millisecond) },
			"another proxy":           func() bool { _, err := shut(b, to, 443, ""); return err == nil },
			"another proxy, datagram": func() bool { return asks(b, datagrams, 300*time.Millisecond) },
		} {
			before := w.refused(RefusedOpened)
			if open() {
				t.Errorf("%s: %s is open", to, what)
			}
			if w.refused(RefusedOpened) == before {
				t.Errorf("%s: %s is not counted", to, what)
			}
		}
	}
	// The endpoint opens nothing by being one, and what is published stays so.
	w.serve(a, "closed", 8443)
	if got, err := shut(w.internet, "203.0.113.5", 8443, ""); err == nil {
		t.Errorf("the endpoint reaches an unpublished port: %q", got)
	}
	w.reaches("203.0.113.5", a.Name)

	live := w.stream(a, "198.51.100.9", 445)
	defer live.Close()
	w.desired.Directs = nil
	w.apply()
	if live.crosses(t) {
		t.Error("a connection goes on after its endpoint was removed")
	}
	for _, to := range []string{"198.51.100.9", "2001:db8:1::9"} {
		if got, err := shut(a, to, 443, ""); err == nil {
			t.Errorf("a direct endpoint that was removed: %q", got)
		}
	}
	// Put again, it is open for what begins, and for what it had opened before.
	w.desired.Directs = []Direct{direct("203.0.113.5", "198.51.100.9:443", unix.IPPROTO_TCP)}
	w.apply()
	if got, err := dial(a, "198.51.100.9", 443, ""); err != nil || got != "endpoint" {
		t.Errorf("put again: %q, %v", got, err)
	}
}

// stream is an open connection.
type stream struct{ near, far net.Conn }

func (s *stream) Close() { _, _ = s.near.Close(), s.far.Close() }

// stream opens a connection to a port that is a direct endpoint until then.
func (w *world) stream(from *testns.NS, to string, port uint16) *stream {
	w.t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr(to), port)
	w.desired.Directs = append(w.desired.Directs, Direct{Proxy: w.desired.Addresses[0].Address, Endpoint: at, Protocol: unix.IPPROTO_TCP})
	w.apply()
	var l net.Listener
	s := &stream{}
	err := w.internet.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", at.String())
		return err
	})
	if err == nil {
		err = from.Do(func() (err error) {
			s.near, err = (&net.Dialer{Timeout: 3 * time.Second}).DialContext(context.Background(), "tcp", at.String())
			return err
		})
	}
	if err == nil {
		s.far, err = l.Accept()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	_ = l.Close()
	if !s.crosses(w.t) {
		w.t.Fatal("nothing crosses an open connection")
	}
	return s
}

// crosses reports whether anything arrives at either end.
func (s *stream) crosses(t testing.TB) bool {
	t.Helper()
	for _, way := range [][2]net.Conn{{s.near, s.far}, {s.far, s.near}} {
		_, _ = way[0].Write([]byte("x"))
		_ = way[1].SetReadDeadline(time.Now().Add(700 * time.Millisecond))
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err == nil {
			return true
		}
	}
	return false
}

// A connection that no connection tracking has seen, as one that began in a tunnel, does not
// continue to a direct endpoint.
func TestDirectBeginsAtItsBeginning(t *testing.T) {
	w := newWorld(t)
	a, _ := w.proxy("203.0.113.5", "2001:db8:5::5")
	w.apply()
	s := w.stream(a, "198.51.100.9", 445)
	defer s.Close()
	if err := w.node.Do(forgetConnections); err != nil {
		t.Fatal(err)
	}
	before := w.refused(RefusedOpened)
	if s.crosses(t) {
		t.Error("it goes on")
	}
	if w.refused(RefusedOpened) == before {
		t.Error("it is not counted")
	}
}

func forgetConnections() error {
	return netlink.ConntrackTableFlush(netlink.ConntrackTable)
}
