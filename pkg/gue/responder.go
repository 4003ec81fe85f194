// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// challengeLife is how long a nonce is valid. It exceeds the longest round trip and is
// shorter than the time in which somebody else could get a NAT's mapping.
const challengeLife = 5 * time.Second

// ErrKeys indicates that a tunnel has no usable key.
var ErrKeys = errors.New("a tunnel needs at least one key, each with a unique ID from 1 to 255")

// Responder is the gateway node's end of its tunnels. It answers PINGs, and moves the
// remote of a tunnel when the client node has proven its address. It has no socket. Its
// methods may be called concurrently.
type Responder struct {
	// Counts counts received packets, by result.
	Counts Counts

	now    func() time.Time
	start  time.Time
	random io.Reader
	move   func(tunnel uint32, remote netip.AddrPort) error
	stale  func(tunnel uint32)
	policy CookiePolicy
	mark   func(tunnel uint32, c Cookies) error

	mu      sync.Mutex
	peers   map[uint32]*peer
	locals  map[netip.AddrPort]*netip.AddrPort
	sources *limiter
}

// ResponderTunnel configures a tunnel of a Responder.
type ResponderTunnel struct {
	ID uint32
	// Local is this end: PINGs to another address do not belong to this tunnel.
	Local netip.AddrPort
	// Keys are the accepted keys. The Responder keeps the slice, which must not change.
	Keys []Key
	// Remote is the verified remote from before this program started, if any, and
	// Sequence the last sequence number that it used, 0 if unknown. Both only count if
	// the tunnel is new to the Responder.
	Remote   netip.AddrPort
	Sequence uint64
	// Cookies is how cookies were used before this program started. It only counts if the
	// tunnel is new to the Responder.
	Cookies CookieUse
}

// peer is the state of a tunnel.
type peer struct {
	// local is shared by all tunnels of one end.
	local *netip.AddrPort
	keys  []Key
	// remoteAddress and remotePort are the address of the far end, and rtt is the
	// round-trip time in microseconds. They are arranged to use little memory: a node may
	// have a hundred thousand tunnels.
	remoteAddress netip.Addr
	remotePort    uint16
	// fresh indicates that sequence is certainly the last number that was used.
	// Otherwise, for example after a restart, even the verified remote has to prove that
	// its PING is not a replay.
	fresh bool
	rtt   uint32
	// sequence is the last number.
	sequence uint64
	// challenge is the one that awaits its answer, or nil.
	challenge *challenge
	cookies   negotiation
	// seen is in nanoseconds since the start.
	seen int64
}

// remote returns the far end's address and port.
func (p *peer) remote() netip.AddrPort { return netip.AddrPortFrom(p.remoteAddress, p.remotePort) }

func (p *peer) move(remote netip.AddrPort) {
	p.remoteAddress, p.remotePort = remote.Addr(), remote.Port()
}

// challenge is a nonce that was sent to an address.
type challenge struct {
	nonce Nonce
	to    netip.AddrPort
	// end is in nanoseconds since the start.
	end int64
}

// ResponderOptions configures a Responder.
type ResponderOptions struct {
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Random is the source of nonces; the system's if nil.
	Random io.Reader
	// Move is called when the remote of a tunnel was verified, before the PONG is sent.
	// If it returns an error, the remote stays unchanged and no answer is sent, so the
	// client node retries. It must not call the Responder.
	Move func(tunnel uint32, remote netip.AddrPort) error
	// Cookies is the policy for cookies.
	Cookies CookiePolicy
	// Mark is called when the cookies of a tunnel change, before the far end is informed.
	// If it returns an error, they stay unchanged and no answer is sent. It must not call
	// the Responder. May be nil.
	Mark func(tunnel uint32, c Cookies) error
	// Suspect is called for a message whose key is unknown or does not match: keys may
	// have been replaced. Anybody can cause it. It must not block or call the Responder.
	// May be nil.
	Suspect func(tunnel uint32)
}

