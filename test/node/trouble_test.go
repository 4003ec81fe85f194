// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/ownport"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/test/world"
)

// Two tenants with the same addresses everywhere, and what can go wrong between them
// and the gateway. The parts share one site, since making one takes its time, and
// each leaves it as it found it.
func TestTrouble(t *testing.T) {
	s := newSite(t, 2)
	var services []*service
	for i := range 2 {
		s.podServes(i, 8080, account(i))
		services = append(services, s.service(i, "web", 8080))
	}
	for i, v := range services {
		v.answers(account(i))
	}
	part := func(name string, run func(t *testing.T)) {
		s.part(t, name, func(t *testing.T) {
			run(t)
			for i, v := range services {
				v.answers(account(i))
			}
		})
	}
	part("tenants do not meet", func(t *testing.T) { tenantsDoNotMeet(t, s, services) })
	part("NAT mapping changes", func(*testing.T) { natChanges(s, services[0]) })
	part("NAT mapping changes under traffic", func(t *testing.T) { natChangesUnderTraffic(t, s, services[0]) })
	part("forged and replayed", func(t *testing.T) { forged(t, s, services[0]) })
	part("sent again", func(t *testing.T) { replayed(t, s, services[0]) })
	part("status damaged", func(*testing.T) { statusDamaged(s, services[0]) })
	part("somebody deletes", func(t *testing.T) { somebodyDeletes(t, s) })
	part("maps damaged", func(*testing.T) { mapsDamaged(s, services[0]) })
	part("second program", func(t *testing.T) { secondProgram(t, s) })
	part("killed under traffic", func(t *testing.T) { killed(t, s, services[0]) })
	part("client node dies under traffic", func(t *testing.T) { clientNodeDies(t, s, services[0]) })
	part("cookies negotiated under traffic", func(t *testing.T) { cookiesNegotiated(t, s, services[0]) })
	part("upgraded under traffic", func(t *testing.T) { upgraded(t, s, services[0]) })
	part("endpoint removed", func(t *testing.T) { endpointRemoved(t, s, services[0]) })
	part("programs removed", func(t *testing.T) { programsRemoved(t, s, services[0]) })
	part("endpoint without a tunnel", func(t *testing.T) { directEndpoint(t, s, services[0], services[1]) })
	part("forwarding off", func(*testing.T) { forwardingOff(s, services[0]) })
	part("nobody answers", func(*testing.T) { nobodyAnswers(s, services[0]) })
	part("keys replaced", func(t *testing.T) { keysReplaced(t, s, services[0]) })
	part("API away", func(t *testing.T) { apiAway(t, s, services[0]) })
	t.Run("deletion", func(t *testing.T) {
		s.t = t
		deletion(t, s, services)
	})
}

// The tunnels of each node are its tenant's, and each request reached the right pod,
// though all addresses are the same.
func tenantsDoNotMeet(t *testing.T, s *site, services []*service) {
	ids := map[uint32]bool{}
	for i, e := range s.tenants {
		for _, tunnel := range e.mustReport().Tunnels {
			if tunnel.Namespace != namespace(i) || ids[tunnel.ID] {
				t.Errorf("node %s has tunnel %d of %s", e.name, tunnel.ID, tunnel.Namespace)
			}
			ids[tunnel.ID] = true
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d tunnels, want 2", len(ids))
	}
	// A tenant's proxy reaches nothing but its registered endpoint.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if conn, err := services[0].proxy.Dial(ctx, "tcp", net.JoinHostPort(world.PodAddress, "8081")); err == nil {
		conn.Close()
		t.Error("a port that is no endpoint is reached")
	}
}

func natChanges(s *site, v *service) {
	before, err := v.tunnel(s.gateway)
	s.must(err)
	s.must(s.world.Tenants[0].NAT.FlushNAT())
	s.until("the gateway follows the NAT", func() error {
		now, err := v.tunnel(s.gateway)
		if err == nil && now.Remote == before.Remote {
			err = fmt.Errorf("still %s", now.Remote)
		}
		return err
	})
}

