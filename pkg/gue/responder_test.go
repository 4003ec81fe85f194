// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"errors"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

var (
	epicEnd = netip.MustParseAddrPort("192.0.2.40:6080")
	natted  = netip.MustParseAddrPort("198.51.100.7:40001")
	moved   = netip.MustParseAddrPort("198.51.100.7:40002")
	evil    = netip.MustParseAddrPort("203.0.113.66:6080")
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// bench is a Responder with tunnel 5, and somebody who knows its key.
type bench struct {
	*Responder
	t      *testing.T
	clock  *clock
	key    Key
	moves  []netip.AddrPort
	refuse error
	// suspected is how often keys were suspected.
	suspected int
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, clock: newClock(), key: testKey(1)}
	b.Responder = NewResponder(ResponderOptions{
		Now: b.clock.now,
		Move: func(tunnel uint32, remote netip.AddrPort) error {
			if tunnel != 5 {
				t.Errorf("tunnel %d moved", tunnel)
			}
			if b.refuse == nil {
				b.moves = append(b.moves, remote)
			}
			return b.refuse
		},
		Suspect: func(uint32) { b.suspected++ },
	})
	if err := b.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{b.key, testKey(2)}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) packet(m Message) []byte {
	var p [PacketSize]byte
	key := testKey(m.KeyID)
	m.Encode(&p, &key.Bytes)
	return p[:]
}

func (b *bench) ping(sequence uint64, nonce Nonce) []byte {
	return b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: sequence, Nonce: nonce})
}

// from hands in a packet and returns the answer, nil if there is none.
func (b *bench) from(source netip.AddrPort, packet []byte, want Result) *Message {
	b.t.Helper()
	var reply [PacketSize]byte
	got, answer := b.Handle(epicEnd, source, packet, &reply)
	if got != want {
		b.t.Errorf("result %s, want %s", got, want)
	}
	if !answer {
		return nil
	}
	if !Authentic(reply[:], &b.key.Bytes) {
		b.t.Error("the answer is not authentic")
	}
	var m Message
	if err := m.Decode(reply[:]); err != nil {
		b.t.Errorf("the answer can't be read: %v", err)
	}
	return &m
}

func (b *bench) isRemote(want netip.AddrPort) {
	b.t.Helper()
	if s, _ := b.State(5); s.Remote != want {
		b.t.Errorf("remote %s, want %s", s.Remote, want)
	}
}

func (b *bench) open(source netip.AddrPort, sequence uint64) {
	b.t.Helper()
	m := b.from(source, b.ping(sequence, Nonce{}), OK)
	if m == nil || m.Type != Challenge || m.Sequence != sequence {
		b.t.Fatalf("answer %+v, want a CHALLENGE", m)
	}
	m = b.from(source, b.ping(sequence+1, m.Nonce), OK)
	if m == nil || m.Type != Pong || m.Sequence != sequence+1 {
		b.t.Fatalf("answer %+v, want a PONG", m)
	}
	b.isRemote(source)
}

func TestOpenPingMove(t *testing.T) {
	b := newBench(t)
	b.isRemote(netip.AddrPort{})
	b.open(natted, 10)
	m := b.from(natted, b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 12, RTT: 20 * time.Millisecond}), OK)
	if m == nil || m.Type != Pong {
		t.Errorf("answer %+v, want a PONG", m)
	}
	if s, ok := b.State(5); !ok || s.RTT != 20*time.Millisecond || !s.Seen.Equal(b.clock.t) || s.Sequence != 12 {
		t.Errorf("state %+v", s)
	}
	b.open(moved, 20)
	if len(b.moves) != 2 || b.moves[0] != natted || b.moves[1] != moved {
		t.Errorf("moves %v", b.moves)
	}
	// It continues as before when the mapping comes back.
	b.open(natted, 30)
}