// NewResponder returns a Responder without tunnels.
func NewResponder(o ResponderOptions) *Responder {
	r := &Responder{now: o.Now, random: o.Random, move: o.Move, stale: o.Suspect, policy: o.Cookies, mark: o.Mark, peers: map[uint32]*peer{}, locals: map[netip.AddrPort]*netip.AddrPort{}, sources: newLimiter()}
	if r.now == nil {
		r.now = time.Now
	}
	if r.random == nil {
		r.random = rand.Reader
	}
	if r.stale == nil {
		r.stale = func(uint32) {}
	}
	if r.mark == nil {
		r.mark = func(uint32, Cookies) error { return nil }
	}
	// One second earlier, so no time since the start is 0.
	r.start = r.now().Add(-time.Second)
	return r
}

// Set adds a tunnel, or changes its local end and its keys.
func (r *Responder) Set(t ResponderTunnel) error {
	if err := checkKeys(t.ID, t.Keys); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[t.ID]
	if p == nil {
		p = &peer{sequence: t.Sequence, fresh: t.Sequence != 0, cookies: resume(t.Cookies)}
		p.move(unmap(t.Remote))
		r.peers[t.ID] = p
	}
	p.local = r.localEnd(unmap(t.Local))
	if slices.Equal(p.keys, t.Keys) {
		return nil
	}
	keys := t.Keys
	if p.cookies.proven == nil {
		p.cookies.proven = &keys[0]
	}
	if err := r.mark(t.ID, p.cookies.cookies(r.policy, keys, ToClient)); err != nil {
		return err
	}
	p.keys = keys
	return nil
}

// localEnd returns a shared pointer to an address. There are few.
func (r *Responder) localEnd(local netip.AddrPort) *netip.AddrPort {
	end := r.locals[local]
	if end == nil {
		end = &local
		r.locals[local] = end
	}
	return end
}

// hear handles the flags of the far end.
func (r *Responder) hear(tunnel uint32, p *peer, flags Flags, key *Key, at int64) error {
	next := p.cookies.heard(flags, key, at)
	if next.use(r.policy) != p.cookies.use(r.policy) || *next.proven != *p.cookies.proven {
		if err := r.mark(tunnel, next.cookies(r.policy, p.keys, ToClient)); err != nil {
			return err
		}
	}
	p.cookies = next
	return nil
}

// Remove removes a tunnel.
func (r *Responder) Remove(tunnel uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.peers, tunnel)
}

