// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"errors"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
)

// relay relays between Envoy and the operator. Envoy's stream to it lasts as long as
// Envoy does, while streams to the operator are replaced. Requests, acknowledgments and
// refusals are passed on unchanged. Without an operator, Envoy is served the stored
// resources that it has accepted.
type relay struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	dialer *dialer
	store  *store
	// renewed has an element after each renewal of the certificate.
	renewed chan struct{}

	mu sync.Mutex
	// end ends the current stream of Envoy.
	end context.CancelFunc
	// configured indicates that Envoy has accepted clusters and listeners.
	configured bool
	// version is the version of Envoy.
	version string
	// records holds what was last sent to Envoy.
	records map[resource.Key]record
}

func newRelay(d *dialer, s *store) *relay {
	return &relay{dialer: d, store: s, renewed: make(chan struct{}, 1), records: map[resource.Key]record{}}
}

// DeltaAggregatedResources serves Envoy. A new stream replaces an earlier one.
func (r *relay) DeltaAggregatedResources(envoy discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	ctx, end := context.WithCancel(envoy.Context())
	defer end()
	r.dialer.counters.envoyStreams.Add(1)
	r.mu.Lock()
	if r.end != nil {
		r.end()
	}
	r.end, r.configured = end, false
	clear(r.records)
	r.mu.Unlock()
	c := &conversation{relay: r, envoy: envoy, tracker: newTracker(), requests: make(chan *discoveryv3.DeltaDiscoveryRequest), connected: make(chan *upstream)}
	go c.receive(ctx)
	return c.run(ctx)
}

// isConfigured reports whether Envoy has accepted a configuration.
func (r *relay) isConfigured() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.configured
}

// renew moves the stream to the operator to a connection with the renewed certificate.
func (r *relay) renew() {
	select {
	case r.renewed <- struct{}{}:
	default:
	}
}

// conversation is one stream of Envoy. Only the goroutine of run uses its fields.
type conversation struct {
	*relay
	envoy    discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	tracker  *tracker
	node     *corev3.Node
	requests chan *discoveryv3.DeltaDiscoveryRequest
	// local serves stored resources, or is nil. up is the stream to the operator, or nil.
	local *local
	up    *upstream
	// connected receives streams to the operator while connecting is set. next is one
	// that waits to take over.
	connected  chan *upstream
	connecting bool
	next       *upstream
	failures   int
}

func (c *conversation) receive(ctx context.Context) {
	defer close(c.requests)
	for {
		r, err := c.envoy.Recv()
		if err != nil {
			return
		}
		select {
		case c.requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

// swapAfter is how long a new stream to the operator waits for Envoy to respond to what
// the previous one sent.
const swapAfter = 2 * time.Second

// steady is how long a stream has to last for its end not to count as a failure to
// connect.
const steady = 30 * time.Second

func (c *conversation) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		c.leave()
		if c.next != nil {
			c.next.close()
		}
	}()
	c.connect(ctx)
	tick := time.NewTicker(localQuiet / 2)
	defer tick.Stop()
	for {
		var responses chan *discoveryv3.DeltaDiscoveryResponse
		var failed chan struct{}
		if c.up != nil {
			responses, failed = c.up.responses, c.up.failed
		}
		// Time only matters while the source changes.
		var due <-chan time.Time
		if c.local != nil || c.next != nil {
			due = tick.C
		}
		var err error
		select {
		case <-ctx.Done():
			return status.Error(codes.Aborted, "Envoy opened another stream, or the program ends")
		case r, ok := <-c.requests:
			if !ok {
				return nil
			}
			c.hear(ctx, r)
		case r := <-responses:
			c.failures = 0
			err = c.toEnvoy(r, c.up.name)
		case <-failed:
			klog.FromContext(ctx).V(1).Info("Lost the connection to the operator; Envoy keeps its configuration", "err", c.up.err)
			c.dialer.identity.suspect(c.up.err)
			if time.Since(c.up.ready) > steady {
				c.failures = 0
			}
			c.leave()
			c.failures++
			if c.next == nil {
				c.connect(ctx)
			}
		case u := <-c.connected:
			c.connecting = false
			if c.next != nil {
				c.next.close()
			}
			c.next = u
		case <-c.renewed:
			c.connect(ctx)
		case <-due:
		}
		if err == nil {
			err = c.advance(time.Now())
		}
		if err != nil {
			return err
		}
	}
}

// connect opens a stream to the operator in the background.
func (c *conversation) connect(ctx context.Context) {
	if c.connecting {
		return
	}
	c.connecting = true
	failures := c.failures
	go func() {
		u := c.dialer.connect(ctx, failures)
		if u == nil {
			return
		}
		select {
		case c.connected <- u:
		case <-ctx.Done():
			u.close()
		}
	}()
}

// leave drops the stream to the operator.
func (c *conversation) leave() {
	if c.up != nil {
		c.up.close()
		c.up = nil
		c.dialer.counters.connected.Store(false)
	}
}

// hear handles a request of Envoy.
func (c *conversation) hear(ctx context.Context, r *discoveryv3.DeltaDiscoveryRequest) {
	if c.node == nil && r.Node != nil {
		// The list of Envoy's extensions is long and not used.
		c.node = proto.CloneOf(r.Node)
		c.node.Extensions = nil
		c.mu.Lock()
		c.version = version.Of(c.node).String()
		c.mu.Unlock()
	}
	typ, ok := resource.TypeOf(r.TypeUrl)
	if !ok {
		return
	}
	v, dropped := c.tracker.request(typ, r)
	source, nonce := splitNonce(r.ResponseNonce)
	if c.up != nil {
		// The operator must not wait for the storage.
		defer c.keep(ctx, typ, v, dropped, r)
	} else {
		c.keep(ctx, typ, v, dropped, r)
		if v != nil && source != localName {
			// From now on, the served configuration must contain the operator's last one.
			c.local = nil
		}
	}
	request := &discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: r.TypeUrl, ResourceNamesSubscribe: r.ResourceNamesSubscribe, ResourceNamesUnsubscribe: r.ResourceNamesUnsubscribe,
		InitialResourceVersions: r.InitialResourceVersions,
	}
	if source == c.source() {
		request.ResponseNonce, request.ErrorDetail = nonce, r.ErrorDetail
	}
	now := time.Now()
	switch {
	case c.up != nil:
		c.toOperator(typ, request)
	case c.local != nil:
		c.local.request(request, now)
	default:
		c.serveKept(now)
	}
}

