// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"time"

	"k8s.io/klog/v2"
)

// drain drains Envoy. From now on, the pod is not ready, so routes to it are withdrawn;
// until they are, Envoy serves normally. Then Envoy asks clients to close their
// connections, and serves existing ones until they are closed.
func (a *agent) drain(ctx context.Context) {
	logger := klog.FromContext(ctx)
	a.draining.Store(true)
	if !sleep(ctx, a.options.DrainDelay) {
		return
	}
	if err := a.admin.drain(ctx); err != nil {
		logger.Error(err, "Could not drain Envoy, stopping it")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.options.DrainTimeout)
	defer cancel()
	failures := 0
	for {
		n, err := a.admin.connections(ctx)
		switch {
		case ctx.Err() != nil:
			logger.Info("Connections remain after the drain timeout, closing them", "timeout", a.options.DrainTimeout)
			return
		case err != nil:
			if failures++; failures > 10 {
				logger.Error(err, "Envoy does not respond while draining, stopping it")
				return
			}
		case n == 0:
			return
		default:
			failures = 0
		}
		sleep(ctx, 250*time.Millisecond)
	}
}
