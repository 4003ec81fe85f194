// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"k8s.io/klog/v2"
)

const (
	// neighborPort and multihopPort are where packets arrive.
	neighborPort, multihopPort = 3784, 4784
	// firstPort and lastPort bound the ports from which packets are sent.
	firstPort, lastPort = 49152, 65535
	// fullTTL is the time to live of packets that were not forwarded.
	fullTTL = 255
	// farewells is how many packets report that a session ends by administration, because
	// some may be lost.
	farewells, farewellEvery = 3, 5 * time.Millisecond
	// lingerWait is how long peers have to agree to be patient.
	lingerWait = time.Second
)

// Peer is the other end of a session.
type Peer struct {
	Address netip.Addr
	// Hops is how many hops the peer may be away; 1 for a neighbor.
	Hops uint8
	Config
}

// port is where the peer receives.
func (p Peer) port() uint16 {
	if p.Hops > 1 {
		return multihopPort
	}
	return neighborPort
}

// Options have the functions that a server calls.
type Options struct {
	// Lost is called when a session that was up went down, unless by administration.
	Lost func(peer netip.Addr, why string)
	// Changed is called when the state of a session has changed.
	Changed func()
}

// Server has the sessions of this node.
type Server struct {
	options Options

	// apply has one at a time change sessions and sockets.
	apply   sync.Mutex
	sockets map[socketKey]*socket
	// saved are sessions of an earlier program.
	saved map[netip.Addr]Saved

	// mu guards the map alone: those that read sockets need it while a socket is closed.
	mu       sync.Mutex
	sessions map[netip.Addr]*running
}

// socketKey is a socket that receives.
type socketKey struct {
	four bool
	port uint16
}

// running is a session that runs.
type running struct {
	peer   Peer
	cancel context.CancelFunc
	in     chan Packet
	// kick has the session look at what is due.
	kick chan struct{}
	done chan struct{}

	mu      sync.Mutex
	session *Session
	conn    *net.UDPConn
}

// NewServer returns a server without sessions.
func NewServer(o Options) *Server {
	return &Server{options: o, sessions: map[netip.Addr]*running{}, sockets: map[socketKey]*socket{}}
}

// Apply makes the sessions equal to those that are wanted. One whose peer changes begins
// again.
func (s *Server) Apply(ctx context.Context, want []Peer) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	wanted, ports := map[netip.Addr]Peer{}, map[socketKey]bool{}
	for _, p := range want {
		wanted[p.Address] = p
		ports[socketKey{p.Address.Is4(), p.port()}] = true
	}
	s.endAll(func(p Peer) bool { return wanted[p.Address] != p })
	for key, socket := range s.sockets {
		if !ports[key] {
			socket.close()
			delete(s.sockets, key)
		}
	}
	var errs []error
	for key := range ports {
		if s.sockets[key] != nil {
			continue
		}
		socket, err := listen(ctx, key, s.receive)
		if err != nil {
			errs = append(errs, fmt.Errorf("receive BFD: %w: end another program that has UDP port %d, or leave bfd out", err, key.port))
			continue
		}
		s.sockets[key] = socket
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, p := range wanted {
		if s.sessions[address] == nil {
			s.sessions[address] = s.start(ctx, p)
		}
	}
	return errors.Join(errs...)
}

// Stop ends all sessions. If peers are to be patient, it asks them to go on without this
// program for a while, and returns the sessions with those that agreed. The others end by
// administration.
func (s *Server) Stop(patience time.Duration) map[netip.Addr]Saved {
	s.apply.Lock()
	defer s.apply.Unlock()
	saved := map[netip.Addr]Saved{}
	if patience > 0 {
		s.linger(patience, saved)
	}
	s.endAll(func(Peer) bool { return true })
	for key, socket := range s.sockets {
		socket.close()
		delete(s.sockets, key)
	}
	return saved
}

// linger ends the sessions with peers that agree to be patient, and saves them.
func (s *Server) linger(patience time.Duration, saved map[netip.Addr]Saved) {
	s.mu.Lock()
	asked := maps.Clone(s.sessions)
	s.mu.Unlock()
	for address, r := range asked {
		r.mu.Lock()
		up := r.session.Linger(patience, time.Now())
		r.mu.Unlock()
		if !up {
			delete(asked, address)
			continue
		}
		r.wake()
	}
	for deadline := time.Now().Add(lingerWait); len(asked) > 0 && time.Now().Before(deadline); time.Sleep(lingerPoll / 2) {
		for address, r := range asked {
			r.mu.Lock()
			state, agreed := r.session.Lingers(time.Now())
			r.mu.Unlock()
			if !agreed {
				continue
			}
			saved[address] = state
			delete(asked, address)
			s.mu.Lock()
			delete(s.sessions, address)
			s.mu.Unlock()
			r.cancel()
			<-r.done
			r.redial()
		}
	}
}

