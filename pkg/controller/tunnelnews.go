// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/tunnelstate"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

// tunnelNews enqueues objects when the state of their tunnels changes. It iterates over
// the objects that have proxies on the reporting node, and never over the content of the
// report, which is not trusted.
type tunnelNews struct {
	tracker *tunnelstate.Tracker
	pacer   *pacer
	caches  *caches
	// Reconcilers of the kinds whose conditions report whether tunnels are up.
	balancers, endpoints, proxies, routes, slices *reconciler
	// Their sources.
	ofLoadBalancers, ofGWProxies informed

	mu      sync.Mutex
	changed map[netip.Addr]idset.Set
	wake    chan struct{}
}

func newTunnelNews(c *caches) *tunnelNews {
	n := &tunnelNews{tracker: tunnelstate.New(tunnelstate.Options{}), pacer: newPacer(), caches: c, changed: map[netip.Addr]idset.Set{}, wake: make(chan struct{}, 1)}
	n.tracker.OnChange(n.note)
	n.ofLoadBalancers = informed{c.kinds.LoadBalancers().Informer(), assigned(n, func(lb *epicv1.LoadBalancer) *epicv1.ProxyStatus { return &lb.Status }, n.loadBalancer)}
	n.ofGWProxies = informed{c.kinds.GWProxies().Informer(), assigned(n, func(proxy *epicv1.GWProxy) *epicv1.ProxyStatus { return &proxy.Status }, n.gwProxy)}
	return n
}

// note records a change until run handles it.
func (n *tunnelNews) note(c tunnelstate.Change) {
	n.mu.Lock()
	n.changed[c.Node] = n.changed[c.Node].Union(c.Tunnels)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns the changes since the last call.
func (n *tunnelNews) take() map[netip.Addr]idset.Set {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := n.changed
	n.changed = map[netip.Addr]idset.Set{}
	return changed
}

// run handles changes until ctx ends. Earlier changes are dropped, because every object
// is reconciled at the start.
func (n *tunnelNews) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { n.tracker.Run(ctx) })
	running.Go(func() { n.pacer.run(ctx) })
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-n.wake:
			for node, tunnels := range n.take() {
				n.tell(node, tunnels)
			}
		}
	}
	running.Wait()
}

// tell enqueues the objects that have one of the given tunnels of a gateway node.
func (n *tunnelNews) tell(node netip.Addr, tunnels idset.Set) {
	lbs, err := lookUp[*epicv1.LoadBalancer](n.caches.kinds.LoadBalancers().Informer().GetIndexer(), byGatewayNode, node.String())
	if err != nil {
		utilruntime.HandleError(err)
	}
	for _, lb := range lbs {
		n.loadBalancer(lb, clientNodesOf(&lb.Status, func(id int32, on netip.Addr) bool { return on == node && tunnels.Has(uint32(id)) }))
	}
	proxies, err := lookUp[*epicv1.GWProxy](n.caches.kinds.GWProxies().Informer().GetIndexer(), byGatewayNode, node.String())
	if err != nil {
		utilruntime.HandleError(err)
	}
	for _, proxy := range proxies {
		n.gwProxy(proxy, clientNodesOf(&proxy.Status, func(id int32, on netip.Addr) bool { return on == node && tunnels.Has(uint32(id)) }))
	}
}

// clientNodesOf returns the distinct client nodes at the far ends of those tunnels of a
// status for which meant returns true, in order.
func clientNodesOf(status *epicv1.ProxyStatus, meant func(tunnel int32, gatewayNode netip.Addr) bool) []netip.Addr {
	nodes := map[netip.Addr]bool{}
	for q, tunnel := range existing(status) {
		if tunnel != 0 && meant(tunnel, q.epicNode) {
			nodes[q.tenantNode] = true
		}
	}
	return slices.SortedFunc(maps.Keys(nodes), netip.Addr.Compare)
}

// loadBalancer enqueues a load balancer, and its endpoints on the given client nodes.
func (n *tunnelNews) loadBalancer(lb *epicv1.LoadBalancer, nodes []netip.Addr) {
	if len(nodes) == 0 {
		return
	}
	n.pacer.add(n.balancers, cache.NewObjectName(lb.Namespace, lb.Name))
	for _, node := range nodes {
		for _, rep := range keysOf(lookUp[*epicv1.RemoteEndpoint](n.caches.kinds.RemoteEndpoints().Informer().GetIndexer(), byEndpointNode, endpointNode(key(lb), node.String()))) {
			n.pacer.add(n.endpoints, rep)
		}
	}
}

// gwProxy enqueues a gateway proxy, and the routes and slices that lead from it to the
// given client nodes.
func (n *tunnelNews) gwProxy(proxy *epicv1.GWProxy, nodes []netip.Addr) {
	if len(nodes) == 0 {
		return
	}
	n.pacer.add(n.proxies, cache.NewObjectName(proxy.Namespace, proxy.Name))
	routes, err := lookUp[*epicv1.GWRoute](n.caches.kinds.GWRoutes().Informer().GetIndexer(), byProxy, key(proxy))
	if err != nil {
		utilruntime.HandleError(err)
	}
	for _, route := range routes {
		reached, err := slicesOf(n.caches.kinds.GWEndpointSlices().Informer().GetIndexer(), []*epicv1.GWRoute{route})
		if err != nil {
			utilruntime.HandleError(err)
		}
		concerned := false
		for _, slice := range reached {
			found, _ := endpoints.OfGWEndpointSlice(slice)
			if slices.ContainsFunc(found, func(e endpoints.Endpoint) bool { return slices.Contains(nodes, e.Node) }) {
				concerned = true
				n.pacer.add(n.slices, cache.NewObjectName(slice.Namespace, slice.Name))
			}
		}
		if concerned {
			n.pacer.add(n.routes, cache.NewObjectName(route.Namespace, route.Name))
		}
	}
}

// assigned handles objects that get tunnels on which their gateway nodes have already
// reported: a node may learn of a tunnel before this program does.
func assigned[T any](n *tunnelNews, status func(T) *epicv1.ProxyStatus, tell func(T, []netip.Addr)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{UpdateFunc: func(old, obj any) {
		before, ok := old.(T)
		now, ok2 := obj.(T)
		if !ok || !ok2 {
			return
		}
		had := map[int32]bool{}
		for _, tunnel := range existing(status(before)) {
			had[tunnel] = true
		}
		tell(now, clientNodesOf(status(now), func(tunnel int32, gatewayNode netip.Addr) bool {
			return !had[tunnel] && n.tracker.State(tunnel, gatewayNode) != tunnelstate.Unknown
		}))
	}}
}
