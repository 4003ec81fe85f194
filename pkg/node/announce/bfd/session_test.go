// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"math/rand/v2"
	"testing"
	"time"
)

// link carries packets between two sessions in a time of its own.
type link struct {
	t      *testing.T
	now    time.Time
	random *rand.Rand
	ends   [2]*Session
	// lose is the share of packets that are lost, by the sender's number.
	lose    [2]float64
	flying  []flight
	downs   [2]int
	longest [2]time.Duration
	heard   [2]time.Time
	last    [2]time.Time
}

type flight struct {
	to int
	at time.Time
	b  []byte
}

func newLink(t *testing.T, seed uint64, a, b Config) *link {
	l := &link{t: t, now: time.Unix(1000, 0), random: rand.New(rand.NewPCG(seed, 1))}
	l.ends[0] = NewSession(a, 11, l.random.Float64, l.now)
	l.ends[1] = NewSession(b, 22, l.random.Float64, l.now)
	return l
}

func (l *link) send(from int, p *Packet) {
	if p == nil || l.random.Float64() < l.lose[from] {
		return
	}
	at := l.now.Add(time.Duration(l.random.IntN(5)) * time.Millisecond)
	if at.Before(l.last[from]) {
		at = l.last[from] // none overtakes another
	}
	l.last[from] = at
	l.flying = append(l.flying, flight{1 - from, at, p.Append(nil)})
}

// run lets time pass.
func (l *link) run(d time.Duration) {
	end := l.now.Add(d)
	for {
		next := end
		for _, s := range l.ends {
			if at := s.Next(); at.Before(next) {
				next = at
			}
		}
		for _, f := range l.flying {
			if f.at.Before(next) {
				next = f.at
			}
		}
		if next.After(l.now) {
			l.now = next
		}
		if !l.now.Before(end) {
			return
		}
		flying := l.flying
		l.flying = nil
		for _, f := range flying {
			if f.at.After(l.now) {
				l.flying = append(l.flying, f)
				continue
			}
			p, err := Parse(f.b)
			if err != nil {
				l.t.Fatalf("a packet that was sent: %v", err)
			}
			if l.ends[f.to].State() == Up && !l.heard[f.to].IsZero() {
				l.longest[f.to] = max(l.longest[f.to], l.now.Sub(l.heard[f.to]))
			}
			l.heard[f.to] = l.now
			l.step(f.to, func(s *Session) { l.send(f.to, s.Receive(p, l.now)) })
		}
		for i := range l.ends {
			l.step(i, func(s *Session) { l.send(i, s.Tick(l.now)) })
		}
	}
}

func (l *link) step(i int, do func(*Session)) {
	before := l.ends[i].State()
	do(l.ends[i])
	if before == Up && l.ends[i].State() == Down {
		l.downs[i]++
	}
}

func (l *link) up() bool { return l.ends[0].State() == Up && l.ends[1].State() == Up }

var fast = Config{Transmit: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Multiplier: 3}

func TestSession(t *testing.T) {
	for seed := range uint64(50) {
		l := newLink(t, seed, fast, Config{Transmit: 50 * time.Millisecond, Receive: 200 * time.Millisecond, Multiplier: 5})
		l.run(3 * time.Second)
		if !l.up() {
			t.Fatalf("seed %d: %s, %s", seed, l.ends[0].State(), l.ends[1].State())
		}
		l.run(time.Minute)
		if l.downs != [2]int{} {
			t.Fatalf("seed %d: it went down %v times on a link that loses nothing", seed, l.downs)
		}
		// The slower of what one wants to send and the other to receive, and a little delay.
		if l.longest[0] > 205*time.Millisecond || l.longest[1] > 205*time.Millisecond {
			t.Errorf("seed %d: silence of %v", seed, l.longest)
		}
		// The link is cut. Each notices within its detection time: how many of the other's
		// packets, times the agreed interval.
		l.lose = [2]float64{1, 1}
		cut := l.now
		for l.ends[0].State() == Up || l.ends[1].State() == Up {
			l.run(time.Millisecond)
			if l.now.Sub(cut) > 1100*time.Millisecond {
				t.Fatalf("seed %d: nobody notices a cut", seed)
			}
			if l.ends[1].State() == Up && l.now.Sub(cut) > 610*time.Millisecond {
				t.Fatalf("seed %d: the second notices late", seed)
			}
		}
		if l.ends[0].Diagnostic() != DetectionExpired {
			t.Errorf("seed %d: diagnostic %d", seed, l.ends[0].Diagnostic())
		}
		l.lose = [2]float64{}
		l.run(4 * time.Second)
		if !l.up() {
			t.Fatalf("seed %d: it does not come back", seed)
		}
	}
}