// Resume has sessions with these peers go on where an earlier program left them, when Apply
// makes them.
func (s *Server) Resume(saved map[netip.Addr]Saved) {
	s.apply.Lock()
	defer s.apply.Unlock()
	s.saved = maps.Clone(saved)
}

// endAll ends the sessions with some peers by administration.
func (s *Server) endAll(which func(Peer) bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, r := range s.sessions {
		if which(r.peer) {
			delete(s.sessions, address)
			wg.Go(r.end)
		}
	}
}

// States returns the states of the sessions.
func (s *Server) States() map[netip.Addr]State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[netip.Addr]State{}
	for address, r := range s.sessions {
		r.mu.Lock()
		out[address] = r.session.State()
		r.mu.Unlock()
	}
	return out
}

// receive gives a packet to its session.
func (s *Server) receive(from netip.Addr, port uint16, ttl int, b []byte) {
	s.mu.Lock()
	r := s.sessions[from]
	s.mu.Unlock()
	if r == nil || r.peer.port() != port || ttl < fullTTL-int(r.peer.Hops)+1 {
		return
	}
	p, err := Parse(b)
	if err != nil {
		return
	}
	select {
	case r.in <- p:
	default: // one that floods is not heard of sooner
	}
}

func (s *Server) start(ctx context.Context, p Peer) *running {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	const queue = 16
	r := &running{peer: p, cancel: cancel, in: make(chan Packet, queue), kick: make(chan struct{}, 1), done: make(chan struct{})}
	now := time.Now()
	if saved, has := s.saved[p.Address]; has && now.Before(saved.Until) && saved.Mine != 0 && saved.Multiplier != 0 {
		r.session = Resume(p.Config, saved, rand.Float64, now)
	} else {
		r.session = NewSession(p.Config, 1+rand.Uint32N(1<<32-1), rand.Float64, now) //nolint:gosec // it only has to be unique
	}
	delete(s.saved, p.Address)
	go func() {
		defer close(r.done)
		r.run(run, s.options)
	}()
	return r
}

// run carries a session out until the context ends.
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

// step does something with the session and reports a change of its state.
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
		logger.Info("The peer ended the BFD session by administration")
	case before == Up:
		reason := "the peer says that it does not receive"
		if why == DetectionExpired {
			reason = "nothing comes from the peer"
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
			return // no route to the peer, so far
		}
	}
	if _, err := r.conn.Write(p.Append(nil)); err != nil && !isRefused(err) {
		_ = r.conn.Close()
		r.conn = nil
	}
}

// wake has the session look at what is due.
func (r *running) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// redial has the next packet leave from a new socket: this node's address or its way to
// the peer may have changed.
func (r *running) redial() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
}

// end ends a session by administration, and lets the peer know.
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

// socket receives packets of one family and port.
type socket struct {
	conn net.PacketConn
	done chan struct{}
}

func (s *socket) close() {
	_ = s.conn.Close()
	<-s.done
}

// listen opens a socket and gives what arrives to take.
func listen(ctx context.Context, key socketKey, take func(from netip.Addr, port uint16, ttl int, b []byte)) (*socket, error) {
	network := "udp6"
	if key.four {
		network = "udp4"
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, network, fmt.Sprintf(":%d", key.port))
	if err != nil {
		return nil, err
	}
	read, err := reader(conn, key.four)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s := &socket{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buffer := make([]byte, 2*packetSize)
		for {
			n, ttl, from, err := read(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			udp, ok := from.(*net.UDPAddr)
			if err != nil || !ok {
				continue
			}
			take(udp.AddrPort().Addr().Unmap().WithZone(""), key.port, ttl, buffer[:n])
		}
	}()
	return s, nil
}

// reader returns what reads a packet with its time to live.
func reader(conn net.PacketConn, four bool) (func([]byte) (n, ttl int, from net.Addr, err error), error) {
	if four {
		p := ipv4.NewPacketConn(conn)
		return func(b []byte) (int, int, net.Addr, error) {
			n, control, from, err := p.ReadFrom(b)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.TTL, from, err
		}, p.SetControlMessage(ipv4.FlagTTL, true)
	}
	p := ipv6.NewPacketConn(conn)
	return func(b []byte) (int, int, net.Addr, error) {
		n, control, from, err := p.ReadFrom(b)
		if control == nil {
			return n, 0, from, err
		}
		return n, control.HopLimit, from, err
	}, p.SetControlMessage(ipv6.FlagHopLimit, true)
}
