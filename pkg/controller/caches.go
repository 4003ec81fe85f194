// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
	informers "github.com/acnodal/epic/pkg/generated/informers/externalversions/epic/v1"
)

// caches holds the informers and clients that all reconcilers share.
type caches struct {
	client    versioned.Interface
	factory   externalversions.SharedInformerFactory
	kinds     informers.Interface
	informers []cache.SharedIndexInformer
}

func newCaches(o *Options) (*caches, error) {
	c := &caches{
		client:  o.Client,
		factory: externalversions.NewSharedInformerFactoryWithOptions(o.Client, o.Resync, externalversions.WithTransform(trim)),
	}
	c.kinds = c.factory.Epic().V1()
	for _, kind := range []struct {
		informer cache.SharedIndexInformer
		indexers cache.Indexers
	}{
		{c.kinds.EPICs().Informer(), nil},
		{c.kinds.ServicePrefixes().Informer(), nil},
		{c.kinds.Accounts().Informer(), nil},
		{c.kinds.LBServiceGroups().Informer(), groupIndexes},
		{c.kinds.LoadBalancers().Informer(), loadBalancerIndexes},
		{c.kinds.RemoteEndpoints().Informer(), remoteEndpointIndexes},
		{c.kinds.GWProxies().Informer(), proxyIndexes},
		{c.kinds.GWRoutes().Informer(), routeIndexes},
		{c.kinds.GWEndpointSlices().Informer(), sliceIndexes},
		{c.kinds.GatewayNodes().Informer(), nil},
	} {
		if err := kind.informer.AddIndexers(kind.indexers); err != nil {
			return nil, fmt.Errorf("add indexes to a cache: %w", err)
		}
		c.informers = append(c.informers, kind.informer)
	}
	return c, nil
}

// Start implements manager.Runnable: it runs the caches until ctx ends.
func (c *caches) Start(ctx context.Context) error {
	c.factory.StartWithContext(ctx)
	<-ctx.Done()
	c.factory.Shutdown()
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica has caches.
func (c *caches) NeedLeaderElection() bool { return false }

// wait waits until the caches are filled. It returns false if ctx ends first.
func (c *caches) wait(ctx context.Context) bool {
	filled := make([]cache.DoneChecker, 0, len(c.informers))
	for _, informer := range c.informers {
		filled = append(filled, informer.HasSyncedChecker())
	}
	return cache.WaitFor(ctx, "" /* no logging */, filled...)
}

func (c *caches) synced() bool {
	for _, informer := range c.informers {
		if !informer.HasSynced() {
			return false
		}
	}
	return true
}
