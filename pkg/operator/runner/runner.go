// SPDX-License-Identifier: Apache-2.0

// Package runner defines the interface between the operator and the implementations that
// run Envoys: Deployments in a cluster, processes on a host without one.
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

// Progress compares what runs for an object with what should run.
type Progress struct {
	// Desired is the number of Envoys that can and should run, Updated the number started
	// with the current settings, and Ready the number that serve.
	Desired, Updated, Ready int32
	// Image is the image of the newest Envoys; empty if they do not run in containers.
	Image string
	// Placements maps the names of proxies that are not pods to their gateway nodes; nil
	// if pods report them.
	Placements map[string]string
	// Reason and Message explain why there is no progress; they are empty otherwise.
	Reason, Message string
	// Retry is the delay after which something that is missing may exist; 0 if nothing is
	// waited for.
	Retry time.Duration
}

// Runner runs Envoys.
type Runner interface {
	// Ensure adapts what runs for an object to p, as far as possible now, and returns the
	// progress. It never waits for a proxy to start or to end. It returns an error if a
	// retry may succeed.
	Ensure(ctx context.Context, p *workload.Proxy) (Progress, error)
	// Remove ends what runs for an object that no longer exists.
	Remove(ctx context.Context, key proxyidentity.Proxy) error
	// Keys returns the objects for which something runs, to find those that were deleted
	// while no operator was running.
	Keys(ctx context.Context) ([]proxyidentity.Proxy, error)
}
