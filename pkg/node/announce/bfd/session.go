// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// slow is the minimum interval between packets of a session that is not up.
const slow = time.Second

// lingerPoll is the interval at which an ending session asks the peer for a longer
// detection time.
const lingerPoll = 10 * time.Millisecond

// Config configures a session.
type Config struct {
	// Transmit and Receive are the minimum intervals between packets in the two
	// directions.
	Transmit, Receive time.Duration
	// Multiplier is the number of missing packets after which the peer declares the
	// session down.
	Multiplier uint8
}

// Session is the state machine of one session. Its methods take the input and the current
// time, and return what to send.
type Session struct {
	config Config
	mine   uint32
	// random returns a number from 0 to 1.
	random func() float64

	state      State
	diagnostic Diagnostic
	// yours, remoteTransmit, remoteReceive and remoteMultiplier are the peer's values.
	yours                         uint32
	remoteTransmit, remoteReceive time.Duration
	remoteMultiplier              uint8
	// remoteAdminDown is set if the peer ended the session administratively.
	remoteAdminDown bool
	// polling is set until the peer confirms our intervals.
	polling bool
	// lingering is set once the peer is asked for a longer detection time.
	lingering bool
	// send is when the next packet is due, and expire when the session times out; zero if
	// it does not.
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
	// Until is when the peer declares the session down.
	Until time.Time `json:"until"`
}

// Resume returns a session that continues from the state that an earlier program saved.
// The peer does not notice the restart.
func Resume(c Config, saved Saved, random func() float64, now time.Time) *Session {
	s := NewSession(c, saved.Mine, random, now)
	s.yours, s.remoteTransmit, s.remoteReceive, s.remoteMultiplier = saved.Yours, saved.Transmit, saved.Receive, saved.Multiplier
	s.change(Up, NoDiagnostic, now)
	s.expire = now.Add(s.detection())
	return s
}

// Linger asks the peer to declare this end down only after the given time. It reports
// whether the session is up.
func (s *Session) Linger(patience time.Duration, now time.Time) bool {
	if s.state != Up {
		return false
	}
	// A packet can't encode much more than an hour.
	s.config.Transmit = min(patience, time.Hour) / time.Duration(s.config.Multiplier)
	s.polling, s.lingering, s.send = true, true, now
	return true
}

// Lingers returns the state to save once the peer has agreed to the longer detection
// time.
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

// Diagnostic returns why the session last went down.
func (s *Session) Diagnostic() Diagnostic { return s.diagnostic }

// transmit returns the minimum interval at which this end currently wants to send.
func (s *Session) transmit() time.Duration {
	if s.state == Up {
		return s.config.Transmit
	}
	return max(slow, s.config.Transmit)
}

// interval returns the interval at which packets are sent.
func (s *Session) interval() time.Duration {
	if s.lingering && s.polling {
		// Until the peer has agreed, its detection time is unchanged.
		return max(lingerPoll, s.remoteReceive)
	}
	return max(s.transmit(), s.remoteReceive)
}

// detection returns how long the peer may be silent.
func (s *Session) detection() time.Duration {
	return time.Duration(s.remoteMultiplier) * max(s.config.Receive, s.remoteTransmit)
}

// Receive handles a received packet. It returns a response that has to be sent
// immediately, or nil.
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
	// The peer may now request packets earlier than the next one was due.
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
	// The intervals depend on whether the session is up, so the peer has to confirm ours.
	// Inform it immediately.
	s.polling = to == Up
	s.send = now
}

// Next returns when Tick has to be called at the latest.
func (s *Session) Next() time.Time {
	if !s.expire.IsZero() && s.expire.Before(s.send) {
		return s.expire
	}
	return s.send
}

// Tick performs due work. It returns a packet to send, or nil.
func (s *Session) Tick(now time.Time) *Packet {
	if !s.expire.IsZero() && !now.Before(s.expire) {
		s.expire, s.yours, s.remoteReceive = time.Time{}, 0, time.Microsecond
		s.change(Down, DetectionExpired, now)
	}
	if now.Before(s.send) {
		return nil
	}
	// Packets are spread, so sessions do not synchronize. With a multiplier of 1, a whole
	// interval would be too late.
	share := 0.75 + 0.25*s.random()
	s.send = now.Add(time.Duration(share * float64(s.interval())))
	if s.remoteReceive == 0 {
		s.send = now.Add(slow)
		return nil
	}
	p := s.packet()
	return &p
}

// Close ends the session administratively, so the peer does not treat it as a failure. It
// returns the packet to send.
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
