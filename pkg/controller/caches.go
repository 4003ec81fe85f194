// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
	informers "github.com/acnodal/epic/pkg/generated/informers/externalversions/epic/v1"
)

// caches are what all loops know, and how they write.
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
			return nil, fmt.Errorf("adding indexes to a cache: %w", err)
		}
		c.informers = append(c.informers, kind.informer)
	}
	return c, nil
}

func (c *caches) synced() bool {
	for _, informer := range c.informers {
		if !informer.HasSynced() {
			return false
		}
	}
	return true
}
