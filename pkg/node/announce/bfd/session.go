// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// slow is the least interval between packets of a session that is not up.
const slow = time.Second

// lingerPoll is how often a session that ends asks the other to be patient.
const lingerPoll = 10 * time.Millisecond

// Config is what a session wants.
type Config struct {
	// Transmit and Receive are the least intervals between packets of the two directions.
	Transmit, Receive time.Duration
	// Multiplier is how many of our packets have to be missing for the other to notice.
	Multiplier uint8
}

// Session is the state machine of one session. It is told what comes in and what time it
// is, and returns what to send.
type Session struct {
	config Config
	mine   uint32
	// random returns a number from 0 to 1.
	random func() float64

	state      State
	diagnostic Diagnostic
	// yours, remoteTransmit, remoteReceive and remoteMultiplier are the other's.
	yours                         uint32
	remoteTransmit, remoteReceive time.Duration
	remoteMultiplier              uint8
	// remoteAdminDown is set if the other ended the session by administration.
	remoteAdminDown bool
	// polling is set while the other has not confirmed our intervals yet.
	polling bool
	// lingering is set once the other is asked to be patient.
	lingering bool
	// send is when the next packet is due, and expire when the other counts as lost; zero
	// if it does not.
	send, expire time.Time
}

// NewSession returns a session that is down. Its discriminator must not be 0.
func NewSession(c Config, discriminator uint32, random func() float64, now time.Time) *Session {
	return &Session{config: c, mine: discriminator, random: random, state: Down, remoteReceive: time.Microsecond, send: now}
}

// Saved is a session that is up, for the next program.
type Saved struct {
	Mine       uint32        `json:"mine"`
	Yours      uint32        `json:"yours"`
	Transmit   time.Duration `json:"transmit"`
	Receive    time.Duration `json:"receive"`
	Multiplier uint8         `json:"multiplier"`
	// Until is when the other gives this end up.
	Until time.Time `json:"until"`
}

// Resume returns a session that continues with what an earlier program saved. The other does
// not notice that there was another program.
func Resume(c Config, saved Saved, random func() float64, now time.Time) *Session {
	s := NewSession(c, saved.Mine, random, now)
	s.yours, s.remoteTransmit, s.remoteReceive, s.remoteMultiplier = saved.Yours, saved.Transmit, saved.Receive, saved.Multiplier
	s.change(Up, NoDiagnostic, now)
	s.expire = now.Add(s.detection())
	return s
}

// Linger asks the other to be patient: to miss this end only after that long. It reports
// whether the session is up.
func (s *Session) Linger(patience time.Duration, now time.Time) bool {
	if s.state != Up {
		return false
	}
	// A packet can't say more than an hour and some.
	s.config.Transmit = min(patience, time.Hour) / time.Duration(s.config.Multiplier)
	s.polling, s.lingering, s.send = true, true, now
	return true
}

// Lingers returns what to save once the other has agreed to be patient.
func (s *Session) Lingers(now time.Time) (Saved, bool) {
	if s.state != Up || !s.lingering || s.polling {
		return Saved{}, false
	}
	return Saved{
		Mine: s.mine, Yours: s.yours, Transmit: s.remoteTransmit, Receive: s.remoteReceive, Multiplier: s.remoteMultiplier,
		Until: now.Add(time.Duration(s.config.Multiplier) * s.config.Transmit),
	}, true
}

// State returns the session's state.
func (s *Session) State() State { return s.state }

// Diagnostic returns why the session went down last.
func (s *Session) Diagnostic() Diagnostic { return s.diagnostic }

// transmit is the least interval at which this end wants to send now.
func (s *Session) transmit() time.Duration {
	if s.state == Up {
		return s.config.Transmit
	}
	return max(slow, s.config.Transmit)
}

// interval is how often packets are sent.
func (s *Session) interval() time.Duration {
	if s.lingering && s.polling {
		// Until the other has agreed, it misses packets as soon as before.
		return max(lingerPoll, s.remoteReceive)
	}
	return max(s.transmit(), s.remoteReceive)
}

// detection is how long the other may be silent.
func (s *Session) detection() time.Duration {
	return time.Duration(s.remoteMultiplier) * max(s.config.Receive, s.remoteTransmit)
}

// Receive takes a packet in. It returns an answer that has to be sent at once, or nil.
func (s *Session) Receive(p Packet, now time.Time) *Packet {
	if s.state == AdminDown || p.Yours != 0 && p.Yours != s.mine {
		return nil
	}
	s.yours, s.remoteTransmit, s.remoteReceive, s.remoteMultiplier = p.Mine, p.Transmit, p.Receive, p.Multiplier
	s.remoteAdminDown = p.State == AdminDown
	if p.Final {
		s.polling = false
	}
	switch {
	case p.State == AdminDown:
		if s.state != Down {
			s.change(Down, NeighborDown, now)
		}
	case s.state == Down && p.State == Down:
		s.change(Init, s.diagnostic, now)
	case s.state == Down && p.State == Init, s.state == Init && (p.State == Init || p.State == Up):
		s.change(Up, NoDiagnostic, now)
	case s.state == Up && p.State == Down:
		s.change(Down, NeighborDown, now)
	}
	s.expire = time.Time{}
	if s.state == Init || s.state == Up {
		s.expire = now.Add(s.detection())
	}
	// The other may now ask for packets sooner than the next one was due.
	if next := now.Add(s.interval()); s.send.After(next) {
		s.send = next
	}
	if !p.Poll {
		return nil
	}
	answer := s.packet()
	answer.Poll, answer.Final = false, true
	return &answer
}

func (s *Session) change(to State, why Diagnostic, now time.Time) {
	s.state, s.diagnostic = to, why
	// Intervals differ between sessions that are up and others: the other has to confirm
	// ours. It learns of the change at once.
	s.polling = to == Up
	s.send = now
}

// Next returns when Tick has to be called, at the latest.
func (s *Session) Next() time.Time {
	if !s.expire.IsZero() && s.expire.Before(s.send) {
		return s.expire
	}
	return s.send
}

// Tick does what is due. It returns a packet to send, or nil.
func (s *Session) Tick(now time.Time) *Packet {
	if !s.expire.IsZero() && !now.Before(s.expire) {
		s.expire, s.yours, s.remoteReceive = time.Time{}, 0, time.Microsecond
		s.change(Down, DetectionExpired, now)
	}
	if now.Before(s.send) {
		return nil
	}
	// Packets are spread, so sessions do not stay in step. With a multiplier of 1 a
	// whole interval would be too late.
	share := 0.75 + 0.25*s.random()
	s.send = now.Add(time.Duration(share * float64(s.interval())))
	if s.remoteReceive == 0 {
		s.send = now.Add(slow)
		return nil
	}
	p := s.packet()
	return &p
}

// Close ends the session by administration: the other does not take it for a failure. It
// returns the packet that says so.
func (s *Session) Close() Packet {
	s.state, s.diagnostic, s.polling = AdminDown, AdministratedDown, false
	return s.packet()
}

func (s *Session) packet() Packet {
	return Packet{
		Diagnostic: s.diagnostic, State: s.state, Poll: s.polling, Multiplier: s.config.Multiplier,
		Mine: s.mine, Yours: s.yours, Transmit: s.transmit(), Receive: s.config.Receive,
	}
}
