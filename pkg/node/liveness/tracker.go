// SPDX-License-Identifier: Apache-2.0

package liveness

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/tunnelstate"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

const (
	// longest is the maximum time that a far end may not be heard, and the time for one
	// that has not been heard yet since the program started.
	longest = 45 * time.Second
	// spare is added to one and a half times the far end's interval. In that time, a
	// client node repeats an unanswered PING several times.
	spare = 3 * time.Second
	// window is how long PINGs are observed to learn their interval. PINGs that open a
	// tunnel or repeat others are more frequent, so only the longest time between two
	// PINGs in a window is the interval.
	window = 2 * longest
	// confirm is how long data packets must also be missing, once PINGs are overdue.
	confirm = 2 * time.Second
	// firstHold is how long a tunnel that comes back for the second time has to stay up.
	// It doubles each time, up to lastHold. It is reset after a tunnel has been up for
	// calm.
	firstHold, lastHold = 2 * time.Second, time.Minute
	calm                = 5 * time.Minute
)

// World is the state that a Tracker observes.
type World struct {
	// Tunnels calls see with each tunnel that ends on this node, and the client node
	// at its far end.
	Tunnels func(see func(tunnel uint32, farEnd netip.Addr))
	// Peers calls see with the control protocol's state of each open tunnel.
	Peers func(see func(tunnel uint32, s gue.PeerState))
	// Received returns the number of data packets received from each tunnel.
	Received func() (map[uint32]uint64, error)
	// Silent reports whether a far end was asked for a PING and did not respond. May be
	// nil.
	Silent func(tunnel uint32) bool
}

// Down is a tunnel that is down.
type Down struct {
	Tunnel uint32
	FarEnd netip.Addr
	// Heard is when the far end was last heard; zero if it was not since the program
	// started.
	Heard time.Time
}

// Report is the state of all tunnels. The state of tunnels that are neither up nor down
// is not known yet.
type Report struct {
	Tunnels  int
	Up, Down idset.Set
	// First are the first tunnels that are down, by ID.
	First []Down
}

// Tracker tracks the state of a gateway node's tunnels. Its methods may be called
// concurrently, but not by the functions of a World.
type Tracker struct {
	mu      sync.Mutex
	base    time.Time
	tunnels map[uint32]*tunnel
	// before is the report before this program started.
	before  Report
	started bool
	round   uint32
	version uint64
}

// moment is a time in nanoseconds relative to a Tracker's base, or 0 for none. There is a
// tunnel for each of thousands of client nodes, and a time.Time takes three times as much
// memory.
type moment int64

// earlier is how long the base is before the first look.
const earlier = 24 * time.Hour

// moment converts a time. It uses the monotonic clock if the time has it, so no tunnel
// goes down because the clock is set.
func (t *Tracker) moment(at time.Time) moment {
	if at.IsZero() {
		return 0
	}
	return max(1, moment(at.Sub(t.base)))
}

func (t *Tracker) time(m moment) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return t.base.Add(time.Duration(m))
}

func (m moment) after(o moment) time.Duration { return time.Duration(m - o) }

// span is a time between two moments, in milliseconds.
type span uint32

func spanOf(d time.Duration) span {
	return span(min(d.Milliseconds(), math.MaxUint32))
}

func (s span) duration() time.Duration { return time.Duration(s) * time.Millisecond }

// tunnel is compact, because a node may have a hundred thousand.
type tunnel struct {
	// farEnd is shared by all tunnels to it.
	farEnd unique.Handle[netip.Addr]
	// since is when the tunnel was first seen, pinged when its last PING was received,
	// and heard when data packets were last received while PINGs were overdue.
	since, pinged, heard moment
	// began is when the window began in which the interval is learned.
	began moment
	// overdue is since when neither PINGs nor data packets have been received.
	overdue moment
	// changed is when the state changed, and back since when the far end has been heard
	// again.
	changed, back moment
	// slowest is the longest time between two PINGs since began, and pace that in the
	// previous window; 0 if it is not known yet.
	slowest, pace span
	// outage is the last time between two PINGs during which the tunnel went down.
	outage span
	// received is the count of data packets when they were overdue: its lower bits, which
	// suffice to detect changes.
	received uint32
	// round is the number of the last look that included the tunnel.
	round uint32
	state tunnelstate.State
	// verified indicates that the far end's address is known.
	verified bool
	// flaps is how often the tunnel went down since it was last calm.
	flaps uint8
}

// New returns a Tracker without tunnels.
func New() *Tracker { return &Tracker{tunnels: map[uint32]*tunnel{}} }

// Resume sets the report of an earlier program. Call it before the first Look.
func (t *Tracker) Resume(up, down idset.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.started {
		t.before = Report{Tunnels: up.Len() + down.Len(), Up: up, Down: down}
	}
}

