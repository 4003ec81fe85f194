// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/test/netlab"
)

// A RemoteEndpoint is removed while its connection is open: the connection continues, and no
// other is opened. When the load balancer is deleted too, with the firewall flushed, each end
// drops and counts what the connection still sends, and nothing of it leaves outside the
// tunnel.
func endpointRemoved(t *testing.T, s *site, beside *service) {
	v := s.service(beside.tenant, "stream", 8080)
	const streamPort = 9100
	listener, err := s.world.Tenants[v.tenant].Pod.Listen(t.Context(), "tcp", fmt.Sprintf(":%d", streamPort))
	s.must(err)
	defer listener.Close()
	v.endpoint("stream", streamPort, corev1.ProtocolTCP)
	var near, far net.Conn
	s.until("a connection through the tunnel", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		near, err = v.proxy.Dial(ctx, "tcp", v.at(streamPort))
		return err
	})
	defer near.Close()
	s.must(resendsSoon(near))
	// What an attempt left that took too long comes first.
	for far == nil || far.RemoteAddr().String() != near.LocalAddr().String() {
		far, err = listener.Accept()
		s.must(err)
		defer far.Close()
	}
	s.must(resendsSoon(far))

	gateway, node := s.gateway.mustReport().Drops, s.tenants[v.tenant].mustReport().Drops
	s.must(s.client.EpicV1().RemoteEndpoints(v.lb.Namespace).Delete(t.Context(), v.name+"-stream", metav1.DeleteOptions{}))
	s.until("no connection is opened any more", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if conn, err := v.proxy.Dial(ctx, "tcp", v.at(streamPort)); err == nil {
			conn.Close()
			return errors.New("one was opened")
		}
		return s.gateway.drops(dataplane.DropNotRegistered, gateway)
	})
	for range 3 {
		s.must(says(near, far, "request"))
		s.must(says(far, near, "answer"))
	}
	s.must(v.remove())
	s.until("both ends drop what the connection sends", func() error {
		_, _ = near.Write([]byte("request"))
		_, _ = far.Write([]byte("answer"))
		return errors.Join(s.gateway.drops(dataplane.DropNotAnAnswer, gateway), s.tenants[v.tenant].drops(dataplane.DropNotRegistered, node))
	})

	// With the firewall flushed, the programs still hold, and its table comes back.
	s.must(flushFirewall(s.world.Gateway))
	before := s.gateway.mustReport().Drops
	s.until("the gateway drops without its firewall", func() error {
		_, _ = near.Write([]byte("request"))
		return s.gateway.drops(dataplane.DropNotAnAnswer, before)
	})
	s.until("the firewall is back", func() error {
		conn, err := nftables.New(nftables.WithNetNSFd(s.world.Gateway.FD()))
		if err != nil {
			return err
		}
		_, err = conn.ListTableOfFamily(host.FirewallTable, nftables.TableFamilyINet)
		return err
	})
	v.end()
}

// says sends a text on one end of a connection and reads it at the other.
func says(from, to net.Conn, text string) error {
	if _, err := io.WriteString(from, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if err := to.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.ReadFull(to, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("%q arrives as %q", text, got)
	}
	return nil
}

// leaksNothing has a proxy connect to what is no endpoint of its: a port of its pod, and the
// pod's address as a host next to the gateway might have it. Nothing of that leaves the gateway.
func leaksNothing(t *testing.T, s *site, v *service) {
	t.Helper()
	wire, err := s.world.Gateway.Wire("eth0")
	s.must(err)
	defer wire.Close()
	for _, to := range []string{v.at(8081), net.JoinHostPort("10.244.0.99", "8080")} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		conn, err := v.proxy.Dial(ctx, "tcp", to)
		cancel()
		if err == nil {
			conn.Close()
			t.Errorf("%s is reached", to)
		}
	}
	frames, err := wire.Frames()
	s.must(err)
	for _, f := range frames {
		if f.Out && len(f.Bytes) > 34 && f.Bytes[14] == 0x45 && bytes.Equal(f.Bytes[30:32], []byte{10, 244}) {
			t.Errorf("a packet to a pod leaves outside a tunnel: %x", f.Bytes)
		}
	}
}

// programsRemoved takes the programs off a gateway's interfaces. What a proxy sends then meets
// the firewall alone, until the programs are back.
func programsRemoved(t *testing.T, s *site, v *service) {
	links, err := filepath.Glob(filepath.Join(s.gateway.pins, "links", "*"))
	s.must(err)
	if len(links) == 0 {
		t.Fatal("no program is attached")
	}
	repairs := s.gateway.mustReport().Repairs
	for _, path := range links {
		l, err := link.LoadPinnedLink(path, nil)
		s.must(err)
		s.must(errors.Join(l.Detach(), l.Close()))
	}
	leaksNothing(t, s, v)
	s.until("the programs are back", func() error {
		r, err := s.gateway.report()
		if err == nil && r.Repairs < repairs+uint64(len(links)) {
			err = fmt.Errorf("%d repairs, and %d before", r.Repairs, repairs)
		}
		return err
	})
}

// drops indicates that a node has dropped nothing for a reason since before.
func (e *end) drops(reason dataplane.DropReason, before map[dataplane.DropReason]uint64) error {
	r, err := e.report()
	if err == nil && r.Drops[reason] <= before[reason] {
		err = fmt.Errorf("%s counts %v", e.name, r.Drops)
	}
	return err
}

// resendsSoon has a connection send again every second what is not acknowledged. Otherwise it
// would wait twice as long each time, and after a slow start longer than the test does. A
// kernel before 6.15 waits.
func resendsSoon(conn net.Conn) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_RTO_MAX_MS, 1000) })
}

// A node that forwards nothing, because of a setting or another firewall, lists the problem
// with its fix, on the gateway and on the client node, until it forwards again.
func forwardingOff(s *site, v *service) {
	for _, e := range []*end{s.gateway, s.tenants[v.tenant]} {
		lists := func(want string) {
			s.t.Helper()
			s.until(e.name+" lists "+want, func() error {
				r, err := e.report()
				if err == nil && !strings.Contains(strings.Join(r.Problems, "\n"), want) {
					err = fmt.Errorf("it lists %q", r.Problems)
				}
				return err
			})
		}
		s.must(e.host.Sysctl("ipv4.ip_forward", "0"))
		lists("net.ipv4.ip_forward=1")
		s.must(e.host.Sysctl("ipv4.ip_forward", "1"))
		conn, err := nftables.New(nftables.WithNetNSFd(e.host.FD()))
		s.must(err)
		drop := nftables.ChainPolicyDrop
		table := conn.AddTable(&nftables.Table{Name: "other-firewall", Family: nftables.TableFamilyIPv4})
		conn.AddChain(&nftables.Chain{
			Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		s.must(conn.Flush())
		lists("other-firewall")
		conn.DelTable(table)
		s.must(conn.Flush())
		s.until(e.name+" lists no problem", func() error {
			r, err := e.report()
			if err == nil && len(r.Problems) > 0 {
				err = fmt.Errorf("it lists %q", r.Problems)
			}
			return err
		})
	}
}

func flushFirewall(n *netlab.Namespace) error {
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return err
	}
	conn.FlushRuleset()
	return conn.Flush()
}
