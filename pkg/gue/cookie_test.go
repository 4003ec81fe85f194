// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The vectors come from another implementation: "openssl kdf ... HKDF" that only expands.
func TestCookieVectors(t *testing.T) {
	key := testKey(1)
	for d, want := range map[Direction]string{ToGateway: "6483ef71ba1899bf", ToClient: "3758e46f870b2339"} {
		cookie := key.Cookie(d)
		if got := hex.EncodeToString(cookie[:]); got != want {
			t.Errorf("direction %d: %s, want %s", d, got, want)
		}
	}
}

// What the far end sends is what this end accepts, and nothing else is: not the cookie of
// the other direction or of another key.
func TestCookiesFit(t *testing.T) {
	keys := []Key{testKey(1), testKey(2)}
	for i := range keys {
		for j := range keys {
			var client, gateway negotiation
			client.said, gateway.said = AcceptsCookies, AcceptsCookies
			a := client.cookies(CookiesAuto, keys[i:i+1], ToGateway)
			b := gateway.cookies(CookiesAuto, keys[j:j+1], ToClient)
			if got := slices.Contains(b.Accept[:], a.Send); got != (i == j) {
				t.Errorf("keys %d and %d: what the client sends is accepted: %t", i, j, got)
			}
			if got := slices.Contains(a.Accept[:], b.Send); got != (i == j) {
				t.Errorf("keys %d and %d: what the gateway sends is accepted: %t", i, j, got)
			}
			if slices.Contains(a.Accept[:], a.Send) || slices.Contains(b.Accept[:], b.Send) {
				t.Errorf("keys %d and %d: an end accepts its own cookie", i, j)
			}
		}
	}
	// All valid keys count, and one that is no longer valid until another is used.
	var n negotiation
	old := testKey(9)
	n = n.heard(AcceptsCookies, &old, 1)
	c := n.cookies(CookiesAuto, keys, ToGateway)
	for _, key := range append(keys, old) {
		if !slices.Contains(c.Accept[:], key.Cookie(ToClient)) {
			t.Errorf("the cookie of key %d is not accepted", key.ID)
		}
	}
	if c.Send != old.Cookie(ToGateway) {
		t.Error("the far end may not know the key of what is sent")
	}
	n = n.heard(AcceptsCookies, &keys[1], 2)
	c = n.cookies(CookiesAuto, keys, ToGateway)
	if slices.Contains(c.Accept[:], old.Cookie(ToClient)) || c.Send != keys[1].Cookie(ToGateway) {
		t.Error("a key that is not valid and no longer used still counts")
	}
	if c.Accept[0] != keys[1].Cookie(ToClient) {
		t.Error("the cookie that packets have is not the first one")
	}
}

// step is a message of the far end and what an end does then.
type negotiationStep struct {
	after    time.Duration
	flags    Flags
	sent     bool
	required bool
}