// What must have no effect and no answer.
func TestSilence(t *testing.T) {
	opened := func(t *testing.T) *bench {
		b := newBench(t)
		b.open(natted, 10)
		return b
	}
	bad := func(p []byte, i int) []byte { p[i] ^= 1; return p }
	for name, c := range map[string]struct {
		source netip.AddrPort
		packet func(b *bench) []byte
		want   Result
	}{
		"replay from elsewhere":   {evil, func(b *bench) []byte { return b.ping(11, Nonce{}) }, Replay},
		"replay from the remote":  {natted, func(b *bench) []byte { return b.ping(11, Nonce{}) }, Replay},
		"older than the last":     {evil, func(b *bench) []byte { return b.ping(3, Nonce{}) }, Replay},
		"forged":                  {evil, func(b *bench) []byte { return bad(b.ping(99, Nonce{}), offsetMAC) }, BadMAC},
		"sequence number changed": {evil, func(b *bench) []byte { return bad(b.ping(99, Nonce{}), offsetSequence) }, BadMAC},
		"of another tunnel":       {evil, func(b *bench) []byte { return bad(b.ping(99, Nonce{}), offsetTunnel+3) }, UnknownTunnel},
		"unknown key":             {evil, func(b *bench) []byte { return b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 3, Sequence: 99}) }, UnknownKey},
		"reflected PONG":          {evil, func(b *bench) []byte { return b.packet(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: 99}) }, Unexpected},
		"reflected CHALLENGE": {evil, func(b *bench) []byte {
			return b.packet(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: 99, Nonce: Nonce{1}})
		}, Unexpected},
		"malformed":                       {evil, func(b *bench) []byte { return []byte("hello") }, Malformed},
		"replay of what was malformed so": {evil, func(b *bench) []byte { return bad(b.ping(99, Nonce{}), 0) }, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := opened(t)
			if m := b.from(c.source, c.packet(b), c.want); m != nil {
				t.Errorf("it was answered: %+v", m)
			}
			if n := b.Counts.Of(c.want); n != 1 {
				t.Errorf("counted %d times", n)
			}
			b.isRemote(natted)
			// Nothing of it counts later: the real one continues.
			if m := b.from(natted, b.ping(12, Nonce{}), OK); m == nil || m.Type != Pong {
				t.Errorf("answer %+v, want a PONG", m)
			}
		})
	}
	t.Run("another end's address", func(t *testing.T) {
		b := opened(t)
		var reply [PacketSize]byte
		if got, answer := b.Handle(netip.MustParseAddrPort("192.0.2.41:6080"), natted, b.ping(12, Nonce{}), &reply); got != WrongAddress || answer {
			t.Errorf("%s, answer %t", got, answer)
		}
	})
}

func TestNonce(t *testing.T) {
	for name, c := range map[string]struct {
		after  time.Duration
		source netip.AddrPort
		change func(*Nonce)
		want   Type
	}{
		"in time":           {challengeLife - time.Second, moved, nil, Pong},
		"too late":          {challengeLife, moved, nil, Challenge},
		"from elsewhere":    {0, evil, nil, Challenge},
		"another nonce":     {0, moved, func(n *Nonce) { n[3] ^= 1 }, Challenge},
		"from the remote":   {0, natted, nil, Pong},
		"without the nonce": {0, moved, func(n *Nonce) { *n = Nonce{} }, Challenge},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.open(natted, 10)
			nonce := b.from(moved, b.ping(20, Nonce{}), OK).Nonce
			b.clock.t = b.clock.t.Add(c.after)
			if c.change != nil {
				c.change(&nonce)
			}
			m := b.from(c.source, b.ping(21, nonce), OK)
			if m == nil || m.Type != c.want {
				t.Fatalf("answer %+v, want %s", m, c.want)
			}
			if c.want == Pong {
				b.isRemote(c.source)
			} else {
				b.isRemote(natted)
			}
		})
	}
	t.Run("once", func(t *testing.T) {
		b := newBench(t)
		nonce := b.from(moved, b.ping(20, Nonce{}), OK).Nonce
		b.from(moved, b.ping(21, nonce), OK)
		b.open(natted, 30)
		if m := b.from(moved, b.ping(40, nonce), OK); m.Type != Challenge {
			t.Errorf("a used nonce is good for %s", m.Type)
		}
	})
}