// One direction is lost: the end that is still heard goes down too.
func TestSessionOneWay(t *testing.T) {
	l := newLink(t, 1, fast, fast)
	l.run(3 * time.Second)
	l.lose[0] = 1
	l.run(400 * time.Millisecond)
	if l.ends[0].State() == Up || l.ends[1].State() == Up {
		t.Errorf("%s, %s", l.ends[0].State(), l.ends[1].State())
	}
	if l.ends[0].Diagnostic() != NeighborDown {
		t.Errorf("diagnostic %d", l.ends[0].Diagnostic())
	}
}

// Whatever is lost for a while, sessions come up afterwards and stay.
func TestSessionLoss(t *testing.T) {
	for seed := range uint64(100) {
		l := newLink(t, seed, fast, fast)
		for range 20 {
			l.lose = [2]float64{l.random.Float64(), l.random.Float64()}
			l.run(time.Duration(l.random.IntN(2000)) * time.Millisecond)
		}
		l.lose = [2]float64{}
		l.run(5 * time.Second)
		l.downs = [2]int{}
		l.run(5 * time.Second)
		if !l.up() || l.downs != [2]int{} {
			t.Fatalf("seed %d: %s, %s, down %v times", seed, l.ends[0].State(), l.ends[1].State(), l.downs)
		}
	}
}

func TestSessionClose(t *testing.T) {
	l := newLink(t, 1, fast, fast)
	l.run(3 * time.Second)
	last := l.ends[0].Close()
	l.ends[1].Receive(last, l.now)
	if s := l.ends[1]; s.State() != Down || s.Diagnostic() != NeighborDown || !s.remoteAdminDown {
		t.Errorf("%s, %d, %v", s.State(), s.Diagnostic(), s.remoteAdminDown)
	}
	// A new session of the same peer comes up.
	l.ends[0] = NewSession(fast, 33, l.random.Float64, l.now)
	l.run(3 * time.Second)
	if !l.up() || l.ends[1].remoteAdminDown {
		t.Errorf("%s, %s", l.ends[0].State(), l.ends[1].State())
	}
}

// A packet for another session changes nothing, and a session that is not up is slow.
func TestSessionStrangers(t *testing.T) {
	l := newLink(t, 1, fast, fast)
	l.run(3 * time.Second)
	l.ends[0].Receive(Packet{State: Down, Multiplier: 3, Mine: 9, Yours: 12}, l.now)
	if l.ends[0].State() != Up {
		t.Error("a packet for another session ended it")
	}
	s := NewSession(fast, 5, func() float64 { return 0 }, l.now)
	s.Tick(l.now)
	if wait := s.Next().Sub(l.now); wait < 750*time.Millisecond {
		t.Errorf("a session that is down sends after %s", wait)
	}
	// One that wants nothing gets nothing.
	s.Receive(Packet{State: Down, Multiplier: 3, Mine: 9, Transmit: time.Second}, l.now)
	if p := s.Tick(l.now.Add(time.Hour)); p != nil && s.State() == Up {
		t.Errorf("it sends %+v", p)
	}
}

// A program that ends and one that begins later are one session to the far end.
func TestSessionLinger(t *testing.T) {
	for seed := range uint64(50) {
		l := newLink(t, seed, fast, fast)
		l.run(3 * time.Second)
		l.lose = [2]float64{0.05, 0.05}
		if !l.ends[0].Linger(time.Minute, l.now) {
			t.Fatal("the session is not up")
		}
		var saved Saved
		for agreed := false; !agreed; {
			l.run(time.Millisecond)
			if l.ends[1].State() != Up {
				t.Fatalf("seed %d: it went down while it was asked", seed)
			}
			saved, agreed = l.ends[0].Lingers(l.now)
		}
		// Nobody is there, for less than was agreed.
		l.lose = [2]float64{1, 1}
		l.run(55 * time.Second)
		if l.ends[1].State() != Up || l.now.After(saved.Until) {
			t.Fatalf("seed %d: the other was not patient", seed)
		}
		l.lose, l.downs = [2]float64{}, [2]int{}
		l.ends[0] = Resume(fast, saved, l.random.Float64, l.now)
		l.run(10 * time.Second)
		if !l.up() || l.downs != [2]int{} {
			t.Fatalf("seed %d: %s, %s, down %v times", seed, l.ends[0].State(), l.ends[1].State(), l.downs)
		}
		// From then on it is as fast as before.
		l.lose = [2]float64{1, 1}
		l.run(400 * time.Millisecond)
		if l.ends[1].State() != Down {
			t.Fatalf("seed %d: nobody notices a cut after a restart", seed)
		}
	}
	s := NewSession(fast, 5, func() float64 { return 0 }, time.Now())
	if s.Linger(time.Minute, time.Now()) {
		t.Error("a session that is down lingers")
	}
}
