// SPDX-License-Identifier: Apache-2.0

// Package wire connects programs of a test over TCP so that the test can break the connection. It
// knows nothing of what they send.
package wire

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// State is what a wire does with connections.
type State int

const (
	// Open passes everything on.
	Open State = iota
	// Cut ends connections immediately.
	Cut
	// Stalled accepts connections and passes nothing on.
	Stalled
)

// Wire leads from an address of one network namespace to a server elsewhere.
type Wire struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)

	mu    sync.Mutex
	state State
	delay time.Duration
	// changed is closed when the state changes.
	changed chan struct{}
	conns   map[net.Conn]bool
}

// New listens in a namespace, or on the machine itself if that is nil, until the context ends.
func New(ctx context.Context, n *netlab.Namespace, address string, dial func(context.Context) (net.Conn, error)) (*Wire, error) {
	w := &Wire{dial: dial, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	var err error
	if n == nil {
		w.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	} else {
		w.listener, err = n.Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		_ = w.listener.Close()
		w.Set(Cut, 0)
	})
	go func() {
		for {
			conn, err := w.listener.Accept()
			if err != nil {
				return
			}
			go w.carry(ctx, conn)
		}
	}()
	return w, nil
}

// Address is where the wire begins.
func (w *Wire) Address() string { return w.listener.Addr().String() }

// Set changes what the wire does, also with the connections that there are.
func (w *Wire) Set(s State, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.delay = s, delay
	close(w.changed)
	w.changed = make(chan struct{})
	if s == Cut {
		for conn := range w.conns {
			_ = conn.Close()
		}
	}
}

func (w *Wire) carry(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }()
	if !w.keep(near) {
		return
	}
	defer w.forget(near)
	if !w.pass(ctx) {
		return
	}
	far, err := w.dial(ctx)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !w.keep(far) {
		return
	}
	defer w.forget(far)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.copy(ctx, far, near)
	}()
	w.copy(ctx, near, far)
	<-done
}

// keep has a connection ended with the wire. It returns false if that is cut.
func (w *Wire) keep(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == Cut {
		return false
	}
	w.conns[conn] = true
	return true
}

func (w *Wire) forget(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, conn)
}

// pass waits as the wire's state demands. It returns false if the wire is cut.
func (w *Wire) pass(ctx context.Context) bool {
	for {
		w.mu.Lock()
		s, delay, changed := w.state, w.delay, w.changed
		w.mu.Unlock()
		switch s {
		case Open:
			if delay > 0 {
				time.Sleep(delay)
			}
			return true
		case Cut:
			return false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (w *Wire) copy(ctx context.Context, to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !w.pass(ctx) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// To connects to an address of the machine.
func To(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
}
