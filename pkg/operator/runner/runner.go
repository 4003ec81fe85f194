// SPDX-License-Identifier: Apache-2.0

// Package runner is the interface between the operator and the implementations that run
// Envoys: Deployments in a cluster, processes on a host without one.
package runner

import (
	"context"
	"time"

	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// KeyOf returns the identity of the object that a proxy runs for.
func KeyOf(p *workload.Proxy) proxyidentity.Proxy {
	return proxyidentity.Proxy{Namespace: p.Namespace, Kind: string(p.Kind), Name: p.Name}
}

// Progress is how far what runs for an object is from what should.
type Progress struct {
	// Desired is how many Envoys can and should run; Updated how many were started as
	// they would be now, and Ready how many serve.
	Desired, Updated, Ready int32
	// Image is that of the newest Envoys; empty where they are no containers.
	Image string
	// Placements are the gateway nodes of proxies that are no pods, by the proxies'
	// names; nil where pods tell by themselves.
	Placements map[string]string
	// Reason and Message explain why it does not get further; empty while it does.
	Reason, Message string
	// Retry is after how long something that is not there yet may be; 0 if nothing is
	// waited for.
	Retry time.Duration
}

// Runner runs Envoys.
type Runner interface {
	// Ensure makes what runs for an object equal to p, as far as that is possible now,
	// and returns how far it is. It never waits for a proxy to start or to end. An
	// error is one that trying again may fix.
	Ensure(ctx context.Context, p *workload.Proxy) (Progress, error)
	// Remove ends what runs for an object that is gone.
	Remove(ctx context.Context, key proxyidentity.Proxy) error
	// Keys are the objects for which something runs, so those can be found that
	// went while no operator was there.
	Keys(ctx context.Context) ([]proxyidentity.Proxy, error)
}
