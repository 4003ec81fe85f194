// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

const (
	idleTimeout       = 90 * time.Second
	readHeaderTimeout = 32 * time.Second
	maxHeaderBytes    = 1 << 20
	keepAlive         = 3 * time.Minute
	// frameSize holds nearly every object in one frame.
	frameSize = 256 << 10
	// shutdownTimeout is for peers that don't close their connections.
	shutdownTimeout = 2 * time.Second
	// sweeps is the number of steps of the shutdown delay in which connections are
	// announced to end.
	sweeps = 15
)

// server replaces the serving loop of the generic API server.
type server struct {
	http    *http.Server
	delay   time.Duration
	leaving atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Replace makes a prepared generic server serve with this package. It reloads the
// certificates when they change, until ctx ends.
func Replace(ctx context.Context, generic *genericapiserver.GenericAPIServer) error {
	info := generic.SecureServingInfo
	s, err := newServer(ctx, info, generic.Handler, generic.ShutdownDelayDuration)
	if err != nil {
		return err
	}
	if err := generic.AddPreShutdownHook("let-go-of-connections", func() error {
		s.letGo()
		return nil
	}); err != nil {
		return err
	}
	// The generic server starts and closes this listener like any other, and accepts
	// nothing from it.
	generic.SecureServingInfo = &genericapiserver.SecureServingInfo{Listener: &listener{Listener: info.Listener, server: s.http}}
	return nil
}

func newServer(ctx context.Context, info *genericapiserver.SecureServingInfo, handler http.Handler, delay time.Duration) (*server, error) {
	config, err := tlsConfig(ctx, info)
	if err != nil {
		return nil, err
	}
	s := &server{delay: delay, conns: map[*conn]struct{}{}}
	s.http = &http.Server{
		Handler:           s.closing(handler),
		MaxHeaderBytes:    maxHeaderBytes,
		TLSConfig:         config,
		IdleTimeout:       idleTimeout,
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          log.New(errorLog{klog.FromContext(ctx)}, "", 0),
	}
	if info.DisableHTTP2 {
		return s, nil
	}
	return s, s.configureHTTP2(info.HTTP2MaxStreamsPerConnection)
}

// configureHTTP2 wraps each HTTP/2 connection in a conn. The server of net/http, which
// will replace this one, does not accept wrapped TLS connections.
//
//nolint:staticcheck // see above
func (s *server) configureHTTP2(maxStreams int) error {
	if maxStreams <= 0 {
		maxStreams = 100
	}
	h2 := &http2.Server{
		IdleTimeout:                  idleTimeout,
		MaxUploadBufferPerStream:     frameSize,
		MaxReadFrameSize:             frameSize,
		MaxConcurrentStreams:         uint32(maxStreams),
		MaxUploadBufferPerConnection: int32(frameSize * min(maxStreams, 1000)),
	}
	if err := http2.ConfigureServer(s.http, h2); err != nil {
		return fmt.Errorf("HTTP/2: %w", err)
	}
	s.http.TLSNextProto[http2.NextProtoTLS] = func(hs *http.Server, tc *tls.Conn, h http.Handler) {
		opts := &http2.ServeConnOpts{Handler: h, BaseConfig: hs}
		// The connection's handler has its context.
		if b, ok := h.(interface{ BaseContext() context.Context }); ok {
			opts.Context = b.BaseContext()
		}
		c := newConn(tc)
		s.keep(c)
		defer s.forget(c)
		h2.ServeConn(tlsConn{c, tc}, opts)
	}
	return nil
}

// tlsConn exposes the TLS connection state to the HTTP/2 server.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

// ConnectionState returns the TLS connection state.
func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

func (s *server) keep(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (s *server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// closing ends HTTP/1 connections after the response once the server is shutting down.
func (s *server) closing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && s.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// letGo takes the shutdown delay. In its first third, the Service's clients learn that
// this replica is leaving; after that, it announces the end of each connection. A client
// that reconnects to this replica gets another announcement.
func (s *server) letGo() {
	if s.delay <= 0 {
		return
	}
	step := s.delay / sweeps
	for i := range sweeps {
		time.Sleep(step)
		if i < sweeps/3-1 {
			continue
		}
		s.leaving.Store(true)
		s.announce()
	}
}

func (s *server) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		// A client that does not read must not delay the others.
		go c.announce()
	}
}

// listener is the listener for the generic server: it accepts nothing, and server serves
// while it is open.
type listener struct {
	net.Listener
	server *http.Server
}

// Accept serves, and returns when serving has ended.
func (l *listener) Accept() (net.Conn, error) {
	return nil, l.server.Serve(tls.NewListener(keepAliveListener{l.Listener}, l.server.TLSConfig))
}

// Close stops listening and waits for the requests in progress.
func (l *listener) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return l.server.Shutdown(ctx)
}

type keepAliveListener struct{ net.Listener }

// Accept waits for a connection.
func (l keepAliveListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tc, ok := c.(*net.TCPConn); ok {
		if err := tc.SetKeepAlivePeriod(keepAlive); err != nil {
			klog.V(4).InfoS("Can't set the keepalive interval", "client", c.RemoteAddr(), "err", err)
		}
	}
	return c, nil
}
