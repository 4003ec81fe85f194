// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultInterval is the time between PINGs on a working tunnel. NATs keep a UDP
	// mapping for 30 seconds or more after the last packet. The PINGs of 10,000 tunnels
	// are 2,000 packets a second.
	DefaultInterval = 5 * time.Second
	// DefaultRate is the maximum number of PINGs that a node sends per second.
	DefaultRate = 2000

	// The first retry is sent after a round trip with a margin, or after firstRetry if
	// none has been measured.
	firstRetry, minRetry = time.Second, 200 * time.Millisecond
	// upFor is the number of consecutive PINGs that may be unanswered on a tunnel that is up.
	upFor = 3
	// jitter is the fraction by which a pause is shortened randomly, so tunnels that were
	// opened together do not stay synchronized.
	jitter = 0.2
	// outstanding is the number of PINGs whose answers are awaited.
	outstanding = 4
	// staleAfter is the number of unanswered PINGs after which keys are suspected to be
	// stale.
	staleAfter = 4
	burst      = 64
	// hurryWithin is how soon a PING has to be due for Hurry to do nothing.
	hurryWithin = time.Second
	// challengesAtOnce is the number of consecutive CHALLENGEs that are answered
	// immediately.
	challengesAtOnce = 3
	// agreeEvery is the pause between PINGs until both ends reject packets without
	// cookies, agreeTries the maximum number of such PINGs in a row.
	agreeEvery, agreeTries = 4 * time.Second, 8
)

// Initiator is the client node's end of its tunnels. It opens them, keeps them open
// through NAT, and measures. It has no socket. Its methods may be called concurrently.
type Initiator struct {
	// Counts counts received packets, by result.
	Counts Counts

	now      func() time.Time
	random   *rand.Rand
	sequence func() uint64
	interval time.Duration
	rate     float32
	stale    func(tunnel uint32)
	policy   CookiePolicy
	mark     func(tunnel uint32, c Cookies) error
	wake     chan struct{}

	mu    sync.Mutex
	start time.Time
	peers map[uint32]*target
	queue targets
	send  bucket
}

// InitiatorTunnel configures a tunnel of an Initiator.
type InitiatorTunnel struct {
	ID uint32
	// Local and Remote are the two ends, as seen by the client node.
	Local, Remote netip.AddrPort
	// Keys are the accepted keys; PINGs are authenticated by the first.
	Keys []Key
	// Cookies is how cookies were used before this program started. It only counts if the
	// tunnel is new to the Initiator.
	Cookies CookieUse
}

// InitiatorOptions configures an Initiator.
type InitiatorOptions struct {
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Seed makes pauses reproducible in tests; random if 0.
	Seed uint64
	// Sequence returns the sequence number of each PING.
	Sequence func() uint64
	// Interval is the time between PINGs on a working tunnel.
	Interval time.Duration
	// Rate is the maximum number of PINGs per second.
	Rate int
	// Cookies is the policy for cookies.
	Cookies CookiePolicy
	// Mark is called when the cookies of a tunnel change, before the far end is informed.
	// If it returns an error, they stay unchanged. It must not call the Initiator. May be
	// nil.
	Mark func(tunnel uint32, c Cookies) error
	// Unanswered is called repeatedly while PINGs are unanswered for a while: keys may
	// have been replaced. It must not block or call the Initiator. May be nil.
	Unanswered func(tunnel uint32)
}

type target struct {
	InitiatorTunnel
	// due is when the next PING is sent; index is its position in the queue.
	due   time.Time
	index int
	// sent holds the PINGs that may still be answered, newest first.
	sent       [outstanding]sentPing
	unanswered int
	pong       time.Time
	srtt       time.Duration
	rttvar     time.Duration
	last       time.Duration
	// answer is the nonce for the next PING.
	answer Nonce
	// challenges counts those since the last PONG.
	challenges int
	// answered is the sequence number of the last PING that got a PONG.
	answered uint64
	cookies  negotiation
	// agreeing counts the PINGs that were sent early to agree on cookies; heard is the
	// sequence number of the last one whose answer affected them.
	agreeing uint8
	heard    uint64
}

type sentPing struct {
	sequence uint64
	at       time.Time
	// announced indicates that it had room for flags.
	announced bool
}

// NewInitiator returns an Initiator without tunnels.
func NewInitiator(o InitiatorOptions) *Initiator {
	i := &Initiator{now: o.Now, sequence: o.Sequence, interval: o.Interval, rate: float32(o.Rate), stale: o.Unanswered, policy: o.Cookies, mark: o.Mark, peers: map[uint32]*target{}, wake: make(chan struct{}, 1)}
	if i.now == nil {
		i.now = time.Now
	}
	if i.interval <= 0 {
		i.interval = DefaultInterval
	}
	if i.rate <= 0 {
		i.rate = DefaultRate
	}
	if i.stale == nil {
		i.stale = func(uint32) {}
	}
	if i.mark == nil {
		i.mark = func(uint32, Cookies) error { return nil }
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // pauses are not secret
	}
	i.random = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // pauses are not secret
	i.start = i.now().Add(-time.Second)
	return i
}

