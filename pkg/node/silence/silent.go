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
	// askFor is for how long a far end is asked until it counts as silent, and askTimes
	// how often at least: a look may be late.
	askFor, askTimes = 1500 * time.Millisecond, 4
	// overdue is how old the last PING of a tunnel that is not in use may be until the far
	// end is asked: two intervals, and some more.
	overdue = 2*gue.DefaultInterval + 500*time.Millisecond
)

// Ends finds far ends that no longer answer. A gateway node can't see whether a
// client node is there until the next PING is overdue, so it asks: as soon as packets go into
// a tunnel and none come out, and where a PING is overdue. It costs no packet as long as
// answers come.
type Ends struct {
	quiet quietTunnels
	asked map[uint32]asking

	mu     sync.Mutex
	silent map[uint32]time.Time
}

// asking is a far end that was asked and has not answered yet.
type asking struct {
	since    time.Time
	times    int
	received uint32
}

// FarEnds are what a gateway node knows of the far ends of its tunnels.
type FarEnds interface {
	State(tunnel uint32) (gue.PeerState, bool)
	Each(see func(tunnel uint32, s gue.PeerState))
	// Solicit makes a packet that asks a far end.
	Solicit(tunnel uint32) (gue.Packet, bool)
}

// New returns what knows of no far end yet.
func New() *Ends {
	return &Ends{asked: map[uint32]asking{}, silent: map[uint32]time.Time{}}
}

// Has reports whether a tunnel's far end was asked, did not answer, and has not been heard since.
func (s *Ends) Has(tunnel uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.silent[tunnel]
	return ok
}

// look returns what is to be sent to far ends.
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
			// It does not answer such packets, so only its PINGs show that it is there.
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