func TestNegotiation(t *testing.T) {
	const can, sends, requires = AcceptsCookies, AcceptsCookies | SendsCookies, AcceptsCookies | SendsCookies | RequiresCookies
	key := testKey(1)
	for name, c := range map[string]struct {
		policy CookiePolicy
		had    CookieUse
		steps  []negotiationStep
	}{
		"two new ends": {steps: []negotiationStep{
			{0, can, true, false}, {time.Second, sends, true, false}, {cookieGrace - 1, sends, true, false}, {1, sends, true, true}, {time.Hour, requires, true, true},
		}},
		"an old far end":                            {steps: []negotiationStep{{0, 0, false, false}, {time.Hour, 0, false, false}}},
		"a far end is rolled back":                  {had: CookieUse{true, true}, steps: []negotiationStep{{0, 0, false, false}, {0, can, true, false}, {0, sends, true, false}, {cookieGrace, sends, true, true}}},
		"this end was restarted":                    {had: CookieUse{true, true}, steps: []negotiationStep{{0, requires, true, true}}},
		"this end was restarted before it was sure": {had: CookieUse{true, false}, steps: []negotiationStep{{0, sends, true, false}, {cookieGrace, sends, true, true}}},
		"the far end lost its state":                {had: CookieUse{true, true}, steps: []negotiationStep{{0, can, true, false}, {1, sends, true, false}}},
		"only refused before":                       {policy: CookiesOff, had: CookieUse{false, true}, steps: []negotiationStep{{0, 0, false, false}}},
		"flags of a later version":                  {steps: []negotiationStep{{0, 0xf8 | can, true, false}, {0, 0xf8, false, false}}},
		"always, and an old far end":                {policy: CookiesRequired, steps: []negotiationStep{{0, 0, false, true}, {0, can, true, true}}},
		"never":                                     {policy: CookiesOff, steps: []negotiationStep{{0, can, false, false}, {time.Hour, sends, false, false}}},
		"no longer": {policy: CookiesOff, had: CookieUse{true, true}, steps: []negotiationStep{
			{0, requires, true, false}, {0, can | SendsCookies, false, false},
		}},
	} {
		n, now := resume(c.had), time.Hour
		if c.policy == CookiesAuto && n.use(c.policy) != c.had {
			t.Errorf("%s: after a restart %+v", name, n.use(c.policy))
		}
		for i, s := range c.steps {
			now += s.after
			n = n.heard(s.flags, &key, int64(now))
			if got := n.use(c.policy); got != (CookieUse{s.sent, s.required}) {
				t.Errorf("%s, step %d: %+v, want %+v", name, i, got, s)
			}
		}
	}
}

// marked is a bench whose data plane has the cookies that it was told.
type marked struct {
	*bench
	marks  []Cookies
	refuse error
}

func newMarked(t *testing.T, policy CookiePolicy, had CookieUse, remote netip.AddrPort, sequence uint64) *marked {
	m := &marked{bench: &bench{t: t, clock: newClock(), key: testKey(1)}}
	m.Responder = NewResponder(ResponderOptions{
		Now: m.clock.now, Cookies: policy,
		Move: func(uint32, netip.AddrPort) error { return nil },
		Mark: func(tunnel uint32, c Cookies) error {
			if tunnel != 5 {
				t.Errorf("tunnel %d marked", tunnel)
			}
			if m.refuse == nil {
				m.marks = append(m.marks, c)
			}
			return m.refuse
		},
	})
	if err := m.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{m.key, testKey(2)}, Remote: remote, Sequence: sequence, Cookies: had}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *marked) says(sequence uint64, flags Flags) []byte {
	return m.packet(Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: sequence, Flags: flags})
}

// use checks what the data plane was told last.
func (m *marked) use(what string, sent, required bool) {
	m.t.Helper()
	last := m.marks[len(m.marks)-1]
	s, _ := m.State(5)
	if last.Sent != sent || last.Required != required || s.Cookies != (CookieUse{sent, required}) {
		m.t.Errorf("%s: cookies sent %t, required %t, state %+v; want %t, %t", what, last.Sent, last.Required, s.Cookies, sent, required)
	}
}