// Set adds a tunnel, which is opened immediately, or changes it. If its ends or its first
// key change, it is opened again.
func (i *Initiator) Set(t InitiatorTunnel) error {
	if err := checkKeys(t.ID, t.Keys); err != nil {
		return err
	}
	t.Local, t.Remote, t.Keys = unmap(t.Local), unmap(t.Remote), slices.Clone(t.Keys)
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.peers[t.ID]
	if p == nil {
		p = &target{InitiatorTunnel: t, due: i.now(), cookies: resume(t.Cookies)}
		p.cookies.proven = &t.Keys[0]
		if err := i.mark(t.ID, p.cookies.cookies(i.policy, t.Keys, ToGateway)); err != nil {
			return err
		}
		i.peers[t.ID] = p
		heap.Push(&i.queue, p)
		i.wakeUp()
		return nil
	}
	if !slices.Equal(p.Keys, t.Keys) {
		if err := i.mark(t.ID, p.cookies.cookies(i.policy, t.Keys, ToGateway)); err != nil {
			return err
		}
	}
	again := p.Local != t.Local || p.Remote != t.Remote || p.Keys[0] != t.Keys[0]
	p.InitiatorTunnel = t
	if again {
		p.answer, p.sent, p.unanswered = Nonce{}, [outstanding]sentPing{}, 0
		p.due = i.now()
		heap.Fix(&i.queue, p.index)
		i.wakeUp()
	}
	return nil
}

// Remove removes a tunnel.
func (i *Initiator) Remove(tunnel uint32) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := i.peers[tunnel]; p != nil {
		heap.Remove(&i.queue, p.index)
		delete(i.peers, tunnel)
	}
}

// Hurry sends a PING immediately, unless one awaits its answer and will be repeated soon.
// The far end may no longer know the address of this one, for example if a NAT has
// assigned another port to the tunnel. If Hurry returns true, Poll has something to send.
func (i *Initiator) Hurry(tunnel uint32) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.peers[tunnel]
	if p == nil || !i.hurry(p) {
		return false
	}
	i.wakeUp()
	return true
}

func (i *Initiator) hurry(p *target) bool {
	now := i.now()
	if p.unanswered > 0 && !p.due.After(now.Add(hurryWithin)) {
		return false
	}
	p.due = now
	heap.Fix(&i.queue, p.index)
	return true
}

// solicited sends a PING because the far end requests one. The far end names the last
// PING that it received. A replayed message contains an older number.
func (i *Initiator) solicited(p *target, sequence uint64) (Result, bool) {
	if sequence != p.answered && !slices.ContainsFunc(p.sent[:], func(s sentPing) bool { return s.sequence == sequence }) {
		return i.Counts.add(Replay), false
	}
	return i.Counts.add(OK), i.hurry(p)
}

// Poll calls emit with each PING that is due, and returns when it must be called again,
// at most a minute from now. A call of Set or Handle may make that earlier. emit must not
// call the Initiator.
func (i *Initiator) Poll(emit func(local, remote netip.AddrPort, packet *[PacketSize]byte)) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	for len(i.queue) > 0 {
		p := i.queue[0]
		if p.due.After(now) {
			return earlier(p.due, now.Add(time.Minute))
		}
		if !i.send.take(int64(now.Sub(i.start)), i.rate, burst) {
			return now.Add(time.Duration(float32(time.Second) / i.rate))
		}
		var packet [PacketSize]byte
		i.ping(p, now, &packet)
		emit(p.Local, p.Remote, &packet)
	}
	return now.Add(time.Minute)
}

func (i *Initiator) ping(p *target, now time.Time, packet *[PacketSize]byte) {
	m := Message{Tunnel: p.ID, Type: Ping, KeyID: p.Keys[0].ID, Sequence: i.sequence(), RTT: p.last, Nonce: p.answer}
	announced := p.answer == Nonce{}
	if announced {
		if m.Flags = p.cookies.flags(i.policy); m.Flags != 0 {
			m.Flags |= AnswersSolicits
		}
	}
	m.Encode(packet, &p.Keys[0].Bytes)
	p.answer = Nonce{}
	copy(p.sent[1:], p.sent[:])
	p.sent[0] = sentPing{m.Sequence, now, announced}
	p.unanswered++
	if p.unanswered >= staleAfter {
		i.stale(p.ID)
	}
	i.schedule(p, now, min(i.retry(p)<<min(p.unanswered-1, 16), i.interval))
}

// retry returns the initial time to wait for an answer, as specified in RFC 6298.
func (i *Initiator) retry(p *target) time.Duration {
	if p.srtt == 0 {
		return firstRetry
	}
	return min(max(p.srtt+4*p.rttvar, minRetry), i.interval)
}

func (i *Initiator) schedule(p *target, now time.Time, pause time.Duration) {
	p.due = now.Add(pause - time.Duration(i.random.Float64()*jitter*float64(pause)))
	heap.Fix(&i.queue, p.index)
}

