// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Options configures a server.
type Options struct {
	// Identify returns the identity of the client of a stream and when its proof expires.
	// The stream is closed then.
	Identify func(context.Context) (proxyidentity.Identity, time.Time, error)
	// Observer is notified of events. May be nil.
	Observer Observer
	// Session limits each stream.
	Session delta.Options
	// RequestRate and RequestBurst limit the requests of a client that are not
	// acknowledgments, in requests per second. Requests beyond the limit wait.
	RequestRate  float64
	RequestBurst int
	// Unmetered excludes the server from the metrics, which cover proxies.
	Unmetered bool

	now func() time.Time
}

// Server serves the configuration of proxies.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	options Options
	meters  *meters

	// mu only guards the map.
	mu      sync.RWMutex
	proxies map[proxyidentity.Proxy]*proxy
}

// NewServer returns a server. Zero options have defaults; without Identify, every client
// is refused.
func NewServer(o Options) *Server {
	if o.Identify == nil {
		o.Identify = func(context.Context) (proxyidentity.Identity, time.Time, error) {
			return proxyidentity.Identity{}, time.Time{}, status.Error(codes.Unauthenticated, "no client can be identified")
		}
	}
	if o.Observer == nil {
		o.Observer = nothing{}
	}
	if o.Session == (delta.Options{}) {
		o.Session = delta.DefaultOptions()
	}
	if o.RequestRate == 0 {
		o.RequestRate, o.RequestBurst = 50, 500
	}
	if o.now == nil {
		o.now = time.Now
	}
	s := &Server{options: o, meters: metered, proxies: map[proxyidentity.Proxy]*proxy{}}
	if o.Unmetered {
		s.meters = newMeters()
	} else {
		unacknowledged.server.Store(s)
	}
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, s)
}

// proxy returns the state of a proxy, or nil.
func (s *Server) proxy(id proxyidentity.Proxy) *proxy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.proxies[id]
}

// ensure returns the state of a proxy, and creates it if necessary.
func (s *Server) ensure(id proxyidentity.Proxy) *proxy {
	if p := s.proxy(id); p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proxies[id]
	if p == nil {
		p = newProxy(id)
		s.proxies[id] = p
	}
	return p
}

// all returns all proxies that have state.
func (s *Server) all() []*proxy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.proxies))
}

// drop removes a proxy without state.
func (s *Server) drop(p *proxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proxies[p.id] == p {
		delete(s.proxies, p.id)
	}
}