func TestResponderCookies(t *testing.T) {
	const requires = AcceptsCookies | SendsCookies | RequiresCookies
	m := newMarked(t, CookiesAuto, CookieUse{}, netip.AddrPort{}, 0)
	m.use("new", false, false)
	m.open(natted, 10)
	m.use("open", false, false)
	if a := m.from(natted, m.says(20, AcceptsCookies), OK); a.Flags != AcceptsCookies|SendsCookies {
		t.Errorf("the far end can: PONG with %b", a.Flags)
	}
	m.use("the far end can", true, false)
	m.from(natted, m.says(30, AcceptsCookies|SendsCookies), OK)
	m.clock.t = m.clock.t.Add(cookieGrace)
	if a := m.from(natted, m.says(40, AcceptsCookies|SendsCookies), OK); a.Flags != requires {
		t.Errorf("after the grace: PONG with %b", a.Flags)
	}
	m.use("after the grace", true, true)

	// An attacker sends what came before, and what he can make, from everywhere.
	forged := m.says(50, 0)
	forged[offsetMAC] ^= 1
	stripped := m.says(50, requires)
	stripped[offsetAnnounced] = 0
	for _, source := range []netip.AddrPort{natted, evil} {
		for _, old := range [][]byte{m.ping(10, Nonce{}), m.says(20, AcceptsCookies), m.says(39, 0)} {
			m.from(source, old, Replay)
		}
		m.from(source, forged, BadMAC)
		m.from(source, stripped, BadMAC)
	}
	// An authentic message from elsewhere may have been held back.
	if a := m.from(evil, m.says(41, 0), OK); a.Type != Challenge {
		t.Errorf("from elsewhere: %+v", a)
	}
	m.use("after attacks", true, true)
	// The answer to a CHALLENGE has no room for flags.
	m.from(natted, m.ping(60, Nonce{9}), OK)
	m.use("after an answer to a CHALLENGE", true, true)
	m.open(moved, 70)
	m.use("after a move", true, true)

	marks := len(m.marks)
	m.from(moved, m.says(80, requires), OK)
	if len(m.marks) != marks {
		t.Error("the data plane is told again what it knows")
	}

	// An end of version 1 gets an answer of version 1.
	if a := m.from(moved, m.says(90, 0), OK); a.Type != Pong || a.Flags != 0 {
		t.Errorf("version 1 is answered with %+v", a)
	}
	m.use("the far end was rolled back", false, false)
}

// After a restart an end continues as before, and believes nothing until a message is
// certainly new.
func TestResponderCookiesAfterRestart(t *testing.T) {
	for _, sequence := range []uint64{0, 100} {
		m := newMarked(t, CookiesAuto, CookieUse{true, true}, natted, sequence)
		m.use("restarted", true, true)
		if sequence == 0 {
			// One that was sent before is not known to be old. It is challenged.
			if a := m.from(natted, m.says(50, 0), OK); a.Type != Challenge {
				t.Errorf("a PING of which it is not known whether it is new is answered with %+v", a)
			}
			m.use("challenged", true, true)
			continue
		}
		m.from(natted, m.says(50, 0), Replay)
		m.use("replayed", true, true)
	}
}

// A change that the data plane does not take is not announced to the far end, and is tried
// again.
func TestResponderCookiesRefused(t *testing.T) {
	m := newMarked(t, CookiesAuto, CookieUse{}, natted, 1)
	m.refuse = errors.New("full")
	if a := m.from(natted, m.says(10, AcceptsCookies), Failed); a != nil {
		t.Errorf("answered with %+v", a)
	}
	m.refuse = nil
	if a := m.from(natted, m.says(11, AcceptsCookies), OK); a.Flags != AcceptsCookies|SendsCookies {
		t.Errorf("answered with %+v", a)
	}
	m.use("tried again", true, false)
}

func TestResponderWithoutCookies(t *testing.T) {
	m := newMarked(t, CookiesOff, CookieUse{}, natted, 1)
	if a := m.from(natted, m.says(10, AcceptsCookies), OK); a.Flags != 0 {
		t.Errorf("answered with %+v", a)
	}
	m.use("off", false, false)
	if !slices.Contains(m.marks[0].Accept[:], m.key.Cookie(ToGateway)) {
		t.Error("it does not accept what an end sends that was not told yet")
	}
}

