// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/acnodal/epic/test/netlab"
)

// dial connects to something, wherever it is.
type dial func(ctx context.Context) (net.Conn, error)

// to connects from a network namespace, or from the machine's own if that is nil.
func to(host *netlab.Namespace, network, address string) dial {
	return func(ctx context.Context) (net.Conn, error) {
		if host == nil {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		return host.Dial(ctx, network, address)
	}
}

// gate leads from a loopback address of one namespace to a server elsewhere, and can be shut.
type gate struct {
	listener net.Listener
	dial     dial

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]struct{}
}

// gate makes one that listens in a namespace, or on the machine itself if that is nil.
func (s *site) gate(host *netlab.Namespace, d dial) *gate {
	s.Helper()
	var l net.Listener
	var err error
	if host == nil {
		l, err = new(net.ListenConfig).Listen(s.Context(), "tcp", "127.0.0.1:0")
	} else {
		l, err = host.Listen(s.Context(), "tcp", "127.0.0.1:0")
	}
	s.must(err)
	g := &gate{listener: l, dial: d, conns: map[net.Conn]struct{}{}}
	s.Cleanup(func() {
		_ = l.Close()
		g.set(true)
	})
	go g.run(s.Context())
	return g
}

func (g *gate) address() string { return g.listener.Addr().String() }

// set shuts the gate, which ends all connections, or opens it.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for c := range g.conns {
			_ = c.Close()
		}
	}
}

// hold notes a connection, or closes it if the gate is shut.
func (g *gate) hold(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = c.Close()
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) drop(c net.Conn) {
	_ = c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

func (g *gate) run(ctx context.Context) {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return
		}
		if g.hold(c) {
			go g.pass(ctx, c)
		}
	}
}

func (g *gate) pass(ctx context.Context, inside net.Conn) {
	defer g.drop(inside)
	outside, err := g.dial(ctx)
	if err != nil || !g.hold(outside) {
		return
	}
	defer g.drop(outside)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(outside, inside)
		// Requests that were sent are still answered.
		if half, ok := outside.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(inside, outside)
	_ = inside.Close()
	<-done
}
