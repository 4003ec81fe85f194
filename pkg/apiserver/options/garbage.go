// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apiserver/garbage"
	"github.com/acnodal/epic/pkg/registry"
)

// garbageCollection runs the collector of a standalone server, in place of a cluster's
// garbage collector. It is a client of the server that it is part of, so it must end
// before the server drains: it would reopen watches that the server ends, and its
// connections would delay the shutdown.
type garbageCollection struct {
	ctx    context.Context //nolint:containedctx // shared by two hooks
	cancel context.CancelFunc
	// running waits for the collector to end.
	running sync.WaitGroup
	// mu prevents the collector from starting after stop has been called.
	mu sync.Mutex
}

func newGarbageCollection() *garbageCollection {
	ctx, cancel := context.WithCancel(context.Background())
	return &garbageCollection{ctx: ctx, cancel: cancel}
}

func (g *garbageCollection) start(hook genericapiserver.PostStartHookContext) error {
	collector, err := garbage.New(hook.LoopbackClientConfig, registry.Resources())
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() == nil {
		g.running.Go(func() { collector.Run(g.ctx) })
	}
	return nil
}

func (g *garbageCollection) stop() error {
	g.mu.Lock()
	g.cancel()
	g.mu.Unlock()
	g.running.Wait()
	return nil
}