func TestInitiatorCookies(t *testing.T) {
	const sends, requires = AcceptsCookies | SendsCookies, AcceptsCookies | SendsCookies | RequiresCookies
	// cookies are the flags of a PING that are about them.
	cookies := func(ping Message) Flags { return ping.Flags &^ AnswersSolicits }
	s := newStarter(t)
	pong := func(ping Message, flags Flags) {
		t.Helper()
		s.answer(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: ping.Sequence, Flags: flags}, OK)
	}
	use := func(what string, sent, required bool) {
		t.Helper()
		if state, _ := s.State(5); state.Cookies != (CookieUse{sent, required}) {
			t.Errorf("%s: %+v", what, state.Cookies)
		}
	}
	first := s.one()
	if cookies(first) != AcceptsCookies {
		t.Errorf("the first PING has the flags %b", first.Flags)
	}
	// It goes out again, and the answers cross.
	s.clock.t = s.clock.t.Add(2 * time.Second)
	second := s.one()
	pong(second, sends)
	use("the far end can", true, false)
	pong(first, 0)
	use("an answer is late", true, false)
	s.clock.t = s.clock.t.Add(agreeEvery)
	third := s.one()
	if cookies(third) != sends {
		t.Errorf("the third PING has the flags %b", third.Flags)
	}
	pong(third, sends)
	use("after the grace", true, true)
	s.clock.t = s.clock.t.Add(agreeEvery)
	fourth := s.one()
	if cookies(fourth) != requires {
		t.Errorf("the fourth PING has the flags %b", fourth.Flags)
	}
	pong(fourth, requires)
	s.clock.t = s.clock.t.Add(agreeEvery)
	if out := s.poll(); len(out) != 0 {
		t.Errorf("%d PINGs although all is agreed on", len(out))
	}
	s.clock.t = s.clock.t.Add(DefaultInterval)
	fifth := s.one()
	pong(fifth, 0)
	use("the far end was rolled back", false, false)
	// An end that never requires cookies is not asked more often forever.
	early := 0
	for range 100 {
		s.clock.t = s.clock.t.Add(agreeEvery)
		for _, ping := range s.poll() {
			pong(ping, sends)
			early++
		}
	}
	if most := agreeTries + 100*int(agreeEvery)/int(DefaultInterval*8/10) + 2; early > most {
		t.Errorf("%d PINGs in %s, want at most %d", early, 100*agreeEvery, most)
	}
}

// line joins the two ends of a tunnel, whose packets take their time and may be lost, and
// carries data and control packets. Ends are restarted, upgraded and rolled back, and keys
// replaced, in any order. No data packet may be refused.
type line struct {
	*internet
	t        *testing.T
	policies [2]CookiePolicy // gateway, client
	keys     [2][]Key
	has      [2]Cookies // the two data planes
	sequence uint64
	data     []dataPacket
	refused  []string
	cookies  [2]int
}

type dataPacket struct {
	to      int
	cookie  [CookieSize]byte
	has     bool
	arrives time.Time
}

func newLine(t *testing.T, seed uint64) *line {
	l := &line{internet: newInternet(seed), t: t}
	l.remote = l.mapping
	for i := range l.keys {
		l.keys[i] = []Key{testKey(1)}
		l.policies[i] = CookiePolicy(2 * l.IntN(2)) // auto or off
		l.start(i)
	}
	return l
}