// The data plane has the last word: as long as it does not take the remote there is
// no PONG.
func TestMoveFails(t *testing.T) {
	b := newBench(t)
	nonce := b.from(natted, b.ping(1, Nonce{}), OK).Nonce
	b.refuse = errors.New("no room")
	if m := b.from(natted, b.ping(2, nonce), Failed); m != nil {
		t.Errorf("answer %+v", m)
	}
	b.isRemote(netip.AddrPort{})
	b.refuse = nil
	b.open(natted, 3)
}

// After a restart the last sequence number may not be known. Then an old PING moves
// nothing, even from the remote, and does not count as an answer.
func TestRestart(t *testing.T) {
	b := newBench(t)
	b.Remove(5)
	if err := b.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{b.key}, Remote: natted}); err != nil {
		t.Fatal(err)
	}
	for sequence := range uint64(3) {
		if m := b.from(natted, b.ping(sequence+1, Nonce{}), OK); m == nil || m.Type != Challenge {
			t.Errorf("answer %+v, want a CHALLENGE", m)
		}
	}
	b.open(natted, 10)
	if len(b.moves) != 0 {
		t.Errorf("moves %v, though it was there already", b.moves)
	}
	b.Remove(5)
	if err := b.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{b.key}, Remote: natted, Sequence: 11}); err != nil {
		t.Fatal(err)
	}
	b.from(natted, b.ping(11, Nonce{}), Replay)
	if m := b.from(natted, b.ping(12, Nonce{}), OK); m == nil || m.Type != Pong {
		t.Errorf("answer %+v, want a PONG", m)
	}
}

func TestKeysChange(t *testing.T) {
	b := newBench(t)
	b.open(natted, 10)
	// The second key is good at the same time, and answers are made with the key of
	// the question.
	var reply [PacketSize]byte
	second := testKey(2)
	if _, ok := b.Handle(epicEnd, natted, b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 2, Sequence: 12}), &reply); !ok || !Authentic(reply[:], &second.Bytes) {
		t.Error("no answer with the second key")
	}
	if err := b.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{second, testKey(3)}, Remote: evil}); err != nil {
		t.Fatal(err)
	}
	b.isRemote(natted)
	b.from(natted, b.ping(13, Nonce{}), UnknownKey)
	if b.suspected != 1 {
		t.Errorf("After an unknown key there are %d suspicions", b.suspected)
	}
	forged := b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 2, Sequence: 14})
	forged[PacketSize-1]++
	b.from(natted, forged, BadMAC)
	if b.suspected != 2 {
		t.Errorf("After a MAC that does not fit there are %d suspicions", b.suspected)
	}
	for _, keys := range [][]Key{nil, {{}}, {second, second}} {
		if err := b.Set(ResponderTunnel{ID: 6, Local: epicEnd, Keys: keys}); !errors.Is(err, ErrKeys) {
			t.Errorf("keys %v: %v", keys, err)
		}
	}
	b.Remove(5)
	b.from(natted, b.packet(Message{Tunnel: 5, Type: Ping, KeyID: 2, Sequence: 99}), UnknownTunnel)
}

// A flood does not silence others, not even those behind the same NAT.
func TestLimit(t *testing.T) {
	b := newBench(t)
	b.open(natted, 10)
	flood := b.packet(Message{Tunnel: 6, Type: Ping, KeyID: 1, Sequence: 1})
	var reply [PacketSize]byte
	for range sourceBurst * 2 {
		b.Handle(epicEnd, netip.AddrPortFrom(natted.Addr(), 6), flood, &reply)
	}
	if n := b.Counts.Of(Limited); n < sourceBurst || n > sourceBurst+10 {
		t.Errorf("%d of %d packets at once are limited", n, sourceBurst*2)
	}
	if m := b.from(natted, b.ping(12, Nonce{}), OK); m == nil || m.Type != Pong {
		t.Errorf("answer %+v, want a PONG", m)
	}
	b.clock.t = b.clock.t.Add(time.Second)
	b.from(netip.AddrPortFrom(natted.Addr(), 6), flood, UnknownTunnel)
	one, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	l := newLimiter()
	for range sourceBurst {
		l.allow(one, 1)
	}
	if l.allow(other, 1) {
		t.Error("two addresses of one /64 have two limits")
	}
}