// Handle handles a packet that was sent from one address to another. If it returns true,
// reply has to be sent in the other direction.
func (r *Responder) Handle(local, from netip.AddrPort, packet []byte, reply *[PacketSize]byte) (Result, bool) {
	var m Message
	if m.Decode(packet) != nil {
		return r.Counts.add(Malformed), false
	}
	local, from = unmap(local), unmap(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	at := int64(r.now().Sub(r.start))
	p := r.peers[m.Tunnel]
	if (p == nil || p.remote() != from) && !r.sources.allow(from.Addr(), at) {
		return r.Counts.add(Limited), false
	}
	result, key := r.check(p, &m, local, packet)
	if result != OK {
		return r.Counts.add(result), false
	}
	p.sequence, p.seen, p.rtt = m.Sequence, at, microseconds(m.RTT)
	answer := Message{Tunnel: m.Tunnel, KeyID: m.KeyID, Sequence: m.Sequence, Type: Pong}
	switch {
	case p.challenge != nil && p.challenge.to == from && at < p.challenge.end && m.Nonce == p.challenge.nonce:
		if p.remote() != from {
			if err := r.move(m.Tunnel, from); err != nil {
				return r.Counts.add(Failed), false
			}
			p.move(from)
		}
		p.challenge, p.fresh = nil, true
	case p.remote() == from && p.fresh:
		if m.Nonce != (Nonce{}) {
			break // the answer to a CHALLENGE has no room for flags
		}
		if err := r.hear(m.Tunnel, p, m.Flags, key, at); err != nil {
			return r.Counts.add(Failed), false
		}
		if m.Flags != 0 {
			answer.Flags = p.cookies.flags(r.policy)
		}
	default:
		c := challenge{to: from, end: at + int64(challengeLife)}
		if _, err := io.ReadFull(r.random, c.nonce[:]); err != nil {
			p.challenge = nil
			return r.Counts.add(Failed), false
		}
		p.challenge = &c
		answer.Type, answer.Nonce = Challenge, c.nonce
	}
	answer.Encode(reply, &key.Bytes)
	return r.Counts.add(OK), true
}

// Solicit returns a packet that requests a PING from the far end of a tunnel, with its
// addresses. It returns false if the far end is unknown, or does not support such
// packets.
func (r *Responder) Solicit(tunnel uint32) (Packet, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[tunnel]
	if p == nil || !p.fresh || !p.remote().IsValid() || p.cookies.said&AnswersSolicits == 0 {
		return Packet{}, false
	}
	key := &p.keys[0]
	if n := p.cookies.proven; n != nil && !p.cookies.retired(p.keys) {
		key = n
	}
	out := Packet{Local: *p.local, Remote: p.remote()}
	m := Message{Tunnel: tunnel, Type: Solicit, KeyID: key.ID, Sequence: p.sequence}
	m.Encode(&out.Bytes, &key.Bytes)
	return out, true
}

func (r *Responder) check(p *peer, m *Message, local netip.AddrPort, packet []byte) (Result, *Key) {
	if p == nil {
		return UnknownTunnel, nil
	}
	if m.Type != Ping {
		return Unexpected, nil
	}
	if local != *p.local {
		return WrongAddress, nil
	}
	i := slices.IndexFunc(p.keys, func(k Key) bool { return k.ID == m.KeyID })
	if i < 0 {
		r.stale(m.Tunnel)
		return UnknownKey, nil
	}
	if !Authentic(packet, &p.keys[i].Bytes) {
		// A new master key may have the ID of an earlier one.
		r.stale(m.Tunnel)
		return BadMAC, nil
	}
	if m.Sequence <= p.sequence {
		return Replay, nil
	}
	return OK, &p.keys[i]
}

// PeerState is the state of a tunnel's far end.
type PeerState struct {
	// Remote is its verified address, or the zero value if there is none.
	Remote netip.AddrPort
	// Seen is when its last authentic message was received, or the zero time if none was.
	Seen time.Time
	// RTT is the last measured round-trip time, 0 if there is none.
	RTT time.Duration
	// Sequence is the last sequence number that it used.
	Sequence uint64
	// Up indicates that it answers. Only an Initiator sets it; on a gateway node, derive
	// it from Seen.
	Up bool
	// Unanswered is the number of consecutive unanswered PINGs. Initiator only.
	Unanswered int
	// Cookies is how the tunnel uses cookies.
	Cookies CookieUse
}

// State returns the state of a tunnel, and false if it does not exist.
func (r *Responder) State(tunnel uint32) (PeerState, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[tunnel]
	if !ok {
		return PeerState{}, false
	}
	return r.state(p), true
}

// Each calls see for each tunnel, in any order. see must not call the Responder.
func (r *Responder) Each(see func(tunnel uint32, s PeerState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range r.peers {
		see(id, r.state(p))
	}
}

func (r *Responder) state(p *peer) PeerState {
	s := PeerState{Remote: p.remote(), RTT: time.Duration(p.rtt) * time.Microsecond, Sequence: p.sequence, Cookies: p.cookies.use(r.policy)}
	if p.seen != 0 {
		s.Seen = r.start.Add(time.Duration(p.seen))
	}
	return s
}

func checkKeys(tunnel uint32, keys []Key) error {
	ids := map[uint8]bool{}
	for _, k := range keys {
		if k.ID == 0 || ids[k.ID] {
			return fmt.Errorf("tunnel %d: %w", tunnel, ErrKeys)
		}
		ids[k.ID] = true
	}
	if len(keys) == 0 {
		return fmt.Errorf("tunnel %d: %w", tunnel, ErrKeys)
	}
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
