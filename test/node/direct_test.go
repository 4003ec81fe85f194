// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dataplane"
)

// next to is an endpoint without a tunnel: a port of the visitor, with servers of both
// protocols.
type beside struct {
	v    *service
	name string
	at   netip.AddrPort
}

func besideOf(t *testing.T, s *site, v *service, name string, port uint16) *beside {
	t.Helper()
	link, err := s.world.Visitor.LinkByName("eth0")
	s.must(err)
	addresses, err := s.world.Visitor.AddrList(link, netlink.FAMILY_V4)
	s.must(err)
	address, _ := netip.AddrFromSlice(addresses[0].IP)
	b := &beside{v: v, name: name, at: netip.AddrPortFrom(address.Unmap(), port)}
	listener, err := s.world.Visitor.Listen(t.Context(), "tcp", b.at.String())
	s.must(err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// What comes goes back.
			go func() {
				defer conn.Close()
				data := make([]byte, 1000)
				for {
					n, err := conn.Read(data)
					if err != nil {
						return
					}
					_, _ = conn.Write(data[:n])
				}
			}()
		}
	}()
	return b
}

func (b *beside) create() {
	b.v.s.t.Helper()
	_, err := b.v.s.client.EpicV1().RemoteEndpoints(b.v.lb.Namespace).Create(b.v.s.t.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: b.name, Labels: map[string]string{epic.OwningLoadBalancerLabel: b.v.name}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: b.at.Addr().String(), Port: epicv1.EndpointPort{Port: int32(b.at.Port()), Protocol: corev1.ProtocolTCP},
		},
	}, metav1.CreateOptions{})
	b.v.s.must(err)
}

// answers describes why a proxy gets no response.
func (b *beside) answers(v *service) error {
	ctx, cancel := context.WithTimeout(b.v.s.t.Context(), 500*time.Millisecond)
	defer cancel()
	conn, err := v.proxy.Dial(ctx, "tcp", b.at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	return echoes(conn)
}

func echoes(conn net.Conn) error {
	_, err := conn.Write([]byte("x"))
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	}
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	return err
}

// A RemoteEndpoint without a node is reached from its own load balancer's proxy by the
// gateway's routes, and by nobody else's; the node's restart does not close it, and its
// deletion does, under an open connection.
func directEndpoint(t *testing.T, s *site, own, other *service) {
	b := besideOf(t, s, own, "beside", 9300)
	if b.answers(own) == nil {
		t.Error("it is reached before it is an endpoint")
	}
	b.create()
	s.until("the proxy reaches the endpoint", func() error { return b.answers(own) })
	if b.answers(other) == nil {
		t.Error("another tenant's proxy reaches it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	elsewhere := net.JoinHostPort(b.at.Addr().String(), strconv.Itoa(int(b.at.Port())+1))
	before := s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer]
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	if conn, err := own.proxy.Dial(short, "tcp", elsewhere); err == nil {
		conn.Close()
		t.Error("another port is reached")
	}
	stop()
	if s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer] == before {
		t.Error("a packet to another port is not counted")
	}
	live, err := own.proxy.Dial(ctx, "tcp", b.at.String())
	s.must(err)
	defer live.Close()
	s.must(echoes(live))
	s.must(s.gateway.process.Kill())
	s.must(echoes(live))
	s.gateway.run()
	s.gateway.ready()
	s.must(echoes(live))
	if d := s.gateway.mustReport().Directs; len(d) != 1 || d[0].Endpoint != b.at || d[0].State != "open" {
		t.Errorf("the gateway reports %+v", d)
	}
	s.must(s.client.EpicV1().RemoteEndpoints(own.lb.Namespace).Delete(t.Context(), b.name, metav1.DeleteOptions{}))
	s.until("the endpoint is closed", func() error {
		if b.answers(own) == nil {
			return errors.New("it answers")
		}
		return nil
	})
	before = s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer]
	if echoes(live) == nil {
		t.Error("an open connection goes on")
	}
	s.until("what the connection sends is counted", func() error {
		_, _ = live.Write([]byte("x"))
		if now := s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer]; now == before {
			return fmt.Errorf("%d", now)
		}
		return nil
	})
}
