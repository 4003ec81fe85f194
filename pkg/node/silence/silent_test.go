// SPDX-License-Identifier: Apache-2.0

package silence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
)

// oneFarEnd is the far end of tunnel 7, with a data plane and a clock.
type oneFarEnd struct {
	t        *testing.T
	silent   *Ends
	now      time.Time
	counters dataplane.Counters
	seen     time.Time
	gone     bool
	// answers states that it knows what is asked, alive that it is there, pings that it sends
	// PINGs by itself; next is when.
	answers, alive, pings bool
	next                  time.Time
	// sends and returns are packets that go into the tunnel and come out of it each look.
	sends, returns bool
	asked          int
	// reading indicates that the data plane is locked. Whoever knows far ends locks first
	// itself and then the data plane, so it must not be asked then.
	reading bool
}

func newOneFarEnd(t *testing.T) *oneFarEnd {
	f := &oneFarEnd{t: t, silent: New(), now: time.Now(), answers: true, alive: true, pings: true}
	f.seen, f.next = f.now, f.now.Add(gue.DefaultInterval)
	return f
}

func (f *oneFarEnd) State(id uint32) (gue.PeerState, bool) {
	if f.reading {
		f.t.Fatal("the far end is asked for while the data plane is locked, which is a deadlock")
	}
	if id != 7 || f.gone {
		return gue.PeerState{}, false
	}
	return gue.PeerState{Remote: netip.MustParseAddrPort("192.0.2.1:6080"), Seen: f.seen}, true
}

func (f *oneFarEnd) Each(see func(uint32, gue.PeerState)) {
	if s, ok := f.State(7); ok {
		see(7, s)
	}
}

func (f *oneFarEnd) Solicit(uint32) (gue.Packet, bool) { return gue.Packet{}, f.answers }

// pass lets time pass, and returns after how long the far end counts as silent, -1 if it
// does not.
func (f *oneFarEnd) pass(d time.Duration) time.Duration {
	f.t.Helper()
	silent := time.Duration(-1)
	for begin := f.now; f.now.Sub(begin) < d; {
		f.now = f.now.Add(quietEvery)
		if f.sends {
			f.counters.SentPackets++
		}
		if f.returns && f.alive {
			f.counters.ReceivedPackets++
		}
		if f.alive && f.pings && !f.now.Before(f.next) {
			f.seen, f.next = f.now, f.now.Add(gue.DefaultInterval)
		}
		packets, err := f.silent.look(f.now, func(see func(uint32, dataplane.Counters)) error {
			f.reading = true
			defer func() { f.reading = false }()
			if !f.gone {
				see(7, f.counters)
			}
			return nil
		}, f)
		if err != nil {
			f.t.Fatal(err)
		}
		f.asked += len(packets)
		if len(packets) > 0 && f.alive {
			f.seen = f.now.Add(time.Millisecond)
		}
		if f.silent.Has(7) && silent < 0 {
			silent = f.now.Sub(begin)
		}
	}
	return silent
}

func TestSilentEnds(t *testing.T) {
	const used = quietFor + askFor + 3*quietEvery
	for name, test := range map[string]struct {
		set func(f *oneFarEnd)
		// within is how soon it counts as silent, 0 if it does not.
		within time.Duration
		// asked is how often it is asked in a minute at most.
		asked int
	}{
		"in use":                      {func(f *oneFarEnd) { f.sends, f.returns = true, true }, 0, 0},
		"not in use":                  {func(*oneFarEnd) {}, 0, 0},
		"it is gone, in use":          {func(f *oneFarEnd) { f.sends, f.alive = true, false }, used, 8},
		"it is gone, not in use":      {func(f *oneFarEnd) { f.alive = false }, overdue + askFor + 3*quietEvery, 8},
		"it takes in and returns not": {func(f *oneFarEnd) { f.sends = true }, 0, 60},
		"it sends PINGs seldom":       {func(f *oneFarEnd) { f.pings = false }, 0, 6},
		"its program restarts":        {func(f *oneFarEnd) { f.sends, f.returns, f.pings, f.answers = true, true, false, true }, 0, 6},
		"it can not be asked":         {func(f *oneFarEnd) { f.sends, f.alive, f.answers = true, false, false }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOneFarEnd(t)
			f.sends, f.returns = true, true
			if f.pass(10*time.Second) >= 0 || f.asked != 0 {
				t.Fatalf("silent, or asked %d times, while all is well", f.asked)
			}
			f.sends, f.returns = false, false
			if f.pass(4*time.Second) >= 0 {
				t.Fatal("silent as soon as it is not in use")
			}
			f.asked = 0
			test.set(f)
			got := f.pass(time.Minute)
			if test.within == 0 && got >= 0 || test.within > 0 && (got < 0 || got > test.within) {
				t.Errorf("silent after %s, want %s", got, test.within)
			}
			if f.asked > test.asked {
				t.Errorf("asked %d times in a minute, want at most %d", f.asked, test.asked)
			}
			// What it sends by itself counts.
			f.alive, f.pings, f.next = true, true, f.now
			f.pass(2 * quietEvery)
			if f.silent.Has(7) {
				t.Error("it is back and counts as silent")
			}
			f.gone = true
			f.pass(quietEvery)
			if len(f.silent.asked)+len(f.silent.silent)+len(f.silent.quiet.tunnels) != 0 {
				t.Error("a tunnel that is gone is remembered")
			}
		})
	}
}
