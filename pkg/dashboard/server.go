// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/pkg/dashboard/rates"
)

const (
	// headerTimeout and idleTimeout limit connections that send nothing.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	// stopTimeout limits the time to complete pages that are being sent.
	stopTimeout = 3 * time.Second
)

// Feed provides the content of the pages.
type Feed interface {
	// Now returns the newest snapshot, and a channel that is closed when there is a
	// newer one.
	Now() (*live.Snapshot, <-chan struct{})
}

// Rates provides metrics of proxies and tunnels. Its methods return what is known and
// never wait; unknown values are read, and a newer snapshot of the feed follows.
type Rates interface {
	// Namespace returns the rates of the proxies' pods in a namespace, by pod.
	Namespace(namespace string) map[string]rates.Pod
	// Tunnels returns the known rates of tunnels, by ID.
	Tunnels(ids []int32) map[int32]rates.Tunnel
	// Note returns their source, or why there are none.
	Note() string
}

// Options configures a Server.
type Options struct {
	Feed Feed
	// Server is the API server's address, for people.
	Server string
	// Accounts are the accounts that are shown; empty means all.
	Accounts []string
	// Rates provides the rates of proxies and tunnels; nil if no metrics are read.
	Rates Rates
	// Port is the port to listen on; 0 for any free one.
	Port int
}

// Server serves the dashboard.
type Server struct {
	listener net.Listener
	guard    *guard
	server   *http.Server
}

// Listen opens the port on 127.0.0.1. Call Serve next.
func Listen(ctx context.Context, o Options) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", o.Port))
	if err != nil {
		return nil, fmt.Errorf("can't listen on port %d: choose another with --port, or leave it out (%w)", o.Port, err)
	}
	port := o.Port
	if a, ok := listener.Addr().(*net.TCPAddr); ok {
		port = a.Port
	}
	s := &Server{listener: listener}
	p := newPages(&o)
	s.guard = newGuard(port, p)
	p.base = s.guard.base
	// Ending this context ends the event streams, for which a shutdown would wait.
	streams, end := context.WithCancel(context.WithoutCancel(ctx))
	s.server = &http.Server{
		Handler: s.guard, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return streams },
	}
	s.server.RegisterOnShutdown(end)
	return s, nil
}

// URL returns the address to open in a browser. Anybody who has it sees what the user may
// see.
func (s *Server) URL() string { return s.guard.url() }

// Serve serves until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(s.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.server.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.server.Close()
}
