// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/holdback"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/test/world"
)

// announces reports whether routers are told by the gateway node of a route to a public address.
func (s *site) announces(address string) (bool, error) {
	routes, err := s.world.Gateway.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: host.RouteProtocol}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return false, err
	}
	public := netip.MustParseAddr(address)
	return slices.ContainsFunc(routes, func(r netlink.Route) bool {
		return r.Dst != nil && r.Dst.IP.Equal(public.AsSlice())
	}), nil
}

// A gateway node does not announce the address of a new proxy before its tunnel carries packets,
// and one that it has announced stays announced while the node program restarts, though the far
// end is gone.
func TestAnnouncedOnceTheTunnelCarries(t *testing.T) {
	for group, pod := range map[string]string{group4: world.PodAddress, group6: world.PodAddress6} {
		t.Run(group, func(t *testing.T) { announcedOnceTheTunnelCarries(t, group, pod) })
	}
}

func announcedOnceTheTunnelCarries(t *testing.T, group, pod string) {
	s := newSite(t, 1)
	s.podServes(0, 8080, "hello")
	client := s.tenants[0]
	client.ready()
	s.must(client.process.Stop())

	ctx, balancers := t.Context(), s.client.EpicV1().LoadBalancers(namespace(0))
	lb, err := balancers.Create(ctx, &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       epicv1.LoadBalancerSpec{ServiceGroup: group, UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}}},
	}, metav1.CreateOptions{})
	s.must(err)
	public := lb.Spec.PublicAddress
	v := &service{s: s, name: lb.Name, lb: lb, public: netip.AddrPortFrom(netip.MustParseAddr(public), 80).String(), pod: pod}
	v.endpoint("one", 8080, corev1.ProtocolTCP)
	// Another gateway node has a proxy of it, so there is time.
	_, err = balancers.Patch(ctx, lb.Name, types.MergePatchType, []byte(`{"status":{"proxy-if-info":{"other":{"epic-node-address":"192.0.2.99","index":3,"name":"veth3"}}}}`), metav1.PatchOptions{}, "status")
	s.must(err)
	proxy, err := s.world.Proxy(proxies.LoadBalancer, lb.Namespace, lb.Name, "p1-web", netip.MustParseAddr(public))
	s.must(err)
	begin := time.Now()
	s.describeProxy(proxy)
	s.must(world.ServeHTTP(ctx, proxy.Namespace, v.public, world.Forwarder(proxy.Namespace, v.at(8080))))
	s.until("the address waits", func() error {
		r, err := s.gateway.report()
		if err == nil && !slices.Equal(r.Announcements.Waiting, []netip.Addr{netip.MustParseAddr(public)}) {
			err = fmt.Errorf("%v wait", r.Announcements.Waiting)
		}
		return err
	})
	if n := s.gateway.metric("epic_node_waiting_addresses"); n != 1 {
		t.Errorf("%v addresses wait, by the metric", n)
	}

	client.run()
	announced := func() error {
		now, err := s.announces(public)
		if err == nil && !now {
			err = errors.New("it is not announced")
		}
		return err
	}
	s.until("the address is announced", announced)
	took := time.Since(begin)
	tunnel, err := v.tunnel(s.gateway)
	s.must(err)
	if !tunnel.Remote.IsValid() && took < holdback.Longest {
		t.Errorf("it is announced after %s, before its tunnel carries packets: %+v", took, tunnel)
	}
	v.answers("hello")

	// Whether it is announced is seen in the kernel, which the program leaves as it is.
	s.must(client.process.Stop())
	s.must(s.gateway.process.Kill())
	withdrawn := atomic.Bool{}
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for watch.Err() == nil {
			if now, err := s.announces(public); err == nil && !now {
				withdrawn.Store(true)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	s.gateway.run()
	s.gateway.ready()
	s.until("the next program has looked at everything", func() error {
		r, err := s.gateway.report()
		if err == nil && (len(r.Proxies) != 1 || r.Source != "api") {
			err = fmt.Errorf("%d proxies, and its state is from %s", len(r.Proxies), r.Source)
		}
		return err
	})
	// A wait is much longer than that.
	time.Sleep(2 * time.Second)
	stop()
	watching.Wait()
	if withdrawn.Load() {
		t.Error("it was withdrawn while the program restarted")
	}
	s.until("the address is announced", announced)
}
