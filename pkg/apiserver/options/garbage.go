// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apiserver/garbage"
	"github.com/acnodal/epic/pkg/registry"
)

// garbageCollection is the collector of a server that runs alone: it does what a
// cluster's garbage collector would, and is a client of the server that it is a
// part of. So it must end before the server drains: a watch of its own that the
// server ends would be opened again, and a connection of its own would keep the
// server waiting.
type garbageCollection struct {
	ctx    context.Context //nolint:containedctx // two hooks share it, and no call
	cancel context.CancelFunc
	// running is the collector, from start to its end.
	running sync.WaitGroup
	// mu lets no collector start once stop has begun.
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