// Look updates the states. It returns a number that changes whenever a report would.
func (t *Tracker) Look(at time.Time, w World) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.base.IsZero() {
		t.base = at.Add(-earlier)
	}
	now := t.moment(at)
	t.round++
	w.Tunnels(func(id uint32, farEnd netip.Addr) {
		is := t.tunnels[id]
		if is == nil {
			is = &tunnel{since: now, changed: now}
			if t.before.Up.Has(id) {
				is.state = tunnelstate.Up
			} else if t.before.Down.Has(id) {
				is.state = tunnelstate.Down
			}
			t.tunnels[id] = is
			t.version++
		}
		if is.farEnd == (unique.Handle[netip.Addr]{}) || is.farEnd.Value() != farEnd {
			is.farEnd = unique.Make(farEnd)
		}
		is.round, is.verified = t.round, false
	})
	w.Peers(func(id uint32, s gue.PeerState) {
		if is := t.tunnels[id]; is != nil {
			is.verified = s.Remote.IsValid()
			is.hear(t.moment(s.Seen))
		}
	})
	var received map[uint32]uint64
	for id, is := range t.tunnels {
		if is.round != t.round {
			delete(t.tunnels, id)
			t.version++
			continue
		}
		if is.state != tunnelstate.Down && is.verified && is.late(now) && received == nil {
			// Reading many counters takes long. Without them, only PINGs decide.
			received, _ = w.Received()
			if received == nil {
				received = map[uint32]uint64{}
			}
		}
		silent := w.Silent != nil && w.Silent(id)
		if next := is.next(now, uint32(received[id]), silent); next != is.state {
			is.become(next, now)
			t.version++
		}
		if is.state == tunnelstate.Up && now.after(is.changed) > calm {
			is.flaps = 0
		}
	}
	t.before, t.started = Report{}, true
	return t.version
}

// hear records when the last PING was received.
func (is *tunnel) hear(seen moment) {
	if seen <= is.pinged {
		return
	}
	if is.pinged == 0 {
		is.began = seen
	} else if gap := seen.after(is.pinged); is.state != tunnelstate.Down {
		is.slowest, is.outage = max(is.slowest, spanOf(gap)), 0
	} else {
		// The far end was away. If it is away for the same time each time, that is its
		// interval.
		if gap <= longest && (gap-is.outage.duration()).Abs() <= gap/4 {
			is.slowest = max(is.slowest, spanOf(gap))
		}
		is.outage = spanOf(gap)
	}
	if seen.after(is.began) > window {
		is.pace, is.slowest, is.began = is.slowest, 0, seen
	}
	is.pinged = seen
}

// patience returns how long the far end may not be heard.
func (is *tunnel) patience() time.Duration {
	if is.pace == 0 {
		return longest
	}
	pace := max(is.pace, is.slowest).duration()
	return min(pace+pace/2+spare, longest)
}

// last returns when the far end was last heard, or when it could first have been.
func (is *tunnel) last() moment {
	if last := max(is.pinged, is.heard); last != 0 {
		return last
	}
	return is.since
}

func (is *tunnel) late(now moment) bool { return now.after(is.last()) > is.patience() }

// next returns the new state.
func (is *tunnel) next(now moment, received uint32, silent bool) tunnelstate.State {
	switch {
	case !is.verified:
		// No packet passes yet.
		is.back = 0
		return tunnelstate.Down
	case silent:
		// Packets that arrive nevertheless do not count, unlike while PINGs are overdue.
		is.overdue, is.back = 0, 0
		return tunnelstate.Down
	case is.pinged == 0 && is.heard == 0 && (is.state == tunnelstate.Down || !is.late(now)):
		// This program has not heard it yet.
		return is.state
	case !is.late(now):
		is.overdue = 0
		return is.up(now)
	case is.state == tunnelstate.Down:
		is.back = 0
		return tunnelstate.Down
	case is.overdue == 0:
		is.overdue, is.received = now, received
		return is.state
	case received != is.received:
		is.heard, is.overdue = now, 0
		return is.up(now)
	case now.after(is.overdue) >= confirm:
		is.overdue = 0
		return tunnelstate.Down
	}
	return is.state
}

// up returns the state of a tunnel whose far end is heard.
func (is *tunnel) up(now moment) tunnelstate.State {
	if is.state == tunnelstate.Up {
		return tunnelstate.Up
	}
	if is.back == 0 {
		is.back = now
	}
	if is.flaps > 1 && now.after(is.back) < min(firstHold<<(is.flaps-2), lastHold) {
		return is.state
	}
	return tunnelstate.Up
}

func (is *tunnel) become(next tunnelstate.State, now moment) {
	if is.state == tunnelstate.Up && next == tunnelstate.Down {
		is.flaps = min(is.flaps+1, 16)
	}
	is.state, is.changed, is.back = next, now, 0
}

// State returns the state of a tunnel.
func (t *Tracker) State(id uint32) tunnelstate.State {
	t.mu.Lock()
	defer t.mu.Unlock()
	if is := t.tunnels[id]; is != nil {
		return is.state
	}
	return tunnelstate.Unknown
}

// Report returns the states, with at most first of the tunnels that are down. Until the
// first look, it returns the report of an earlier program.
func (t *Tracker) Report(first int) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.started {
		return t.before
	}
	var up, down []uint32
	for id, is := range t.tunnels {
		switch is.state {
		case tunnelstate.Up:
			up = append(up, id)
		case tunnelstate.Down:
			down = append(down, id)
		case tunnelstate.Unknown:
		}
	}
	slices.Sort(up)
	slices.Sort(down)
	r := Report{Tunnels: len(t.tunnels), Up: idset.Of(up...), Down: idset.Of(down...)}
	for _, id := range down[:min(first, len(down))] {
		is := t.tunnels[id]
		r.First = append(r.First, Down{Tunnel: id, FarEnd: is.farEnd.Value(), Heard: t.time(max(is.pinged, is.heard))})
	}
	return r
}
