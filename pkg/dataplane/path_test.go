// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
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

// routed puts a router between the gateway and the node of a world.
func (w *world) routed() *netlab.Namespace {
	w.t.Helper()
	router, err := w.lab.Namespace("router")
	must(w.t, err)
	link, err := w.gateway.LinkByName("eth0")
	must(w.t, err)
	must(w.t, errors.Join(
		w.gateway.LinkDel(link),
		netlab.Veth(w.gateway, "eth0", router, "gateway", w.mtu), netlab.Veth(w.node, "eth0", router, "node", w.mtu),
		router.Forward(),
	))
	for _, v6 := range []bool{false, true} {
		host, all, beside := "/32", "0.0.0.0/0", [2]string{"192.0.2.253", "192.0.2.254"}
		if v6 {
			host, all, beside = "/128", "::/0", [2]string{"2001:db8:1::fd", "2001:db8:1::fe"}
		}
		must(w.t, errors.Join(
			w.gateway.Addr("eth0", gatewayAddress[v6]+host), router.Addr("gateway", beside[0]+host),
			w.node.Addr("eth0", nodeAddress[v6]+host), router.Addr("node", beside[1]+host),
			w.gateway.Route(beside[0]+host, "", "eth0"), w.node.Route(beside[1]+host, "", "eth0"),
			router.Route(gatewayAddress[v6]+host, "", "gateway"), router.Route(nodeAddress[v6]+host, "", "node"),
			w.gateway.Route(nodeAddress[v6]+host, beside[0], "eth0"), w.node.Route(all, beside[1], "eth0"),
		))
	}
	return router
}

// maxSegment limits the segments that a socket sends and asks for; zero does not.
func maxSegment(size int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		if size == 0 {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, size) }), err)
	}
}

// both sends bytes over a connection in both directions at once and compares them.
func (w *world) both(v6 bool, segment, size int) error {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	address := port(podAddress[v6], worldPort).String()
	var listener net.Listener
	err := w.pod.Do(func() (err error) {
		listener, err = (&net.ListenConfig{Control: maxSegment(segment)}).Listen(w.t.Context(), "tcp", address)
		return err
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	exchange := func(conn net.Conn) error {
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			_, err := conn.Write(data)
			sent <- err
		}()
		got := make([]byte, size)
		if n, err := io.ReadFull(conn, got); err != nil {
			return fmt.Errorf("after %d bytes: %w", n, err)
		}
		if !bytes.Equal(got, data) {
			return errors.New("what arrived is not what was sent")
		}
		return <-sent
	}
	far := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = exchange(conn)
		}
		far <- err
	}()
	var conn net.Conn
	err = w.proxy.Do(func() (err error) {
		conn, err = (&net.Dialer{Control: maxSegment(segment), Timeout: time.Minute}).DialContext(w.t.Context(), "tcp", address)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(exchange(conn), <-far)
}

// Connections with any size of segments, and datagrams of any size, cross a path that loses
// packets, overtakes and repeats them, from the smallest MTU to jumbo frames.
func TestAnswersOnABadPath(t *testing.T) {
	for _, mtu := range []int{1280, 1500, 9000} {
		for _, outer6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("MTU %d, %s outside", mtu, family(outer6)), func(t *testing.T) {
				w := newWorld(t, mtu)
				router := w.routed()
				w.open()
				w.connect(outer6)
				bad := map[string]func() (func() error, error){"loss": func() (func() error, error) {
					restore, err := router.Lose(2)
					return func() error { _, err := restore(); return err }, err
				}}
				if mtu <= 1500 {
					// What overtakes is no longer.
					bad["disorder"] = func() (func() error, error) {
						restore, err := router.Disorder("gateway", "node")
						return func() error { _, err := restore(); return err }, err
					}
				}
				for name, begin := range bad {
					restore, err := begin()
					must(t, err)
					for _, v6 := range []bool{false, true} {
						for _, segment := range []int{0, 536, 1111} {
							if err := w.both(v6, segment, 100_000); err != nil {
								t.Errorf("%s, %s inside, segments of %d: %v; dropped:%s", name, family(v6), segment, err, w.drops())
							}
						}
						proxy, pod := w.datagrams(v6, unix.IP_PMTUDISC_WANT)
						for _, size := range []int{20000, mtu - udpHeaders(v6), mtu - overhead(outer6) - udpHeaders(v6), 100} {
							for _, ends := range [][2]*net.UDPConn{{pod, proxy}, {proxy, pod}} {
								if err := w.arrives(ends[0], ends[1], size, true); err != nil {
									t.Errorf("%s, %s inside, answer %v: %v; dropped:%s", name, family(v6), ends[0] == pod, err, w.drops())
								}
							}
						}
						must(t, errors.Join(proxy.Close(), pod.Close()))
					}
					must(t, restore())
				}
			})
		}
	}
}
