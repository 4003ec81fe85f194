// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

var nodeEnd = netip.MustParseAddrPort("192.168.1.16:6080")

// starter is an Initiator with tunnel 5, and somebody who knows its key.
type starter struct {
	*Initiator
	t     *testing.T
	clock *clock
	key   Key
	last  uint64
	stale int
	sent  []Message
}

func newStarter(t *testing.T) *starter {
	s := &starter{t: t, clock: newClock(), key: testKey(1)}
	s.Initiator = NewInitiator(InitiatorOptions{
		Now: s.clock.now, Seed: 1,
		Sequence:   func() uint64 { s.last++; return s.last },
		Unanswered: func(uint32) { s.stale++ },
	})
	s.set(s.key)
	return s
}

func (s *starter) set(keys ...Key) {
	s.t.Helper()
	if err := s.Set(InitiatorTunnel{ID: 5, Local: nodeEnd, Remote: epicEnd, Keys: keys}); err != nil {
		s.t.Fatal(err)
	}
}

// poll takes what is due.
func (s *starter) poll() []Message {
	s.t.Helper()
	var out []Message
	s.Poll(func(local, remote netip.AddrPort, packet *[PacketSize]byte) {
		var m Message
		key := testKey(packet[offsetKey])
		if err := m.Decode(packet[:]); err != nil || !Authentic(packet[:], &key.Bytes) || m.Type != Ping || local != nodeEnd || remote != epicEnd {
			s.t.Errorf("sent %+v from %s to %s: %v", m, local, remote, err)
		}
		out = append(out, m)
	})
	s.sent = append(s.sent, out...)
	return out
}

func (s *starter) one() Message {
	s.t.Helper()
	out := s.poll()
	if len(out) != 1 {
		s.t.Fatalf("%d PINGs, want 1", len(out))
	}
	return out[0]
}

func (s *starter) answer(m Message, want Result) {
	s.t.Helper()
	var p [PacketSize]byte
	key := testKey(m.KeyID)
	m.Encode(&p, &key.Bytes)
	if got, _ := s.Handle(nodeEnd, epicEnd, p[:]); got != want {
		s.t.Errorf("result %s, want %s", got, want)
	}
}

func (s *starter) pong(ping Message) {
	s.t.Helper()
	s.answer(Message{Tunnel: 5, Type: Pong, KeyID: ping.KeyID, Sequence: ping.Sequence}, OK)
}

func (s *starter) up(want bool) {
	s.t.Helper()
	if state, _ := s.State(5); state.Up != want {
		s.t.Errorf("up %t, want %t: %+v", state.Up, want, state)
	}
}

func TestInitiatorOpens(t *testing.T) {
	s := newStarter(t)
	ping := s.one()
	if ping.Nonce != (Nonce{}) || ping.KeyID != 1 {
		t.Errorf("first PING %+v", ping)
	}
	s.up(false)
	s.clock.t = s.clock.t.Add(30 * time.Millisecond)
	s.answer(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: ping.Sequence, Nonce: Nonce{7}}, OK)
	second := s.one()
	if second.Nonce != (Nonce{7}) || second.Sequence <= ping.Sequence || second.RTT != 30*time.Millisecond {
		t.Errorf("second PING %+v", second)
	}
	s.up(false)
	s.clock.t = s.clock.t.Add(20 * time.Millisecond)
	s.pong(second)
	s.up(true)
	if state, _ := s.State(5); !state.Seen.Equal(s.clock.t) || state.RTT != 20*time.Millisecond || state.Remote != epicEnd {
		t.Errorf("state %+v", state)
	}
	// One that has room for flags follows at once.
	announcing := s.one()
	if announcing.Nonce != (Nonce{}) || announcing.Flags != AcceptsCookies|AnswersSolicits {
		t.Errorf("PING after the tunnel is open: %+v", announcing)
	}
	s.pong(announcing)
	s.clock.t = s.clock.t.Add(DefaultInterval * 7 / 10)
	if out := s.poll(); len(out) != 0 {
		t.Errorf("%d PINGs too early", len(out))
	}
	s.clock.t = s.clock.t.Add(DefaultInterval * 3 / 10)
	if third := s.one(); third.Nonce != (Nonce{}) {
		t.Error("a nonce is used twice")
	}
}