// Under traffic, a NAT that changes its mapping costs about a second, and not the interval
// of PINGs.
func natChangesUnderTraffic(t *testing.T, s *site, v *service) {
	const interval = time.Minute
	e := s.tenants[v.tenant]
	s.must(e.process.Stop())
	e.run("--ping-interval=" + interval.String())
	e.ready()
	s.until("the tunnel is up", func() error {
		tunnel, err := v.tunnel(e)
		if err == nil && tunnel.State != status.Up {
			err = errors.New(tunnel.State)
		}
		return err
	})
	r := v.traffic()
	for range 2 {
		requests := r.requests.Load()
		s.until("requests", func() error {
			if n := r.requests.Load() - requests; n < 50 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		before, err := v.tunnel(s.gateway)
		s.must(err)
		begin := time.Now()
		s.must(s.world.Tenants[v.tenant].NAT.FlushNAT())
		s.until("the gateway follows the NAT", func() error {
			now, err := v.tunnel(s.gateway)
			if err == nil && now.Remote == before.Remote {
				err = fmt.Errorf("still %s", now.Remote)
			}
			return err
		})
		took := time.Since(begin)
		t.Logf("the gateway follows the NAT after %s", took)
		if took > interval/4 {
			t.Errorf("the gateway follows the NAT after %s, with PINGs every %s", took, interval)
		}
		v.answers(account(v.tenant))
	}
	r.stop()
	s.must(e.process.Stop())
	e.run()
	e.ready()
}

// Packets from elsewhere on the Internet move no tunnel and get no response.
func forged(t *testing.T, s *site, v *service) {
	tunnel, err := v.tunnel(s.gateway)
	s.must(err)
	before := s.gateway.mustReport()
	var conn net.PacketConn
	s.must(s.world.Visitor.Do(func() error {
		conn, err = net.ListenPacket("udp4", ":0")
		return err
	}))
	defer conn.Close()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(world.GatewayAddress), 6080))
	var wrong [gue.KeySize]byte
	for _, m := range []gue.Message{
		{Tunnel: tunnel.ID, Type: gue.Ping, KeyID: 1, Sequence: uint64(time.Now().Add(time.Hour).UnixNano())},
		{Tunnel: tunnel.ID, Type: gue.Ping, KeyID: 99, Sequence: uint64(time.Now().UnixNano())},
		{Tunnel: 777777, Type: gue.Ping, KeyID: 1, Sequence: uint64(time.Now().UnixNano())},
		{Tunnel: tunnel.ID, Type: gue.Pong, KeyID: 1, Sequence: uint64(time.Now().UnixNano())},
	} {
		var packet [gue.PacketSize]byte
		m.Encode(&packet, &wrong)
		_, err := conn.WriteTo(packet[:], to)
		s.must(err)
	}
	// A packet of data from where the tunnel's far end is not.
	data := append([]byte{0x01, 0x04, 0x80, 0x00, byte(tunnel.ID >> 24), byte(tunnel.ID >> 16), byte(tunnel.ID >> 8), byte(tunnel.ID)}, make([]byte, 40)...)
	_, err = conn.WriteTo(data, to)
	s.must(err)
	s.until("all are counted", func() error {
		now := s.gateway.mustReport()
		for _, result := range []gue.Result{gue.BadMAC, gue.UnknownKey, gue.Unexpected} {
			if now.Control[result.String()] <= before.Control[result.String()] {
				return fmt.Errorf("%s is not", result)
			}
		}
		for _, reason := range []dataplane.DropReason{dataplane.DropWrongRemote, dataplane.DropUnknownTunnel} {
			if now.Drops[reason] <= before.Drops[reason] {
				return fmt.Errorf("%s is not", reason)
			}
		}
		return nil
	})
	s.must(conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
	if n, from, err := conn.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("an answer of %d bytes from %s", n, from)
	}
	if now, err := v.tunnel(s.gateway); err != nil || now.Remote != tunnel.Remote {
		t.Errorf("the remote is %s, and was %s: %v", now.Remote, tunnel.Remote, err)
	}
}

