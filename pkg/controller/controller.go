// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// DefaultResync is the interval at which every object is reconciled even without events.
// It covers missed events.
const DefaultResync = 30 * time.Minute

// DefaultLinger is how long a tunnel stays after the last endpoint that needs it is gone.
// Nodes end the last connections to the endpoint before that.
const DefaultLinger = endpoints.LeaveAfter + 5*time.Second

// Options configures a Controller.
type Options struct {
	// Client is a client of the EPIC API server.
	Client versioned.Interface
	// Kube reads the pods of proxies from the kube-apiserver. If it is nil, or the API
	// server has no pods, as in standalone mode, only proxy-placements determines which
	// proxies exist.
	Kube kubernetes.Interface
	// Events records changes of state; if it is nil, none are recorded.
	Events *events.Recorder
	// Workers is the number of objects of each kind that are reconciled concurrently, at
	// least 1.
	Workers int
	// Resync is the interval at which every object is reconciled even without events; 0
	// means never.
	Resync time.Duration
	// NodeTimeout is how long a gateway node may be without a heartbeat before it is
	// evicted; 0 means forever.
	NodeTimeout time.Duration
	// Linger is how long a tunnel stays after the last endpoint on its client node is
	// gone, so requests in progress can complete; 0 removes it immediately.
	Linger time.Duration
	// Settle is how long conditions, except those of load balancers and gateway proxies,
	// wait for further changes. PoolSettle is how long those of service groups wait after
	// a pool was exhausted or has addresses again.
	Settle, PoolSettle time.Duration

	// lookInterval is the interval at which heartbeats of gateway nodes are checked, and
	// now the clock that they are compared with. Both have defaults.
	lookInterval time.Duration
	now          func() time.Time
}

// Controller holds the reconcilers and the caches that they share.
type Controller struct {
	workers     int
	caches      *caches
	reconcilers []*reconciler
	nodes       *gatewayNodes
	pods        *proxyPods
	news        *tunnelNews

	begun    sync.Once
	beginErr error
}

// New returns a controller that has not been added to a manager yet.
func New(o Options) (*Controller, error) {
	if o.Workers < 1 {
		return nil, fmt.Errorf("%d workers are too few: set at least 1", o.Workers)
	}
	c, err := newCaches(&o)
	if err != nil {
		return nil, err
	}
	nodes := newGatewayNodes(o.Client, o.NodeTimeout, cmp.Or(o.lookInterval, lookInterval))
	nodes.events = o.Events
	if o.now != nil {
		nodes.now = o.now
	}
	news := newTunnelNews(c)
	lbs := newLoadBalancers(c, nodes.lost, news.tracker.State)
	proxies := newGWProxies(c, nodes.lost, news.tracker.State)
	for _, k := range []*tunnelReconciler{lbs, proxies} {
		k.linger, k.events = o.Linger, o.Events
		if o.now != nil {
			k.now = o.now
		}
	}
	serve(nodes, lbs, c.kinds.LoadBalancers().Informer(), func(lb *epicv1.LoadBalancer) *epicv1.ProxyStatus { return &lb.Status })
	serve(nodes, proxies, c.kinds.GWProxies().Informer(), func(proxy *epicv1.GWProxy) *epicv1.ProxyStatus { return &proxy.Status })
	lbs.sources = append(lbs.sources, news.ofLoadBalancers)
	proxies.sources = append(proxies.sources, news.ofGWProxies)
	pods := newProxyPods(o.Kube, func() map[string][]cache.ObjectName {
		return map[string][]cache.ObjectName{
			epic.ResourceLoadBalancers: reporting[*epicv1.LoadBalancer](c.kinds.LoadBalancers().Informer().GetIndexer()),
			epic.ResourceGWProxies:     reporting[*epicv1.GWProxy](c.kinds.GWProxies().Informer().GetIndexer()),
		}
	})
	pods.serve(epic.ResourceLoadBalancers, lbs)
	pods.serve(epic.ResourceGWProxies, proxies)
	p := &pace{settle: o.Settle, poolSettle: o.PoolSettle, limiter: flowcontrol.NewTokenBucketRateLimiter(conditionWrites, conditionBurst), events: o.Events}
	epics := newEPICs(c, p)
	epics.sources = append(epics.sources, nodes.sources(c.kinds.EPICs().Informer(), c.kinds.GatewayNodes().Informer())...)
	reps, routes, slices := newRemoteEndpoints(c, p, news.tracker.State), newGWRoutes(c, p, news.tracker.State), newGWEndpointSlices(c, p, news.tracker.State)
	news.balancers, news.endpoints, news.proxies, news.routes, news.slices = lbs.reconciler, reps.reconciler, proxies.reconciler, routes.reconciler, slices.reconciler
	all := &Controller{workers: o.Workers, caches: c, reconcilers: []*reconciler{lbs.reconciler, proxies.reconciler}, nodes: nodes, pods: pods, news: news}
	for _, j := range []*conditionReconciler{
		epics, newServicePrefixes(c, p), newAccounts(c, p), newLBServiceGroups(c, p), reps, routes, slices,
	} {
		all.reconcilers = append(all.reconcilers, j.reconciler)
	}
	return all, nil
}

// AddTo adds the controllers of all kinds, and what they need, to a manager. Caches are
// filled before the manager becomes leader, so it can take over immediately.
func (c *Controller) AddTo(mgr manager.Manager) error {
	if err := mgr.Add(c.caches); err != nil {
		return fmt.Errorf("add the caches: %w", err)
	}
	for _, r := range c.reconcilers {
		if err := r.addTo(mgr, c.workers, func(ctx context.Context, _ queue) error { return c.begin(ctx) }); err != nil {
			return err
		}
	}
	for _, run := range []func(context.Context){c.nodes.run, c.pods.run, c.news.run} {
		err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			if err := c.begin(ctx); err != nil || ctx.Err() != nil {
				return err
			}
			run(ctx)
			return nil
		}))
		if err != nil {
			return fmt.Errorf("add the controllers' dependencies: %w", err)
		}
	}
	return nil
}

// begin returns when the caches are filled. With incomplete caches, endpoints would
// appear to be gone. It also returns if ctx ends.
func (c *Controller) begin(ctx context.Context) error {
	if !c.caches.wait(ctx) {
		return nil
	}
	c.begun.Do(func() {
		var registration cache.ResourceEventHandlerRegistration
		registration, c.beginErr = c.caches.kinds.GatewayNodes().Informer().AddEventHandler(c.news.tracker.Handler())
		if c.beginErr == nil && cache.WaitFor(ctx, "" /* no logging */, registration.HasSyncedChecker()) {
			// Every object is reconciled at this point, so earlier changes don't matter.
			c.news.take()
			klog.FromContext(ctx).Info("Reconciling", "workers", c.workers)
		}
	})
	return c.beginErr
}

var errCachesNotFilled = errors.New("the caches are not filled yet: check whether the API server responds, and whether this program may list and watch")

// CheckCaches returns a health check that passes once all caches are filled.
func (c *Controller) CheckCaches() healthz.HealthChecker {
	return healthz.NamedCheck("caches", func(*http.Request) error {
		if !c.caches.synced() {
			return errCachesNotFilled
		}
		return nil
	})
}
