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

// Server is the xDS server, as far as the feed uses it.
type Server interface {
	Mark(proxy proxyidentity.Proxy) xds.Mark
	Set(proxy proxyidentity.Proxy, config xds.Config, since xds.Mark)
	SetEndpoints(proxy proxyidentity.Proxy, pod string, assignment *resource.Resource)
	Remove(proxy proxyidentity.Proxy)
	Accepted(proxy proxyidentity.Proxy, key resource.Key) map[string]string
}

// Options are what a Feed needs.
type Options struct {
	Store  *objects.Store
	Server Server
	// Secret returns a TLS Secret; nil if it is not there.
	Secret func(namespace, name string) *corev1.Secret
	// Place returns where proxies listen that have a public address, if not there.
	Place func(publicAddress string) translate.Options
	// Checker asks Envoy about translations before proxies get them; nil if there is no
	// Envoy to ask.
	Checker validate.Checker
	// Kept returns what an Envoy of a proxy has accepted, as its pod reports it; nil if no
	// pod does. It is asked if a proxy's template is refused and nothing is known of what was
	// served before. May be nil.
	Kept func(ctx context.Context, proxy proxyidentity.Proxy) []*resource.Resource
	// Tunnel returns the state of a tunnel, as the gateway node on which it ends
	// reports it.
	Tunnel func(id int32, gatewayNode netip.Addr) translate.Reach
	// Changed is called when an object was translated or its problems changed.
	Changed func(proxy proxyidentity.Proxy)
	// Workers is how many proxies are translated at once; as many work on endpoints.
	Workers int
}

// Feed feeds the server.
type Feed struct {
	o         Options
	whole     workqueue.TypedRateLimitingInterface[proxyidentity.Proxy]
	endpoints workqueue.TypedRateLimitingInterface[change]

	// unchecked is set while Envoy can't be asked.
	unchecked atomic.Bool

	mu      sync.Mutex
	proxies map[proxyidentity.Proxy]*proxy
}

// change is one of endpoints: of one Service, or, where that is empty, of all.
type change struct {
	proxyidentity.Proxy
	service string
}

// New returns a feed that is not fed yet.
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

// Translate has a proxy translated.
func (f *Feed) Translate(id proxyidentity.Proxy) { f.whole.Add(id) }

// Endpoints has the endpoints of a proxy rendered: those of a Service, or all if
// service is empty.
func (f *Feed) Endpoints(id proxyidentity.Proxy, service string) {
	f.endpoints.Add(change{id, service})
}

// Run works until ctx ends. Everything that exists must be known to the store, because a
// proxy is sent no less than what it has only when that is known.
func (f *Feed) Run(ctx context.Context) {
	var running sync.WaitGroup
	n := max(1, f.o.Workers)
	running.Go(func() { workers.Run(ctx, f.whole, n, once(f.translate)) })
	running.Go(func() { workers.Run(ctx, f.endpoints, n, once(f.render)) })
	running.Wait()
}

// once is work that is not tried again.
func once[T comparable](do func(context.Context, T)) func(context.Context, T) bool {
	return func(ctx context.Context, item T) bool {
		do(ctx, item)
		return false
	}
}

// state returns what is known of a proxy; nil if there is nothing and create is false.
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

// Resource returns a resource of a proxy as it was translated last; nil if there is none.
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

// Outcome is what came of the last translation of an object, nil if there was none.
func (f *Feed) Outcome(id proxyidentity.Proxy) *Outcome {
	p := f.state(id, false)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcome
}
