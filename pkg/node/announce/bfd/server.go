// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	// neighborPort and multihopPort are the receiving ports.
	neighborPort, multihopPort = 3784, 4784
	// firstPort and lastPort are the range of source ports.
	firstPort, lastPort = 49152, 65535
	// fullTTL is the time to live of packets that were not forwarded.
	fullTTL = 255
	// lingerWait is how long peers have to agree to a longer detection time.
	lingerWait = time.Second
)

// Peer is the far end of a session.
type Peer struct {
	Address netip.Addr
	// Hops is the maximum distance of the peer in hops; 1 for a neighbor.
	Hops uint8
	Config
}

// port returns the port on which the peer receives.
func (p Peer) port() uint16 {
	if p.Hops > 1 {
		return multihopPort
	}
	return neighborPort
}

// Options holds the functions that a server calls.
type Options struct {
	// Lost is called when a session that was up went down, unless administratively.
	Lost func(peer netip.Addr, why string)
	// Changed is called when the state of a session has changed.
	Changed func()
}

// Server has the sessions of this node.
type Server struct {
	options Options

	// apply serializes changes of sessions and sockets.
	apply   sync.Mutex
	sockets map[socketKey]*socket
	// saved holds sessions of an earlier program.
	saved map[netip.Addr]Saved

	// mu only guards the map: readers of sockets need it while a socket is being closed.
	mu       sync.Mutex
	sessions map[netip.Addr]*running
}

// NewServer returns a server without sessions.
func NewServer(o Options) *Server {
	return &Server{options: o, sessions: map[netip.Addr]*running{}, sockets: map[socketKey]*socket{}}
}

// Apply updates the sessions. A session whose peer changes is restarted.
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
			errs = append(errs, fmt.Errorf("receive BFD: %w: stop the program that uses UDP port %d, or remove bfd", err, key.port))
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

// Stop ends all sessions. If patience is set, it asks peers to accept that this program
// is down for a while, and returns the sessions with those that agreed. The others end
// administratively.
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

// linger ends the sessions with peers that agree to a longer detection time, and saves
// them.
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

// Resume makes Apply continue sessions with these peers where an earlier program left
// them.
func (s *Server) Resume(saved map[netip.Addr]Saved) {
	s.apply.Lock()
	defer s.apply.Unlock()
	s.saved = maps.Clone(saved)
}

// endAll ends the sessions with the selected peers administratively.
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

// receive passes a packet to its session.
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
	default: // drop packets of a peer that floods
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
