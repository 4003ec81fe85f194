// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"net"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// farewells is the number of packets that report the administrative end of a session,
// because some may be lost.
const farewells, farewellEvery = 3, 5 * time.Millisecond

// running is a running session.
type running struct {
	peer   Peer
	cancel context.CancelFunc
	in     chan Packet
	// kick makes the session process due work.
	kick chan struct{}
	done chan struct{}

	mu      sync.Mutex
	session *Session
	conn    *net.UDPConn
}

// run runs a session until the context ends.
func (r *running) run(ctx context.Context, o Options) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var answer *Packet
		select {
		case <-ctx.Done():
			return
		case p := <-r.in:
			r.step(ctx, o, func(s *Session) { answer = s.Receive(p, time.Now()) })
			r.send(answer)
		case <-r.kick:
		case <-timer.C:
		}
		var packet *Packet
		r.step(ctx, o, func(s *Session) { packet = s.Tick(time.Now()) })
		r.send(packet)
		r.mu.Lock()
		next := r.session.Next()
		r.mu.Unlock()
		timer.Reset(time.Until(next))
	}
}

// step performs an operation on the session and reports a change of its state.
func (r *running) step(ctx context.Context, o Options, do func(*Session)) {
	r.mu.Lock()
	before := r.session.State()
	do(r.session)
	after, why, adminDown := r.session.State(), r.session.Diagnostic(), r.session.remoteAdminDown
	r.mu.Unlock()
	if before == after {
		return
	}
	logger := klog.FromContext(ctx).WithValues("peer", r.peer.Address.String())
	if after == Down {
		r.redial()
	}
	switch {
	case after == Up:
		logger.Info("The BFD session is up")
	case before == Up && adminDown:
		logger.Info("The peer shut down the BFD session administratively")
	case before == Up:
		reason := "the peer reports that it does not receive packets"
		if why == DetectionExpired {
			reason = "no packets arrive from the peer"
		}
		logger.Info("The BFD session is down", "reason", reason)
		o.Lost(r.peer.Address, "BFD: "+reason)
	}
	o.Changed()
}

// send sends a packet, if there is one.
func (r *running) send(p *Packet) {
	if p == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		var err error
		if r.conn, err = dial(r.peer); err != nil {
			return // no route to the peer yet
		}
	}
	if _, err := r.conn.Write(p.Append(nil)); err != nil && !isRefused(err) {
		_ = r.conn.Close()
		r.conn = nil
	}
}

// wake makes the session process due work.
func (r *running) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// redial makes the next packet use a new socket: this node's address or its path to the
// peer may have changed.
func (r *running) redial() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
}

// end ends a session administratively, and informs the peer.
func (r *running) end() {
	r.cancel()
	<-r.done
	r.mu.Lock()
	last := r.session.Close()
	r.mu.Unlock()
	for i := range farewells {
		if i > 0 {
			time.Sleep(farewellEvery)
		}
		r.send(&last)
	}
	r.redial()
}