// Retries are quick at first and never slower than the usual pace; the keys are
// suspected after some, and the tunnel counts as down.
func TestInitiatorRetries(t *testing.T) {
	s := newStarter(t)
	s.pong(s.one())
	s.up(true)
	begin := s.clock.t
	var at []time.Duration
	for s.clock.t.Sub(begin) < 2*time.Minute {
		s.clock.t = s.clock.t.Add(10 * time.Millisecond)
		for range s.poll() {
			at = append(at, s.clock.t.Sub(begin))
		}
	}
	s.up(false)
	if s.stale == 0 {
		t.Error("nobody was told")
	}
	if len(at) < 12 || len(at) > 30 {
		t.Errorf("%d PINGs in two minutes without an answer", len(at))
	}
	if quick := at[1] - at[0]; quick > time.Second {
		t.Errorf("the first retry comes after %s", quick)
	}
	for i := 1; i < len(at); i++ {
		if pause := at[i] - at[i-1]; pause > DefaultInterval+20*time.Millisecond {
			t.Errorf("a pause of %s", pause)
		}
	}
	s.pong(s.sent[len(s.sent)-1])
	s.up(true)
}

func TestInitiatorSilence(t *testing.T) {
	s := newStarter(t)
	ping := s.one()
	pong := Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: ping.Sequence}
	for _, c := range []struct {
		name   string
		change func(*Message)
		want   Result
	}{
		{"never asked", func(m *Message) { m.Sequence += 9 }, Replay},
		{"unknown tunnel", func(m *Message) { m.Tunnel = 6 }, UnknownTunnel},
		{"unknown key", func(m *Message) { m.KeyID = 2 }, UnknownKey},
		{"PING", func(m *Message) { m.Type = Ping }, Unexpected},
	} {
		m := pong
		c.change(&m)
		s.answer(m, c.want)
		s.up(false)
	}
	var p [PacketSize]byte
	other := testKey(2)
	pong.Encode(&p, &other.Bytes)
	if got, _ := s.Handle(nodeEnd, epicEnd, p[:]); got != BadMAC {
		t.Errorf("another's MAC: %s", got)
	}
	pong.Encode(&p, &s.key.Bytes)
	for _, ends := range [][2]netip.AddrPort{{nodeEnd, evil}, {evil, epicEnd}, {nodeEnd, netip.AddrPortFrom(epicEnd.Addr(), 1)}} {
		if got, _ := s.Handle(ends[0], ends[1], p[:]); got != WrongAddress {
			t.Errorf("to %s from %s: %s", ends[0], ends[1], got)
		}
	}
	s.up(false)
	s.pong(ping)
	s.up(true)
	s.answer(pong, Replay)
}

// An end that answers each PING with a CHALLENGE does not make the node send without
// a pause.
func TestInitiatorEndlessChallenge(t *testing.T) {
	s := newStarter(t)
	n := 0
	for begin := s.clock.t; s.clock.t.Sub(begin) < time.Minute; s.clock.t = s.clock.t.Add(time.Millisecond) {
		for _, m := range s.poll() {
			n++
			s.answer(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: m.Sequence, Nonce: Nonce{1}}, OK)
		}
	}
	if n > 40 {
		t.Errorf("%d PINGs in a minute", n)
	}
}

func TestInitiatorChanges(t *testing.T) {
	s := newStarter(t)
	s.pong(s.one())
	s.set(s.key)
	if out := s.poll(); len(out) != 0 {
		t.Errorf("nothing changed, and %d PINGs went out", len(out))
	}
	s.set(s.key, testKey(2))
	if out := s.poll(); len(out) != 0 {
		t.Errorf("a key to accept was added, and %d PINGs went out", len(out))
	}
	s.set(testKey(2), s.key)
	if m := s.one(); m.KeyID != 2 {
		t.Errorf("sent with key %d after the first became 2", m.KeyID)
	}
	if err := s.Set(InitiatorTunnel{ID: 6}); !errors.Is(err, ErrKeys) {
		t.Errorf("without keys: %v", err)
	}
	s.Remove(5)
	s.clock.t = s.clock.t.Add(time.Hour)
	if out := s.poll(); len(out) != 0 {
		t.Errorf("removed, and %d PINGs went out", len(out))
	}
}

