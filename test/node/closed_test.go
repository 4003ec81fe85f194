// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/test/netlab"
)

// A RemoteEndpoint is removed while its connection is open, with the firewall flushed: from
// then on each end drops and counts what the connection still sends, and nothing of it
// leaves outside the tunnel.
func endpointRemoved(t *testing.T, s *site, v *service) {
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
	// What an attempt left that took too long comes first.
	for far == nil || far.RemoteAddr().String() != near.LocalAddr().String() {
		far, err = listener.Accept()
		s.must(err)
		defer far.Close()
	}

	gateway, node := s.gateway.mustReport().Drops, s.tenants[v.tenant].mustReport().Drops
	s.must(s.client.EpicV1().RemoteEndpoints(v.lb.Namespace).Delete(t.Context(), v.name+"-stream", metav1.DeleteOptions{}))
	s.until("both ends drop what the connection sends", func() error {
		_, _ = near.Write([]byte("request"))
		_, _ = far.Write([]byte("answer"))
		var errs []error
		if now := s.gateway.mustReport().Drops; now[dataplane.DropNotAnAnswer] == gateway[dataplane.DropNotAnAnswer] {
			errs = append(errs, fmt.Errorf("the gateway counts %v", now))
		}
		if now := s.tenants[v.tenant].mustReport().Drops; now[dataplane.DropNotRegistered] == node[dataplane.DropNotRegistered] {
			errs = append(errs, fmt.Errorf("the client node counts %v", now))
		}
		return errors.Join(errs...)
	})

	// With the firewall flushed, the programs still hold, and its table comes back.
	s.must(flushFirewall(s.world.Gateway))
	before := s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer]
	_, _ = near.Write([]byte("request"))
	s.until("the gateway drops without its firewall", func() error {
		if now := s.gateway.mustReport().Drops[dataplane.DropNotAnAnswer]; now <= before {
			return fmt.Errorf("%d drops", now)
		}
		return nil
	})
	s.until("the firewall is back", func() error {
		conn, err := nftables.New(nftables.WithNetNSFd(s.world.Gateway.FD()))
		if err != nil {
			return err
		}
		_, err = conn.ListTableOfFamily(host.FirewallTable, nftables.TableFamilyINet)
		return err
	})
}

// A node that forwards nothing, by a setting or by another firewall, lists the problem with
// the way out, on the gateway and on the client node, until it forwards again.
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