// What another writer does to the node's entry is put right.
func statusDamaged(s *site, v *service) {
	ctx, lbs := s.t.Context(), s.client.EpicV1().LoadBalancers(v.lb.Namespace)
	pod := v.proxy.Interface.Pod
	for _, entry := range []any{nil, map[string]any{"name": "wrong", "index": 4711}} {
		body, err := json.Marshal(map[string]any{"status": map[string]any{"proxy-if-info": map[string]any{pod: entry, "ghost": map[string]any{"epic-node-address": world.GatewayAddress, "name": "x", "index": 9}}}})
		s.must(err)
		_, err = lbs.Patch(ctx, v.name, types.MergePatchType, body, metav1.PatchOptions{}, "status")
		s.must(err)
		s.until("the entry is right again", func() error {
			lb, err := lbs.Get(ctx, v.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			info := lb.Status.ProxyIfInfo
			if len(info) != 1 || info[pod].Name != v.proxy.Interface.Name || int(info[pod].Index) != v.proxy.Interface.Index || info[pod].EPICNodeAddress != world.GatewayAddress {
				return fmt.Errorf("%+v", info)
			}
			return nil
		})
	}
}

// Anything removed by others is restored in seconds.
func somebodyDeletes(t *testing.T, s *site) {
	_, err := s.tenants[0].host.Run(t.Context(), "true")
	s.must(err)
	gateway := s.world.Gateway
	routes, err := gateway.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: host.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
	s.must(err)
	if len(routes) == 0 {
		t.Fatal("the gateway announces no route")
	}
	for i := range routes {
		s.must(gateway.RouteDel(&routes[i]))
	}
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		// The programs' attachments to interfaces, which are pinned there.
		links, err := filepath.Glob(filepath.Join(e.pins, "links", "*"))
		s.must(err)
		if len(links) == 0 {
			t.Errorf("%s has no link pinned in %s", e.name, e.pins)
		}
		for _, l := range links {
			s.must(os.Remove(l))
		}
		s.until(e.name+" pins its links again", func() error {
			again, err := filepath.Glob(filepath.Join(e.pins, "links", "*"))
			if err == nil && len(again) != len(links) {
				err = fmt.Errorf("%v", again)
			}
			return err
		})
	}
	s.until("the routes are back", func() error {
		again, err := gateway.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: host.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
		if err == nil && len(again) != len(routes) {
			err = fmt.Errorf("%d of %d", len(again), len(routes))
		}
		return err
	})
	s.must(s.tenants[0].host.Do(ownport.Remove))
	repairs := s.tenants[0].mustReport().Repairs
	s.until("the control packets' ports are kept again", func() error {
		if now := s.tenants[0].mustReport().Repairs; now <= repairs {
			return fmt.Errorf("%d repairs", now)
		}
		return nil
	})
}

// A second program on a node is refused, and explains why.
func secondProgram(t *testing.T, s *site) {
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		cmd := exec.CommandContext(t.Context(), self(t), e.args...)
		cmd.Env = append(os.Environ(), programEnv+"=epic-node")
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		s.must(e.host.Start(cmd))
		err := cmd.Wait()
		if err == nil || !strings.Contains(out.String(), "another node program") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %v: %s", e.name, err, out.String())
		}
	}
}

// traffic sends requests over one connection after another, and packets over a lasting
// one, until it is stopped.
type traffic struct {
	requests, failed atomic.Int64
	slowest          atomic.Int64
	cancel           context.CancelFunc
	done             chan struct{}
}

