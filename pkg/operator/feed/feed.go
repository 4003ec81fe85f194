// SPDX-License-Identifier: Apache-2.0

// Package feed keeps the configuration of every proxy up to date with the API's objects.
// It connects the store of objects to the xDS server.
//
// # Two paths
//
// A change that can result in a different configuration (a spec, a route, a group, a
// Secret) causes a translation of the whole proxy. A change of endpoints or tunnels only
// renders the endpoints of the affected clusters. The second path has separate workers, so
// it never waits for a translation or its check.
package feed

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/workers"
)

// Server is the part of the xDS server that the feed uses.
type Server interface {
	Mark(proxy proxyidentity.Proxy) xds.Mark
	Set(proxy proxyidentity.Proxy, config xds.Config, since xds.Mark)
	SetEndpoints(proxy proxyidentity.Proxy, pod string, assignment *resource.Resource)
	Remove(proxy proxyidentity.Proxy)
	Accepted(proxy proxyidentity.Proxy, key resource.Key) map[string]string
}

// Options configures a Feed.
type Options struct {
	Store  *objects.Store
	Server Server
	// Secret returns a TLS Secret, or nil if it does not exist.
	Secret func(namespace, name string) *corev1.Secret
	// Place returns where proxies with a public address listen, if not on that address.
	Place func(publicAddress string) translate.Options
	// Checker validates translations with an Envoy before proxies get them; it is nil if
	// no Envoy is available.
	Checker validate.Checker
	// Kept returns the resources that an Envoy of a proxy has accepted, as reported by
	// its pod, or nil if no pod reports any. It is called if a proxy's template is
	// refused and the configuration served before is unknown. May be nil.
	Kept func(ctx context.Context, proxy proxyidentity.Proxy) []*resource.Resource
	// Tunnel returns the state of a tunnel, as reported by the gateway node on which it
	// ends.
	Tunnel func(id int32, gatewayNode netip.Addr) translate.Reach
	// Changed is called after an object was translated or its problems changed.
	Changed func(proxy proxyidentity.Proxy)
	// Workers is the number of proxies that are translated concurrently, and the number
	// of additional workers for endpoints.
	Workers int
}

// Feed translates objects and sets the results in the xDS server.
type Feed struct {
	o         Options
	whole     workqueue.TypedRateLimitingInterface[proxyidentity.Proxy]
	endpoints workqueue.TypedRateLimitingInterface[change]

	// unchecked is set while Envoy can't be queried.
	unchecked atomic.Bool

	mu      sync.Mutex
	proxies map[proxyidentity.Proxy]*proxy
}

// change is a change of the endpoints of one Service, or of all if service is empty.
type change struct {
	proxyidentity.Proxy
	service string
}

// New returns a feed that has no work yet.
func New(o Options) *Feed {
	const minRetry, maxRetry = 10 * time.Millisecond, time.Minute
	return &Feed{
		o: o, proxies: map[proxyidentity.Proxy]*proxy{},
		whole: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[proxyidentity.Proxy](minRetry, maxRetry),
			workqueue.TypedRateLimitingQueueConfig[proxyidentity.Proxy]{Name: "translations"}),
		endpoints: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[change](minRetry, maxRetry),
			workqueue.TypedRateLimitingQueueConfig[change]{Name: "endpoints"}),
	}
}

// Translate schedules the translation of a proxy.
func (f *Feed) Translate(id proxyidentity.Proxy) { f.whole.Add(id) }

// Endpoints schedules the rendering of endpoints of a proxy: those of a Service, or all
// if service is empty.
func (f *Feed) Endpoints(id proxyidentity.Proxy, service string) {
	f.endpoints.Add(change{id, service})
}

// Run runs the feed until ctx ends. The store must be complete, so no proxy gets a
// configuration that lacks existing objects.
func (f *Feed) Run(ctx context.Context) {
	var running sync.WaitGroup
	n := max(1, f.o.Workers)
	running.Go(func() { workers.Run(ctx, f.whole, n, once(f.translate)) })
	running.Go(func() { workers.Run(ctx, f.endpoints, n, once(f.render)) })
	running.Wait()
}

// once wraps work that is not retried.
func once[T comparable](do func(context.Context, T)) func(context.Context, T) bool {
	return func(ctx context.Context, item T) bool {
		do(ctx, item)
		return false
	}
}

// state returns the state of a proxy. If there is none, it creates it if create is set,
// and otherwise returns nil.
func (f *Feed) state(id proxyidentity.Proxy, create bool) *proxy {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.proxies[id]
	if p == nil && create {
		p = &proxy{}
		f.proxies[id] = p
	}
	return p
}

// Resource returns a resource of a proxy from the last translation, or nil if there is
// none.
func (f *Feed) Resource(id proxyidentity.Proxy, key resource.Key) *resource.Resource {
	p := f.state(id, false)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.result == nil {
		return nil
	}
	return p.result.Resources[key]
}

// Outcome returns the outcome of the last translation of an object, or nil if there was
// none.
func (f *Feed) Outcome(id proxyidentity.Proxy) *Outcome {
	p := f.state(id, false)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcome
}
