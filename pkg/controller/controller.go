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

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// DefaultResync is how often every object is looked at though nothing changed.
// Events do the work; this is for what nobody thought of.
const DefaultResync = 30 * time.Minute

// DefaultLinger is how long a tunnel stays that no endpoint needs any more. Nodes end the
// last connections to the endpoint before.
const DefaultLinger = endpoints.LeaveAfter + 5*time.Second

// Options are what a Controller needs.
type Options struct {
	// Client talks to the EPIC API server.
	Client versioned.Interface
	// Kube reads the pods of proxies from the kube-apiserver. Where it is nil, and
	// where the API server has no pods, as in standalone mode, only what
	// proxy-placements lists counts.
	Kube kubernetes.Interface
	// Workers is how many objects of each kind are worked on at once, at least 1.
	Workers int
	// Resync is how often every object is looked at though nothing changed; 0 is
	// never.
	Resync time.Duration
	// NodeTimeout is how long a gateway node may give no sign of life before it is
	// given up; 0 is forever.
	NodeTimeout time.Duration
	// Linger is how long a tunnel stays after the last endpoint on its client node is
	// gone, so requests under way can end; 0 is not at all.
	Linger time.Duration
	// Settle is how long conditions, but those of load balancers and gateway
	// proxies, wait for further changes, and PoolSettle how long those of service
	// groups wait after a pool was exhausted or has addresses again.
	Settle, PoolSettle time.Duration

	// lookInterval is how often the signs of life of gateway nodes are looked at,
	// and now the clock that they are compared with, if not the usual ones.
	lookInterval time.Duration
	now          func() time.Time
}

// Controller has the reconcilers and the caches that they share.
type Controller struct {
	workers int
	caches  *caches
	loops   []*loop
	nodes   *gatewayNodes
	pods    *proxyPods
	news    *tunnelNews

	started sync.Once
}

// New returns a controller that has not started yet.
func New(o Options) (*Controller, error) {
	if o.Workers < 1 {
		return nil, fmt.Errorf("%d workers are too few: have at least 1", o.Workers)
	}
	c, err := newCaches(&o)
	if err != nil {
		return nil, err
	}
	nodes := newGatewayNodes(o.Client, o.NodeTimeout, cmp.Or(o.lookInterval, lookInterval))
	if o.now != nil {
		nodes.now = o.now
	}
	news := newTunnelNews(c)
	lbs := newLoadBalancers(c, nodes.lost, news.tracker.State)
	proxies := newGWProxies(c, nodes.lost, news.tracker.State)
	for _, k := range []*keeper{lbs, proxies} {
		k.linger = o.Linger
		if o.now != nil {
			k.now = o.now
		}
	}
	serve(nodes, lbs, c.kinds.LoadBalancers().Informer(), func(lb *epicv1.LoadBalancer) *epicv1.ProxyStatus { return &lb.Status })
	serve(nodes, proxies, c.kinds.GWProxies().Informer(), func(proxy *epicv1.GWProxy) *epicv1.ProxyStatus { return &proxy.Status })
	nodes.follow(c.kinds.EPICs().Informer(), c.kinds.GatewayNodes().Informer())
	pods := newProxyPods(o.Kube, func() map[string][]cache.ObjectName {
		return map[string][]cache.ObjectName{
			epic.ResourceLoadBalancers: reporting[*epicv1.LoadBalancer](c.kinds.LoadBalancers().Informer().GetIndexer()),
			epic.ResourceGWProxies:     reporting[*epicv1.GWProxy](c.kinds.GWProxies().Informer().GetIndexer()),
		}
	})
	pods.serve(epic.ResourceLoadBalancers, lbs)
	pods.serve(epic.ResourceGWProxies, proxies)
	all := &Controller{workers: o.Workers, caches: c, loops: []*loop{lbs.loop, proxies.loop}, nodes: nodes, pods: pods, news: news}
	p := &pace{settle: o.Settle, poolSettle: o.PoolSettle, limiter: flowcontrol.NewTokenBucketRateLimiter(conditionWrites, conditionBurst)}
	reps, routes, slices := newRemoteEndpoints(c, p, news.tracker.State), newGWRoutes(c, p, news.tracker.State), newGWEndpointSlices(c, p, news.tracker.State)
	news.balancers, news.endpoints, news.proxies, news.routes, news.slices = lbs.loop, reps.loop, proxies.loop, routes.loop, slices.loop
	for _, j := range []*judge{
		newEPICs(c, p), newServicePrefixes(c, p), newAccounts(c, p), newLBServiceGroups(c, p), reps, routes, slices,
	} {
		all.loops = append(all.loops, j.loop)
	}
	return all, nil
}

// Start fills the caches and keeps them up to date until ctx ends. A controller
// that does not lead yet does it too, so it can take over at once.
func (c *Controller) Start(ctx context.Context) {
	c.started.Do(func() { c.caches.factory.StartWithContext(ctx) })
}

var errCachesNotFilled = errors.New("the caches are not filled yet: see whether the API server answers, and whether this program may list and watch")

// CheckCaches is a health check that passes once all caches are filled.
func (c *Controller) CheckCaches() healthz.HealthChecker {
	return healthz.NamedCheck("caches", func(*http.Request) error {
		if !c.caches.synced() {
			return errCachesNotFilled
		}
		return nil
	})
}

// Run reconciles until ctx ends, and returns when the last write is done. Start
// must have been called. It can run once.
func (c *Controller) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	var stop []func() error
	defer func() {
		for _, s := range stop {
			if err := s(); err != nil {
				logger.Error(err, "A cache keeps a handler")
			}
		}
	}()
	var synced []cache.DoneChecker
	follow := func(what string, sources ...source) error {
		for _, source := range sources {
			registration, err := source.informer.AddEventHandlerWithOptions(source.handler, cache.HandlerOptions{Logger: &logger})
			if err != nil {
				return fmt.Errorf("watching for %s: %w", what, err)
			}
			stop = append(stop, func() error { return source.informer.RemoveEventHandler(registration) })
			synced = append(synced, registration.HasSyncedChecker())
		}
		return nil
	}
	for _, l := range c.loops {
		if err := follow(l.name, l.sources...); err != nil {
			return err
		}
	}
	if err := follow("gateway nodes", c.nodes.sources...); err != nil {
		return err
	}
	if err := follow("the state of tunnels", c.news.sources...); err != nil {
		return err
	}
	// Until all that exists is known, endpoints would seem to have gone.
	if !cache.WaitFor(ctx, "" /* no logging */, synced...) {
		return nil
	}
	logger.Info("Reconciling", "workers", c.workers)
	c.news.take()
	var running sync.WaitGroup
	for _, l := range c.loops {
		running.Go(func() {
			<-ctx.Done()
			l.queue.ShutDown()
		})
		for range c.workers {
			running.Go(func() { l.work(ctx) })
		}
	}
	running.Go(func() { c.nodes.run(ctx) })
	running.Go(func() { c.pods.run(ctx) })
	running.Go(func() { c.news.run(ctx) })
	running.Wait()
	return nil
}

// Shutdown waits until the caches, whose context has ended, are at rest.
func (c *Controller) Shutdown() { c.caches.factory.Shutdown() }