// source returns the name of the current source, which alone gets Envoy's responses to
// its messages.
func (c *conversation) source() string {
	if c.up != nil {
		return c.up.name
	}
	return localName
}

func (c *conversation) toOperator(typ resource.Type, request *discoveryv3.DeltaDiscoveryRequest) {
	if !c.up.introduced[request.TypeUrl] {
		request = c.tracker.introduce(typ)
	} else {
		request.InitialResourceVersions = nil
		if request.ResponseNonce == "" && len(request.ResourceNamesSubscribe)+len(request.ResourceNamesUnsubscribe) == 0 {
			return
		}
	}
	// If this fails, receiving also fails.
	_ = c.up.send(request, c.node)
}

// keep stores what Envoy accepted and removes what it no longer needs.
func (c *conversation) keep(ctx context.Context, typ resource.Type, v *verdict, dropped []string, r *discoveryv3.DeltaDiscoveryRequest) {
	var errs []error
	if v != nil && !v.refused {
		for _, got := range v.response.Resources {
			errs = append(errs, c.store.put(typ, got))
		}
		for _, name := range v.response.RemovedResources {
			errs = append(errs, c.store.remove(resource.Key{Type: typ, Name: name}))
		}
	}
	for _, name := range dropped {
		errs = append(errs, c.store.remove(resource.Key{Type: typ, Name: name}))
	}
	if err := errors.Join(errs...); err != nil {
		klog.FromContext(ctx).Error(err, "Can't store what Envoy accepted; it would be missing after a restart")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.configured = c.configured || c.tracker.configured()
	for _, name := range dropped {
		delete(c.records, resource.Key{Type: typ, Name: name})
	}
	if v == nil {
		return
	}
	for _, name := range v.response.RemovedResources {
		delete(c.records, resource.Key{Type: typ, Name: name})
	}
	for _, got := range v.response.Resources {
		k := resource.Key{Type: typ, Name: got.Name}
		if record, ok := c.records[k]; ok && record.version == got.Version {
			record.refusal = ""
			if v.refused {
				record.refusal = r.GetErrorDetail().GetMessage()
			}
			c.records[k] = record
		}
	}
}

// toEnvoy sends a response of a source to Envoy.
func (c *conversation) toEnvoy(r *discoveryv3.DeltaDiscoveryResponse, source string) error {
	typ, ok := resource.TypeOf(r.TypeUrl)
	if !ok {
		return nil
	}
	r.Nonce = nonceOf(source, r.Nonce)
	c.tracker.sent(typ, r)
	now := time.Now()
	c.mu.Lock()
	for _, got := range r.Resources {
		c.records[resource.Key{Type: typ, Name: got.Name}] = record{version: got.Version, at: now}
	}
	c.mu.Unlock()
	return c.envoy.Send(r)
}

// serveKept starts to serve stored resources, if there are any.
func (c *conversation) serveKept(now time.Time) {
	if c.local != nil || c.store.empty() {
		return
	}
	c.local = newLocal(c.store.load(), now)
	for _, r := range c.tracker.introduction() {
		c.local.request(r, now)
	}
}

// advance sends stored resources, and switches to the operator when possible.
func (c *conversation) advance(now time.Time) error {
	if c.up == nil && c.local == nil && c.next == nil {
		c.serveKept(now)
	}
	if c.next != nil && c.local == nil && c.up == nil && c.tracker.fresh() && !c.tracker.configured() {
		// A new Envoy gets the stored resources first, so the operator only sends
		// differences.
		if c.node == nil {
			return nil
		}
		c.serveKept(now)
	}
	if c.local != nil {
		for r := c.local.next(now); r != nil; r = c.local.next(now) {
			if err := c.toEnvoy(r, localName); err != nil {
				return err
			}
		}
	}
	if c.next == nil || c.local != nil && !c.local.finished(now) || c.tracker.unanswered() && now.Sub(c.next.ready) < swapAfter {
		return nil
	}
	c.leave()
	if c.local == nil || c.local.complete(now) {
		c.prune()
	}
	c.up, c.next, c.local = c.next, nil, nil
	c.dialer.counters.connected.Store(true)
	c.dialer.counters.connections.Add(1)
	for _, r := range c.tracker.introduction() {
		_ = c.up.send(r, c.node)
	}
	return nil
}

// prune removes stored resources that Envoy does not have, because it refused or does not
// request them.
func (c *conversation) prune() {
	for k := range c.store.keys() {
		if _, ok := c.tracker.types[k.Type].accepted[k.Name]; !ok {
			_ = c.store.remove(k)
		}
	}
}