func (v *service) traffic() *traffic {
	ctx, cancel := context.WithCancel(v.s.t.Context())
	r := &traffic{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			begin := time.Now()
			if _, err := v.get(); err != nil && ctx.Err() == nil {
				r.failed.Add(1)
			}
			r.requests.Add(1)
			r.slowest.Store(max(r.slowest.Load(), int64(time.Since(begin))))
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return r
}

func (r *traffic) stop() {
	r.cancel()
	<-r.done
}

// A program that is killed and starts again loses no packet: no request fails, and what
// one end of a connection sends reaches the other.
func killed(t *testing.T, s *site, v *service) {
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		lost := lostSegments(s, v)
		r := v.traffic()
		for range 2 {
			before := r.requests.Load()
			s.must(e.process.Kill())
			// It stays away for a while.
			s.until("requests without "+e.name, func() error {
				if n := r.requests.Load() - before; n < 20 {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			e.run()
			e.ready()
			s.until("the tunnel of "+e.name+" is up", func() error {
				tunnel, err := v.tunnel(e)
				if err == nil && tunnel.State != status.Up {
					err = errors.New(tunnel.State)
				}
				return err
			})
		}
		r.stop()
		if n := r.failed.Load(); n > 0 {
			t.Errorf("%s: %d of %d requests failed", e.name, n, r.requests.Load())
		}
		lost(e.name)
		t.Logf("%s: %d requests, the slowest took %s", e.name, r.requests.Load(), time.Duration(r.slowest.Load()))
	}
}

// A tunnel whose far end does not respond is reported as such, and comes up when it does.
// Packets continue, because both ends' kernels know where they belong.
func nobodyAnswers(s *site, v *service) {
	s.must(s.gateway.process.Stop())
	s.must(s.tenants[0].process.Stop())
	s.tenants[0].run()
	s.until("the tenant's node says so", func() error {
		tunnel, err := v.tunnel(s.tenants[0])
		if err == nil && (tunnel.State != status.Opening || tunnel.Unanswered < 2 || !tunnel.Seen.IsZero()) {
			err = fmt.Errorf("%+v", tunnel)
		}
		return err
	})
	v.answers(account(v.tenant))
	s.gateway.run()
	s.until("the tunnel is up", func() error {
		tunnel, err := v.tunnel(s.tenants[0])
		if err == nil && tunnel.State != status.Up {
			err = fmt.Errorf("%+v", tunnel)
		}
		return err
	})
}

// With the API away all continues; and a node that starts then, with nothing left in
// its kernel, works from its disk.
func apiAway(t *testing.T, s *site, v *service) {
	t.Helper()
	for i, e := range []*end{s.gateway, s.tenants[0]} {
		// What there is has to be on disk before.
		s.until(e.name+" keeps its state", func() error {
			r := e.mustReport()
			if r.Saved.IsZero() || r.Source != "api" {
				return fmt.Errorf("saved %s, source %s", r.Saved, r.Source)
			}
			return nil
		})
		time.Sleep(2 * time.Second)
		e.relay()
		s.must(e.process.Stop())
		// As a reboot does.
		role := []string{"gateway", "client"}[i]
		cmd := exec.CommandContext(t.Context(), self(t), "cleanup", "--role="+role, "--state-dir="+filepath.Join(t.TempDir(), "none"), "--pin-path="+e.pins)
		cmd.Env = append(os.Environ(), programEnv+"=epic-node")
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		s.must(e.host.Start(cmd))
		if err := cmd.Wait(); err != nil {
			t.Fatalf("cleanup: %v: %s", err, out.String())
		}
		if _, err := os.Stat(e.pins); err == nil {
			t.Errorf("cleanup left %s", e.pins)
		}
		e.run()
		s.until(e.name+" works from its disk", func() error {
			r, err := e.report()
			if err != nil {
				return err
			}
			if r.Source != "disk" || len(r.Tunnels) == 0 {
				return fmt.Errorf("source %s, %d tunnels", r.Source, len(r.Tunnels))
			}
			for _, tunnel := range r.Tunnels {
				if tunnel.State != status.Up {
					return fmt.Errorf("tunnel %d is %s", tunnel.ID, tunnel.State)
				}
			}
			return nil
		})
	}
	leaksNothing(t, s, v)
	e := s.gateway
	e.connect()
	s.tenants[0].connect()
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		s.until(e.name+" is with the API again", func() error {
			if r := e.mustReport(); r.Source != "api" {
				return errors.New(r.Source)
			}
			return nil
		})
	}
}

// Deleted objects leave nothing behind, neither in the kernel nor in the API.
func deletion(t *testing.T, s *site, services []*service) {
	for _, v := range services {
		v.delete()
	}
	for _, e := range append(s.tenants, s.gateway) {
		s.until(e.name+" has nothing left", func() error {
			r, err := e.report()
			if err != nil {
				return err
			}
			if len(r.Tunnels)+len(r.Proxies)+r.Applied+r.Failed > 0 {
				return fmt.Errorf("%d tunnels, %d proxies, %d objects", len(r.Tunnels), len(r.Proxies), r.Applied+r.Failed)
			}
			return nil
		})
		n, err := mapEntries(e)
		s.must(err)
		if n != "" {
			t.Errorf("%s: maps have entries: %s", e.name, n)
		}
	}
	s.until("no public route is left", func() error {
		left, err := s.world.Gateway.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: host.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%v", left)
		}
		return err
	})
	for i := range s.tenants {
		s.until("the load balancer is gone", func() error {
			list, err := s.client.EpicV1().LoadBalancers(namespace(i)).List(t.Context(), metav1.ListOptions{})
			if err == nil && len(list.Items) > 0 {
				err = fmt.Errorf("%v", list.Items[0].Finalizers)
			}
			return err
		})
	}
}
