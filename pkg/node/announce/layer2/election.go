// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// MAC is a hardware address.
type MAC [6]byte

// Role is the role of a node for an address.
type Role string

// Values of Role.
const (
	// Idle is a node without a ready proxy.
	Idle Role = "Idle"
	// Candidate is a node that would answer if the owner did not.
	Candidate Role = "Candidate"
	// Owner is the node that answers.
	Owner Role = "Owner"
	// Leaving is an owner that is no longer ready, and answers until another does.
	Leaving Role = "Leaving"
)

const (
	// probeEvery is the interval of a candidate's probes, and missing the number of
	// unanswered probes after which it takes over.
	probeEvery, missing = 500 * time.Millisecond, 3
	// candidateFor is how long a candidate counts as present after its last probe.
	candidateFor = missing * probeEvery
	// steady is how long a candidate has to be present before the owner hands over to it.
	steady = 10 * time.Second
	// leaveWithin is how long an owner that is not ready waits for a successor.
	leaveWithin = 30 * time.Second
	// announceEvery is the interval of an owner's announcements, in case two owners do
	// not know of each other. A new owner sends several in a row, because some may be
	// lost.
	announceEvery, announceSoon, announceFirst = 10 * time.Second, 200 * time.Millisecond, 3
	// defendEvery limits the announcements triggered by those of another node.
	defendEvery = 200 * time.Millisecond
	// maxCandidates limits the number of remembered candidates.
	maxCandidates = 64
)

// Action is a message to send.
type Action uint8

// Values of Action.
const (
	Probe Action = iota + 1
	Announce
)

// Election is the election of the owner of one address on one interface.
type Election struct {
	address netip.Addr
	mine    MAC
	pace    time.Duration

	role Role
	// others holds the candidates that were heard.
	others map[MAC]seen
	// owner is the node that last claimed the address.
	owner MAC
	// claimed is when it did, or when this node began to listen.
	claimed time.Time
	// probe and announce are when the next ones are due; announced counts announcements.
	probe, announce time.Time
	announced       int
	defended, left  time.Time
}

// seen records when a candidate was first heard without interruption, and last heard.
type seen struct {
	first, last time.Time
	// better is set if it comes before this node in the order.
	better bool
}

// NewElection returns an election in which this node does not participate yet.
func NewElection(address netip.Addr, mine MAC, now time.Time) *Election {
	return &Election{address: address, mine: mine, pace: probeEvery, role: Idle, others: map[MAC]seen{}, claimed: now}
}

// Role returns the role of this node.
func (e *Election) Role() Role { return e.role }

// Holder returns the node that last claimed the address. It is the zero value before
// that.
func (e *Election) Holder() MAC {
	if e.role == Owner || e.role == Leaving {
		return e.mine
	}
	return e.owner
}

// SetPace sets the interval of probes: longer if there are very many addresses.
func (e *Election) SetPace(pace time.Duration) { e.pace = max(pace, probeEvery) }

// rank returns a node's rank in the order: higher comes first.
func (e *Election) rank(m MAC) uint64 {
	sum := sha256.Sum256(append(e.address.AsSlice(), m[:]...))
	return binary.BigEndian.Uint64(sum[:])
}

// before reports whether node a comes before node b.
func (e *Election) before(a, b MAC) bool {
	if x, y := e.rank(a), e.rank(b); x != y {
		return x > y
	}
	return bytes.Compare(a[:], b[:]) > 0
}

// Ready sets whether this node has a ready proxy of the address.
func (e *Election) Ready(ready bool, now time.Time) {
	switch {
	case ready && e.role == Idle:
		e.role, e.claimed, e.probe = Candidate, now, now
	case ready && e.role == Leaving:
		e.role = Owner
	case !ready && e.role == Candidate:
		e.role = Idle
	case !ready && e.role == Owner:
		e.role, e.left = Leaving, now
	}
}

// Probed handles a probe of another node for the address. It reports whether to answer.
func (e *Election) Probed(by MAC, now time.Time) bool {
	if by == e.mine {
		return false
	}
	s, known := e.others[by]
	switch {
	case known && now.Sub(s.last) <= candidateFor*2:
		s.last = now
	case !known && len(e.others) >= maxCandidates:
		return e.answers()
	default:
		s = seen{now, now, e.before(by, e.mine)}
	}
	e.others[by] = s
	return e.answers() && !e.handsTo(by, now)
}

// handsTo reports whether this owner should hand over to another node.
func (e *Election) handsTo(other MAC, now time.Time) bool {
	if e.role == Leaving {
		return true
	}
	s, there := e.others[other]
	return there && e.role == Owner && s.better && now.Sub(s.last) <= candidateFor && now.Sub(s.first) >= steady
}

// Asked reports whether to answer a host that resolves the address.
func (e *Election) Asked() bool { return e.answers() }

func (e *Election) answers() bool { return e.role == Owner || e.role == Leaving }

// Claimed handles an answer or an announcement of another node for the address.
func (e *Election) Claimed(by MAC, now time.Time) {
	if by == e.mine {
		return
	}
	switch e.role {
	case Owner:
		if e.before(e.mine, by) {
			// The other node did not hear this owner. It will.
			if now.Sub(e.defended) >= defendEvery {
				e.defended, e.announce = now, now
			}
			return
		}
		e.role, e.probe = Candidate, now.Add(e.pace)
	case Leaving:
		e.role = Idle
	case Idle, Candidate:
	}
	e.owner, e.claimed = by, now
}

// takeover returns when a candidate takes over an address unless it hears an owner:
// candidates that come first in the order take over first.
func (e *Election) takeover(now time.Time) time.Time {
	place := 0
	for _, s := range e.others {
		if s.better && now.Sub(s.last) <= candidateFor {
			place++
		}
	}
	return e.claimed.Add(time.Duration(missing+place) * e.pace)
}

// Tick performs due work, and returns what to send.
func (e *Election) Tick(now time.Time) []Action {
	var out []Action
	for m, s := range e.others {
		if now.Sub(s.last) > 2*steady {
			delete(e.others, m)
		}
	}
	switch e.role {
	case Candidate:
		if !now.Before(e.takeover(now)) {
			e.role, e.announce, e.announced = Owner, now, 0
			break
		}
		if !now.Before(e.probe) {
			e.probe = now.Add(e.pace)
			out = append(out, Probe)
		}
	case Leaving:
		if now.Sub(e.left) >= leaveWithin {
			e.role = Idle
		}
	case Idle, Owner:
	}
	if e.role == Owner && !now.Before(e.announce) {
		e.announced++
		e.announce = now.Add(announceEvery)
		if e.announced < announceFirst {
			e.announce = now.Add(announceSoon)
		}
		if !e.handsOver(now) {
			out = append(out, Announce)
		}
	}
	return out
}

// handsOver reports whether this owner is handing over to another node, which must not
// receive its announcements.
func (e *Election) handsOver(now time.Time) bool {
	for m := range e.others {
		if e.handsTo(m, now) {
			return true
		}
	}
	return false
}

// Over reports whether there is nothing left to do for the address.
func (e *Election) Over() bool { return e.role == Idle }
