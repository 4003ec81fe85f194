// SPDX-License-Identifier: Apache-2.0

package silence

import (
	"context"
	"sync"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
)

const (
	// askFor is how long a far end is asked until it counts as silent, and askTimes the
	// minimum number of times: a look may be late.
	askFor, askTimes = 1500 * time.Millisecond, 4
	// overdue is the maximum age of the last PING of an idle tunnel before the far end is
	// asked: two intervals, and some more.
	overdue = 2*gue.DefaultInterval + 500*time.Millisecond
)

// Ends detects far ends that no longer respond. A gateway node does not know whether a
// client node is up until the next PING is overdue, so it asks: as soon as packets are
// sent into a tunnel and none are received, and if a PING is overdue. It sends no packets
// while responses are received.
type Ends struct {
	quiet quietTunnels
	asked map[uint32]asking

	mu     sync.Mutex
	silent map[uint32]time.Time
}

// asking is a far end that was asked and has not responded yet.
type asking struct {
	since    time.Time
	times    int
	received uint32
}

// FarEnds provides the gateway node's state of the far ends of its tunnels.
type FarEnds interface {
	State(tunnel uint32) (gue.PeerState, bool)
	Each(see func(tunnel uint32, s gue.PeerState))
	// Solicit returns a packet that asks a far end for a PING.
	Solicit(tunnel uint32) (gue.Packet, bool)
}

// New returns an Ends without state.
func New() *Ends {
	return &Ends{asked: map[uint32]asking{}, silent: map[uint32]time.Time{}}
}

// Has reports whether a tunnel's far end was asked, did not respond, and has not been
// heard since.
func (s *Ends) Has(tunnel uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.silent[tunnel]
	return ok
}

// look returns the packets to send to far ends.
func (s *Ends) look(now time.Time, read func(see func(uint32, dataplane.Counters)) error, ends FarEnds) ([]gue.Packet, error) {
	quiet, err := s.quiet.look(now, read, func(id uint32) time.Time {
		state, _ := ends.State(id)
		return state.Seen
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, since := range s.silent {
		if state, ok := ends.State(id); !ok || state.Seen.After(since) {
			delete(s.silent, id)
		}
	}
	ends.Each(func(id uint32, state gue.PeerState) {
		if !state.Seen.IsZero() && now.Sub(state.Seen) >= overdue {
			quiet = append(quiet, id)
		}
	})
	for _, id := range quiet {
		if _, ok := s.silent[id]; ok {
			continue
		}
		if _, ok := s.asked[id]; !ok {
			s.asked[id] = asking{since: now, received: s.quiet.tunnels[id].received}
		}
	}
	var out []gue.Packet
	for id, a := range s.asked {
		state, ok := ends.State(id)
		if !ok || state.Seen.After(a.since) || s.quiet.tunnels[id].received != a.received {
			delete(s.asked, id)
			continue
		}
		if now.Sub(a.since) >= askFor && a.times >= askTimes {
			s.silent[id] = now
			delete(s.asked, id)
			continue
		}
		packet, ok := ends.Solicit(id)
		if !ok {
			// It does not support such packets, so only its PINGs show that it is up.
			delete(s.asked, id)
			continue
		}
		a.times++
		s.asked[id] = a
		out = append(out, packet)
	}
	return out, err
}

// Run asks far ends until the context ends.
func (s *Ends) Run(ctx context.Context, tunnels dataplane.Tunnels, ends FarEnds, send func([]gue.Packet)) {
	watchQuiet(ctx, func(now time.Time) error {
		packets, err := s.look(now, tunnels.EachCounters, ends)
		send(packets)
		return err
	})
}