// Handle handles a packet that was sent from one address to another. If it returns true,
// Poll has something to send.
func (i *Initiator) Handle(local, from netip.AddrPort, packet []byte) (Result, bool) {
	var m Message
	if m.Decode(packet) != nil {
		return i.Counts.add(Malformed), false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.peers[m.Tunnel]
	switch {
	case p == nil:
		return i.Counts.add(UnknownTunnel), false
	case m.Type == Ping:
		return i.Counts.add(Unexpected), false
	case unmap(from) != p.Remote || unmap(local) != p.Local:
		return i.Counts.add(WrongAddress), false
	}
	k := slices.IndexFunc(p.Keys, func(k Key) bool { return k.ID == m.KeyID })
	if k < 0 {
		i.stale(p.ID)
		return i.Counts.add(UnknownKey), false
	}
	if !Authentic(packet, &p.Keys[k].Bytes) {
		return i.Counts.add(BadMAC), false
	}
	if m.Type == Solicit {
		return i.solicited(p, m.Sequence)
	}
	s := slices.IndexFunc(p.sent[:], func(s sentPing) bool { return s.sequence == m.Sequence })
	if s < 0 {
		return i.Counts.add(Replay), false
	}
	now, announced := i.now(), p.sent[s].announced
	i.measure(p, now.Sub(p.sent[s].at))
	p.sent[s] = sentPing{}
	if m.Type == Challenge {
		if s != 0 {
			// A newer PING is in flight, and gets its own challenge.
			return i.Counts.add(OK), false
		}
		p.answer = m.Nonce
		if p.challenges++; p.challenges > challengesAtOnce {
			// An end that keeps sending challenges is answered at the pace of retries.
			return i.Counts.add(OK), false
		}
		p.due = now
		p.unanswered = max(p.unanswered-1, 0)
		heap.Fix(&i.queue, p.index)
		return i.Counts.add(OK), true
	}
	p.pong, p.unanswered, p.challenges = now, 0, 0
	p.answered = max(p.answered, m.Sequence)
	if !announced {
		// The PING could not announce anything about cookies, so the PONG does not
		// either.
		if i.policy == CookiesOff {
			i.schedule(p, now, i.interval)
			return i.Counts.add(OK), false
		}
		p.due = now
		heap.Fix(&i.queue, p.index)
		return i.Counts.add(OK), true
	}
	if m.Sequence > p.heard {
		if i.hear(p, m.Flags, &p.Keys[k], now) != nil {
			return i.Counts.add(Failed), false
		}
		p.heard = m.Sequence
	}
	if p.cookies.complete(i.policy) {
		p.agreeing = 0
	} else if p.agreeing < agreeTries {
		p.agreeing++
		i.schedule(p, now, min(i.interval, agreeEvery))
		return i.Counts.add(OK), true
	}
	i.schedule(p, now, i.interval)
	return i.Counts.add(OK), false
}

// hear handles the flags of the far end.
func (i *Initiator) hear(p *target, flags Flags, key *Key, now time.Time) error {
	next := p.cookies.heard(flags, key, int64(now.Sub(i.start)))
	if next.use(i.policy) != p.cookies.use(i.policy) || *next.proven != *p.cookies.proven {
		if err := i.mark(p.ID, next.cookies(i.policy, p.Keys, ToGateway)); err != nil {
			return err
		}
	}
	p.cookies = next
	return nil
}

// measure smooths round trips as RFC 6298 does.
func (i *Initiator) measure(p *target, rtt time.Duration) {
	rtt = max(rtt, time.Microsecond)
	p.last = rtt
	if p.srtt == 0 {
		p.srtt, p.rttvar = rtt, rtt/2
		return
	}
	p.rttvar += ((p.srtt - rtt).Abs() - p.rttvar) / 4
	p.srtt += (rtt - p.srtt) / 8
}

// State returns the state of a tunnel, and false if it does not exist.
func (i *Initiator) State(tunnel uint32) (PeerState, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, ok := i.peers[tunnel]
	if !ok {
		return PeerState{}, false
	}
	return i.state(p), true
}

// Each calls see for each tunnel, in any order. see must not call the Initiator.
func (i *Initiator) Each(see func(tunnel uint32, s PeerState)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, p := range i.peers {
		see(id, i.state(p))
	}
}

func (i *Initiator) state(p *target) PeerState {
	return PeerState{
		Remote: p.Remote, Seen: p.pong, RTT: p.last, Sequence: p.sent[0].sequence,
		Up: !p.pong.IsZero() && p.unanswered <= upFor, Unanswered: p.unanswered,
		Cookies: p.cookies.use(i.policy),
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// targets is a heap of tunnels by the time at which they are due.
type targets []*target

func (t targets) Len() int           { return len(t) }
func (t targets) Less(a, b int) bool { return t[a].due.Before(t[b].due) }
func (t targets) Swap(a, b int) {
	t[a], t[b] = t[b], t[a]
	t[a].index, t[b].index = a, b
}

// Push implements heap.Interface.
func (t *targets) Push(x any) {
	p := x.(*target) //nolint:forcetypeassert,errcheck // only Initiator uses it
	p.index = len(*t)
	*t = append(*t, p)
}

// Pop implements heap.Interface.
func (t *targets) Pop() any {
	last := len(*t) - 1
	p := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	return p
}