// Many tunnels that begin together are opened at the rate, and do not stay together.
func TestInitiatorPace(t *testing.T) {
	s := newStarter(t)
	s.Remove(5)
	const tunnels = 10_000
	for id := range uint32(tunnels) {
		if err := s.Set(InitiatorTunnel{ID: id + 1, Local: nodeEnd, Remote: epicEnd, Keys: []Key{s.key}}); err != nil {
			t.Fatal(err)
		}
	}
	perStep := map[int]int{}
	const step = 50 * time.Millisecond
	var opened time.Duration
	for begin := s.clock.t; s.clock.t.Sub(begin) < time.Minute; s.clock.t = s.clock.t.Add(step) {
		out := s.poll()
		perStep[int(s.clock.t.Sub(begin)/step)] = len(out)
		for _, m := range out {
			s.answer(Message{Tunnel: m.Tunnel, Type: Pong, KeyID: 1, Sequence: m.Sequence}, OK)
		}
		if len(s.sent) >= tunnels && opened == 0 {
			opened = s.clock.t.Sub(begin)
		}
	}
	if opened > tunnels*time.Second/DefaultRate*5/2 {
		t.Errorf("it took %s until all were opened", opened)
	}
	for i, n := range perStep {
		if n > burst+int(DefaultRate*step/time.Second) {
			t.Errorf("%d PINGs in step %d", n, i)
		}
	}
	if per := len(s.sent) / tunnels; per < 5 || per > 8 {
		t.Errorf("%d PINGs a tunnel in a minute", per)
	}
}

// A tunnel that fell silent is asked at once, and not again while a PING that will be
// repeated soon waits for its answer.
func TestHurry(t *testing.T) {
	s := newStarter(t)
	s.pong(s.one())
	if out := s.poll(); len(out) != 0 {
		t.Fatalf("%d PINGs too early", len(out))
	}
	if !s.Hurry(5) {
		t.Error("a tunnel without a PING on its way is not asked")
	}
	ping := s.one()
	if s.Hurry(5) {
		t.Error("the same PING is sent twice")
	}
	// It was lost, and retries have become slow.
	for range 6 {
		s.clock.t = s.clock.t.Add(DefaultInterval)
		ping = s.one()
	}
	if !s.Hurry(5) {
		t.Error("a tunnel whose retry is far away is not asked")
	}
	again := s.one()
	if again.Sequence <= ping.Sequence {
		t.Errorf("sequence %d after %d", again.Sequence, ping.Sequence)
	}
	s.pong(again)
	s.up(true)
	if s.Hurry(6) {
		t.Error("a tunnel that is not there is asked")
	}
}

// The far end asks for a PING, which goes out at once, and one for each time that it asks.
func TestInitiatorIsSolicited(t *testing.T) {
	s := newStarter(t)
	solicit := func(sequence uint64, keyID uint8, want Result) {
		t.Helper()
		s.answer(Message{Tunnel: 5, Type: Solicit, KeyID: keyID, Sequence: sequence}, want)
	}
	silent := func(what string) {
		t.Helper()
		if out := s.poll(); len(out) > 0 {
			t.Errorf("%s: %d PINGs", what, len(out))
		}
	}
	first := s.one()
	s.clock.t = s.clock.t.Add(20 * time.Millisecond)
	s.pong(first)
	silent("before it is asked")
	solicit(first.Sequence, 1, OK)
	second := s.one()
	// A message that somebody sends again causes no second PING.
	solicit(first.Sequence, 1, OK)
	silent("asked again while a PING waits for its answer")
	s.clock.t = s.clock.t.Add(20 * time.Millisecond)
	s.pong(second)
	solicit(first.Sequence, 1, Replay)
	solicit(second.Sequence+1, 1, Replay)
	solicit(second.Sequence, 2, UnknownKey)
	silent("asked by what was sent before, and by strangers")
	var forged [PacketSize]byte
	key := testKey(2)
	(&Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: second.Sequence}).Encode(&forged, &key.Bytes)
	if got, more := s.Handle(nodeEnd, epicEnd, forged[:]); got != BadMAC || more {
		t.Errorf("a forged one: %s, %t", got, more)
	}
	genuine := Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: second.Sequence}
	key = testKey(1)
	genuine.Encode(&forged, &key.Bytes)
	if got, more := s.Handle(nodeEnd, evil, forged[:]); got != WrongAddress || more {
		t.Errorf("from elsewhere: %s, %t", got, more)
	}
	silent("forged")
	// The PONG of the last PING was lost, so the far end names that PING.
	s.clock.t = s.clock.t.Add(DefaultInterval)
	third := s.one()
	s.clock.t = s.clock.t.Add(time.Millisecond)
	solicit(third.Sequence, 1, OK)
	silent("a PING that is repeated soon anyway")
	s.up(true)
}
