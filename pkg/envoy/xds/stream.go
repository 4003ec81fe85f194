// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"context"
	"errors"
	"io"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// stream is the stream of one pod.
type stream struct {
	server    *Server
	id        proxyidentity.Identity
	connected time.Time
	// session is guarded by the proxy's mu.
	session *delta.Session
	// version is the version of the pod's Envoy, and ended indicates that the stream no
	// longer counts. Both are also guarded by the proxy's mu. introduced indicates that
	// the version counts.
	version           version.Version
	introduced, ended bool
	limiter           *rate.Limiter
	// wake has an element if there may be something to send.
	wake chan struct{}
	// end ends the stream with a cause.
	end context.CancelCauseFunc
}

// signal makes the stream check for something to send.
func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) close(err error) { s.end(err) }

var errExpired = status.Error(codes.Unauthenticated, "the client's certificate has expired")

// DeltaAggregatedResources serves one pod until its stream ends, its certificate
// expires, it opens another stream, or its proxy is removed.
func (s *Server) DeltaAggregatedResources(peer discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	id, until, err := s.options.Identify(peer.Context())
	if err != nil {
		s.meters.unidentified.Inc()
		return err
	}
	ctx, end := context.WithCancelCause(peer.Context())
	defer end(nil)
	now := s.options.now()
	if !until.IsZero() {
		expiry := time.AfterFunc(until.Sub(now), func() { end(errExpired) })
		defer expiry.Stop()
	}
	st := &stream{
		server: s, id: id, connected: now, end: end, wake: make(chan struct{}, 1),
		limiter: rate.NewLimiter(rate.Limit(s.options.RequestRate), s.options.RequestBurst),
	}
	var p *proxy
	for err = errRemoved; errors.Is(err, errRemoved); {
		p = s.ensure(id.Proxy)
		st.session = delta.NewSession(view{p, id.Pod}, s.options.Session)
		err = p.attach(st)
	}
	if err != nil {
		return err
	}
	s.meters.connectedPods.Inc()
	s.options.Observer.Connected(id, now)
	go st.receive(ctx, p, peer)
	err = st.send(ctx, p, peer)
	if p.detach(st) {
		s.drop(p)
	}
	s.meters.connectedPods.Dec()
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		err = nil
	}
	s.options.Observer.Disconnected(id, s.options.now(), err)
	klog.FromContext(ctx).V(2).Info("A proxy's stream ended", "proxy", id.Proxy, "pod", id.Pod, "reason", err)
	return err
}

// receive handles the pod's requests until the stream ends.
func (s *stream) receive(ctx context.Context, p *proxy, peer discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) {
	for {
		request, err := peer.Recv()
		if err != nil {
			s.close(err)
			return
		}
		p.mu.Lock()
		s.introduce(request)
		answers, err := s.session.Request(request, s.server.options.now())
		events := s.session.TakeEvents()
		p.mu.Unlock()
		s.report(events)
		if err != nil {
			s.close(status.Error(codes.ResourceExhausted, err.Error()))
			return
		}
		s.signal()
		if answers {
			continue
		}
		if n := s.cost(request); !s.limiter.AllowN(time.Now(), n) {
			// Further requests of the pod wait in its connection.
			s.server.meters.requestsDelayed.Inc()
			if s.limiter.WaitN(ctx, n) != nil {
				return
			}
		}
	}
}

// introduce records the pod's Envoy version: the first request with a node reports it.
// The caller holds the proxy's mu.
func (s *stream) introduce(r *discoveryv3.DeltaDiscoveryRequest) {
	if r.GetNode() == nil || s.introduced || s.ended {
		return
	}
	s.introduced, s.version = true, version.Of(r.GetNode())
	s.server.meters.envoys.add(s.version, 1)
}

// leave removes the pod's Envoy from the count. The caller holds the proxy's mu.
func (s *stream) leave() {
	if s.introduced {
		s.server.meters.envoys.add(s.version, -1)
	}
	s.introduced, s.ended = false, true
}

// cost returns the cost of a request that is not an acknowledgment, relative to the pod's
// rate: one, plus one for each hundred names.
func (s *stream) cost(r *discoveryv3.DeltaDiscoveryRequest) int {
	names := len(r.GetResourceNamesSubscribe()) + len(r.GetResourceNamesUnsubscribe()) + len(r.GetInitialResourceVersions())
	return min(1+names/100, s.limiter.Burst())
}

// send sends responses until the stream ends.
func (s *stream) send(ctx context.Context, p *proxy, peer discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := s.server.options.now()
		p.mu.Lock()
		next, wake := s.session.Next(now)
		p.mu.Unlock()
		if next != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			message := next.Message()
			s.server.meters.bytesSent.WithLabelValues(next.Type.String()).Add(float64(proto.Size(message)))
			s.server.meters.resourcesSent.WithLabelValues(next.Type.String()).Add(float64(len(next.Entries)))
			if err := peer.Send(message); err != nil {
				return err
			}
			continue
		}
		var due <-chan time.Time
		if !wake.IsZero() {
			timer.Reset(max(wake.Sub(now), time.Millisecond))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.wake:
		case <-due:
		}
	}
}

// report passes events to the observer and counts them.
func (s *stream) report(events delta.Events) {
	for _, a := range events.Acknowledged {
		for _, e := range a.Entries {
			// For resources set before the pod connected, the time does not show how long
			// a change takes.
			if e.Set.After(s.connected) {
				s.server.meters.setToAcknowledged.WithLabelValues(a.Type.String()).Observe(a.At.Sub(e.Set).Seconds())
			}
		}
		s.server.options.Observer.Acknowledged(s.id, a)
	}
	for _, r := range events.Refused {
		s.server.meters.refusals.WithLabelValues(r.Resource.Type.String()).Inc()
		s.server.options.Observer.Refused(s.id, r)
	}
}
