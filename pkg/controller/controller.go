// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
)

// DefaultResync is how often every object is looked at though nothing changed.
// Events do the work; this is for what nobody thought of.
const DefaultResync = 30 * time.Minute

// Options are what a Controller needs.
type Options struct {
	// Client talks to the EPIC API server.
	Client versioned.Interface
	// Workers is how many objects of each kind are worked on at once, at least 1.
	Workers int
	// Resync is how often every object is looked at though nothing changed; 0 is
	// never.
	Resync time.Duration
}

// Controller has the reconcilers and the caches that they share.
type Controller struct {
	workers   int
	factory   externalversions.SharedInformerFactory
	informers []cache.SharedIndexInformer
	keepers   []*keeper

	started sync.Once
}

// New returns a controller that has not started yet.
func New(o Options) (*Controller, error) {
	if o.Workers < 1 {
		return nil, fmt.Errorf("%d workers are too few: have at least 1", o.Workers)
	}
	c := &Controller{
		workers: o.Workers,
		factory: externalversions.NewSharedInformerFactoryWithOptions(o.Client, o.Resync, externalversions.WithTransform(trim)),
	}
	kinds := c.factory.Epic().V1()
	reps, routes, slices := kinds.RemoteEndpoints().Informer(), kinds.GWRoutes().Informer(), kinds.GWEndpointSlices().Informer()
	for informer, indexers := range map[cache.SharedIndexInformer]cache.Indexers{reps: remoteEndpointIndexes, routes: routeIndexes, slices: sliceIndexes} {
		if err := informer.AddIndexers(indexers); err != nil {
			return nil, fmt.Errorf("adding indexes to a cache: %w", err)
		}
	}
	c.keepers = []*keeper{
		newLoadBalancers(o.Client, kinds.LoadBalancers(), reps),
		newGWProxies(o.Client, kinds.GWProxies(), routes, slices),
	}
	c.informers = []cache.SharedIndexInformer{kinds.LoadBalancers().Informer(), kinds.GWProxies().Informer(), reps, routes, slices}
	return c, nil
}

// Start fills the caches and keeps them up to date until ctx ends. A controller
// that does not lead yet does it too, so that it can take over at once.
func (c *Controller) Start(ctx context.Context) {
	c.started.Do(func() { c.factory.StartWithContext(ctx) })
}

var errCachesNotFilled = errors.New("the caches are not filled yet: see whether the API server answers, and whether this program may list and watch")

// CheckCaches is a health check that passes once all caches are filled.
func (c *Controller) CheckCaches() healthz.HealthChecker {
	return healthz.NamedCheck("caches", func(*http.Request) error {
		if !c.synced() {
			return errCachesNotFilled
		}
		return nil
	})
}

func (c *Controller) synced() bool {
	for _, informer := range c.informers {
		if !informer.HasSynced() {
			return false
		}
	}
	return true
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
	synced := make([]cache.DoneChecker, 0, len(c.informers))
	for _, k := range c.keepers {
		for _, source := range k.sources {
			registration, err := source.informer.AddEventHandlerWithOptions(source.handler, cache.HandlerOptions{Logger: &logger})
			if err != nil {
				return fmt.Errorf("watching for %s: %w", k.kind, err)
			}
			stop = append(stop, func() error { return source.informer.RemoveEventHandler(registration) })
			synced = append(synced, registration.HasSyncedChecker())
		}
	}
	// Until all that exists is known, endpoints would seem to have gone.
	if !cache.WaitFor(ctx, "" /* no logging */, synced...) {
		return nil
	}
	logger.Info("Reconciling", "workers", c.workers)
	var running sync.WaitGroup
	for _, k := range c.keepers {
		running.Go(func() {
			<-ctx.Done()
			k.queue.ShutDown()
		})
		for range c.workers {
			running.Go(func() { k.work(ctx) })
		}
	}
	running.Wait()
	return nil
}

// Shutdown waits until the caches, whose context has ended, are at rest.
func (c *Controller) Shutdown() { c.factory.Shutdown() }