// start starts the program of an end, with what the data plane has.
func (l *line) start(end int) {
	mark := func(_ uint32, c Cookies) error { l.has[end] = c; return nil }
	had := CookieUse{l.has[end].Sent, l.has[end].Required}
	var err error
	if end == 0 {
		l.responder = NewResponder(ResponderOptions{
			Now: l.clock.now, Cookies: l.policies[0], Mark: mark,
			Move: func(_ uint32, remote netip.AddrPort) error { l.remote = remote; return nil },
		})
		err = l.responder.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: l.keys[0], Remote: l.remote, Cookies: had})
	} else {
		l.initiator = NewInitiator(InitiatorOptions{
			Now: l.clock.now, Cookies: l.policies[1], Mark: mark, Interval: 2 * time.Second,
			Sequence: func() uint64 { l.sequence++; return l.sequence },
		})
		err = l.initiator.Set(InitiatorTunnel{ID: 5, Local: nodeEnd, Remote: epicEnd, Keys: l.keys[1], Cookies: had})
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) setKeys(end int, keys []Key) {
	l.keys[end] = keys
	var err error
	if end == 0 {
		err = l.responder.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: keys})
	} else {
		err = l.initiator.Set(InitiatorTunnel{ID: 5, Local: nodeEnd, Remote: epicEnd, Keys: keys})
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// carry lets the ends send data for a while.
func (l *line) carry(d time.Duration, loss float64) {
	for range d / time.Millisecond {
		l.step(loss)
		from := l.IntN(2)
		p := dataPacket{to: 1 - from, cookie: l.has[from].Send, has: l.has[from].Sent, arrives: l.clock.t.Add(time.Duration(l.IntN(80)) * time.Millisecond)}
		l.data = append(l.data, p)
		on := l.data
		l.data = l.data[:0]
		for _, p := range on {
			switch {
			case p.arrives.After(l.clock.t):
				l.data = append(l.data, p)
			case p.has && slices.Contains(l.has[p.to].Accept[:], p.cookie):
				l.cookies[p.to]++
			case p.has:
				l.refused = append(l.refused, fmt.Sprintf("%s: end %d refuses a cookie; policies %v, keys %v", l.clock.t, p.to, l.policies, l.ids()))
			case l.has[p.to].Required:
				l.refused = append(l.refused, fmt.Sprintf("%s: end %d misses a cookie; policies %v", l.clock.t, p.to, l.policies))
			}
		}
	}
}

func (l *line) ids() (ids [2][]uint8) {
	for i := range l.keys {
		for _, k := range l.keys[i] {
			ids[i] = append(ids[i], k.ID)
		}
	}
	return ids
}

func TestNoDataIsRefused(t *testing.T) {
	for seed := range uint64(8) {
		l := newLine(t, seed)
		l.carry(5*time.Second, 0)
		next := uint8(2)
		for range 30 {
			end := l.IntN(2)
			loss := []float64{0, 0.1, 0.5}[l.IntN(3)]
			switch l.IntN(4) {
			case 0: // a restart
				l.start(end)
			case 1: // an upgrade, or a rollback by the setting
				l.policies[end] = CookiePolicy(2) - l.policies[end]
				l.start(end)
			case 2: // a new master key: both ends know it before the first is removed
				old, fresh := l.keys[end][0], testKey(next)
				next++
				for _, keys := range [][]Key{{old, fresh}, {fresh, old}, {fresh}} {
					l.setKeys(end, keys)
					l.carry(time.Duration(l.IntN(3000))*time.Millisecond, loss)
					l.setKeys(1-end, keys)
					// Nodes fetch keys every ten minutes, which is many PINGs.
					l.carry(20*time.Second, min(loss, 0.1))
				}
			case 3:
			}
			l.carry(time.Duration(l.IntN(6000))*time.Millisecond, loss)
		}
		if len(l.refused) > 0 {
			t.Errorf("seed %d: %d data packets refused, the first: %s", seed, len(l.refused), l.refused[0])
		}
		// At last both ends use them.
		for i := range l.policies {
			l.policies[i] = CookiesAuto
			l.start(i)
		}
		l.carry(30*time.Second, 0)
		if !l.has[0].Sent || !l.has[0].Required || !l.has[1].Sent || !l.has[1].Required || l.cookies[0] == 0 || l.cookies[1] == 0 {
			t.Errorf("seed %d: in the end %+v", seed, l.has)
		}
	}
}

// An attacker on the path who replays, changes and redirects control packets turns nothing
// off.
func TestAttackerTurnsNothingOff(t *testing.T) {
	for seed := range uint64(6) {
		l := newLine(t, seed)
		// Messages of version 1 are there to be replayed.
		l.policies = [2]CookiePolicy{CookiesOff, CookiesOff}
		l.start(0)
		l.start(1)
		l.carry(10*time.Second, 0)
		l.policies = [2]CookiePolicy{}
		l.start(0)
		l.start(1)
		l.carry(30*time.Second, 0)
		for i := range 20_000 {
			l.attack()
			l.carry(time.Millisecond, 0.1)
			if i%5000 == 2500 {
				l.start(l.IntN(2))
			}
			for end := range l.has {
				if !l.has[end].Sent || !l.has[end].Required {
					t.Fatalf("seed %d: end %d: %+v", seed, end, l.has[end])
				}
			}
		}
		if len(l.refused) > 0 {
			t.Errorf("seed %d: %s", seed, l.refused[0])
		}
		if l.responder.Counts.Of(Replay) == 0 || l.responder.Counts.Of(BadMAC) == 0 {
			t.Errorf("seed %d: there was no attack", seed)
		}
	}
}

func BenchmarkCookie(b *testing.B) {
	key := testKey(1)
	b.ReportAllocs()
	for b.Loop() {
		key.Cookie(ToGateway)
	}
}
