// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/acnodal/epic/pkg/apis/epic"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
	"github.com/acnodal/epic/test/netlab"
)

// The group that gives IPv4 addresses, and the one that gives IPv6 addresses, with an IPv4 address
// next to it for gateway proxies.
const (
	group4 = "offered"
	group6 = "offered6"
	// clusterID is that of each tenant's cluster.
	clusterID = "c"
)

// actor is a tenant, who creates, changes and deletes objects.
type actor struct {
	number    int
	namespace string
	api       typed.EpicV1Interface
	oracle    *oracle
	pod       *netlab.Namespace
	// nodeAddress is the client node's.
	nodeAddress string
	rng         *rand.Rand
	// life is the context of backends.
	life context.Context //nolint:containedctx // they outlive what started them

	balancers map[string]*balanced
	gateways  map[string]*gateway
	made      int
	nextPort  int32
	changes   map[string]int

	writes, retries atomic.Int64
}

func account(tenant int) string { return fmt.Sprintf("t%d", tenant) }

func namespace(tenant int) string { return epic.AccountNamespace(account(tenant)) }

// backend starts one more of the tenant's backends.
func (a *actor) backend() (*backend, error) {
	a.nextPort++
	return serve(a.life, a.pod, fmt.Sprintf("%sb%d", tenantPrefix(a.number), a.nextPort), 10000+a.nextPort)
}

// prepare makes what stays for the whole run, though its endpoints and routes change.
func (a *actor) prepare(ctx context.Context) error {
	if err := a.createBalancer(ctx, "a", group4); err != nil {
		return err
	}
	if err := a.createBalancer(ctx, "b", group6); err != nil {
		return err
	}
	return a.createGateway(ctx, "a")
}

// churn changes things until a context ends. A change that has begun then is finished.
func (a *actor) churn(ctx, until context.Context, pace time.Duration) error {
	for until.Err() == nil {
		pause(until, pace/2+time.Duration(a.rng.Int64N(int64(pace))))
		if until.Err() != nil {
			break
		}
		name, change := a.choose()
		err := change(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return fmt.Errorf("tenant %d: %s: %w", a.number, name, err)
		}
		a.changes[name]++
	}
	return nil //nolint:nilerr // it was to end
}

// choose draws what the tenant does next.
func (a *actor) choose() (string, func(context.Context) error) {
	balancer, gateway := a.anyBalancer(), a.anyGateway()
	switch n := a.rng.IntN(100); {
	case n < 8:
		if _, ok := a.balancers["x"]; ok {
			return "delete a load balancer", func(ctx context.Context) error { return a.deleteBalancer(ctx, "x") }
		}
		group := []string{group4, group6}[a.rng.IntN(2)]
		return "create a load balancer", func(ctx context.Context) error { return a.createBalancer(ctx, "x", group) }
	case n < 13:
		if _, ok := a.gateways["x"]; ok {
			return "delete a gateway proxy", func(ctx context.Context) error { return a.deleteGateway(ctx, "x") }
		}
		return "create a gateway proxy", func(ctx context.Context) error { return a.createGateway(ctx, "x") }
	case n < 30 && len(balancer.backends) < 3:
		return "add an endpoint to a load balancer", func(ctx context.Context) error { return a.addEndpoint(ctx, balancer) }
	case n < 45 && len(balancer.backends) > 1:
		return "remove an endpoint from a load balancer", func(ctx context.Context) error { return a.removeEndpoint(ctx, balancer, 0) }
	case n < 55:
		return "replace the endpoints of a load balancer", func(ctx context.Context) error { return a.replaceEndpoints(ctx, balancer) }
	case n < 65 && len(gateway.routes) < 6:
		return "add an HTTP route", func(ctx context.Context) error { return a.addRoute(ctx, gateway, byHTTP) }
	case n < 73 && len(gateway.routes) > 3:
		return "remove an HTTP route", func(ctx context.Context) error {
			return a.removeRoute(ctx, gateway, gateway.routes[3+a.rng.IntN(len(gateway.routes)-3)])
		}
	case n < 85:
		route := gateway.routes[a.rng.IntN(len(gateway.routes))]
		return "lead a route to another Service", func(ctx context.Context) error { return a.redirect(ctx, gateway, route) }
	default:
		route := gateway.routes[a.rng.IntN(len(gateway.routes))]
		return "replace the endpoints of a Service", func(ctx context.Context) error { return a.replaceSlices(ctx, route) }
	}
}

func (a *actor) anyBalancer() *balanced {
	names := []string{"a", "b"}
	if a.balancers["x"] != nil {
		names = append(names, "x")
	}
	return a.balancers[names[a.rng.IntN(len(names))]]
}

func (a *actor) anyGateway() *gateway {
	if x := a.gateways["x"]; x != nil && a.rng.IntN(2) == 0 {
		return x
	}
	return a.gateways["a"]
}

// number returns one that no other object of the tenant has.
func (a *actor) id() int { a.made++; return a.made }

// removeAll deletes everything that the tenant has.
func (a *actor) removeAll(ctx context.Context) error {
	for name := range a.balancers {
		if err := a.deleteBalancer(ctx, name); err != nil {
			return err
		}
	}
	for name := range a.gateways {
		if err := a.deleteGateway(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