// A flood that names an open tunnel is limited like one that names none, whether it comes
// from afar or from behind the same NAT, and what the tunnel's own end sends gets through
// in the meantime.
func TestLimitOfKnownTunnel(t *testing.T) {
	for _, flood := range []netip.AddrPort{evil, moved} {
		b := newBench(t)
		b.open(natted, 1)
		forged := b.ping(1000, Nonce{})
		forged[PacketSize-1] ^= 1
		var reply [PacketSize]byte
		sequence := uint64(10)
		for i := range sourceBurst * 3 {
			_, answered := b.Handle(epicEnd, flood, forged, &reply)
			if answered {
				t.Fatalf("%s gets an answer", flood)
			}
			if i%500 == 0 {
				sequence++
				if pong := b.from(natted, b.ping(sequence, Nonce{}), OK); pong == nil || pong.Type != Pong {
					t.Errorf("after %d packets of %s the tunnel's own end gets %+v", i, flood, pong)
				}
			}
		}
		if limited, checked := b.Counts.Of(Limited), b.Counts.Of(BadMAC); limited < sourceBurst*2-10 || checked > sourceBurst+10 {
			t.Errorf("of %d packets of %s %d are limited, and %d were checked", sourceBurst*3, flood, limited, checked)
		}
		b.isRemote(natted)
	}
}

func BenchmarkResponder(b *testing.B) {
	r := NewResponder(ResponderOptions{Move: func(uint32, netip.AddrPort) error { return nil }})
	key := testKey(1)
	if err := r.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{key}, Sequence: 1}); err != nil {
		b.Fatal(err)
	}
	var packet, reply [PacketSize]byte
	m := Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 2}
	b.ReportAllocs()
	for b.Loop() {
		m.Sequence++
		m.Encode(&packet, &key.Bytes)
		packet[offsetMAC] ^= 1
		r.Handle(epicEnd, natted, packet[:], &reply)
	}
}

// A far end is asked for a PING only where it is certainly known, and has announced that it answers.
func TestResponderSolicits(t *testing.T) {
	b := newBench(t)
	asks := func(what string, want bool) Packet {
		t.Helper()
		p, ok := b.Solicit(5)
		if ok != want {
			t.Errorf("%s: %t, want %t", what, ok, want)
		}
		return p
	}
	says := func(sequence uint64, keyID uint8, flags Flags) []byte {
		return b.packet(Message{Tunnel: 5, Type: Ping, KeyID: keyID, Sequence: sequence, Flags: flags})
	}
	asks("before it is open", false)
	challenge := b.from(natted, b.ping(10, Nonce{}), OK)
	asks("while it is challenged", false)
	b.from(natted, b.ping(11, challenge.Nonce), OK)
	asks("before it says so", false)
	b.from(natted, says(12, 1, AcceptsCookies), OK)
	asks("a far end that does not know it", false)
	b.from(natted, says(13, 1, AcceptsCookies|AnswersSolicits), OK)
	p := asks("one that does", true)
	var m Message
	if err := m.Decode(p.Bytes[:]); err != nil || m != (Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: 13}) || !Authentic(p.Bytes[:], &b.key.Bytes) {
		t.Errorf("asked by %+v: %v", m, err)
	}
	if p.Local != epicEnd || p.Remote != natted {
		t.Errorf("from %s to %s", p.Local, p.Remote)
	}
	// The key is one that the far end certainly has.
	b.key = testKey(2)
	b.from(natted, says(14, 2, AcceptsCookies|AnswersSolicits), OK)
	p = asks("with the other key", true)
	if err := m.Decode(p.Bytes[:]); err != nil || m.KeyID != 2 || m.Sequence != 14 || !Authentic(p.Bytes[:], &b.key.Bytes) {
		t.Errorf("asked by %+v: %v", m, err)
	}
	b.from(natted, says(15, 2, AcceptsCookies), OK)
	asks("one that was rolled back", false)
	if _, ok := b.Solicit(6); ok {
		t.Error("an unknown tunnel is asked")
	}
}

// A node may have a hundred thousand tunnels, and the next larger size costs each 16 bytes.
func TestPeersAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(peer{}); size > 112 {
		t.Errorf("a peer takes %d bytes", size)
	}
}
