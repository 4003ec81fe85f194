// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// internet carries packets between the two ends of a tunnel, through a NAT whose
// mapping changes, with loss, delay and an attacker. The attacker sees each packet
// that arrives, and sends copies and changed copies, from any address, in any order,
// to either end.
type internet struct {
	*rand.Rand
	clock     *clock
	responder *Responder
	initiator *Initiator
	// mapping is the NAT's now; mappings are everything that it ever had.
	mapping  netip.AddrPort
	mappings []netip.AddrPort
	flying   []flight
	seen     []flight
	remote   netip.AddrPort
	wrong    []string
	// answered counts answers to the attacker, solicited what the gateway asks.
	answered, solicited int
}

type flight struct {
	toEPIC   bool
	from     netip.AddrPort
	packet   [PacketSize]byte
	arrives  time.Time
	attacker bool
}

func newInternet(seed uint64) *internet {
	n := &internet{Rand: rand.New(rand.NewPCG(seed, 1)), clock: newClock()}
	n.remap()
	n.responder = NewResponder(ResponderOptions{
		Now: n.clock.now,
		Move: func(_ uint32, remote netip.AddrPort) error {
			n.remote = remote
			if !slices.Contains(n.mappings, remote) {
				n.wrong = append(n.wrong, fmt.Sprintf("the remote moved to %s", remote))
			}
			return nil
		},
	})
	sequence := uint64(0)
	n.initiator = NewInitiator(InitiatorOptions{Now: n.clock.now, Seed: seed + 1, Sequence: func() uint64 { sequence++; return sequence }})
	return n
}

func (n *internet) remap() {
	n.mapping = netip.AddrPortFrom(natted.Addr(), uint16(1024+len(n.mappings)))
	n.mappings = append(n.mappings, n.mapping)
}

func (n *internet) send(f flight, loss float64) {
	if n.Float64() < loss {
		return
	}
	f.arrives = n.clock.t.Add(time.Duration(n.IntN(80)) * time.Millisecond)
	n.flying = append(n.flying, f)
}

// step lets a millisecond pass.
func (n *internet) step(loss float64) {
	n.clock.t = n.clock.t.Add(time.Millisecond)
	n.initiator.Poll(func(_, _ netip.AddrPort, packet *[PacketSize]byte) {
		n.send(flight{toEPIC: true, from: n.mapping, packet: *packet}, loss)
	})
	if n.clock.t.UnixMilli()%200 == 0 {
		if p, ok := n.responder.Solicit(5); ok && p.Remote == n.mapping {
			n.solicited++
			n.flying = append(n.flying, flight{from: epicEnd, packet: p.Bytes, arrives: n.clock.t.Add(40 * time.Millisecond)})
		}
	}
	now := n.flying
	n.flying = nil
	for _, f := range now {
		if f.arrives.After(n.clock.t) {
			n.flying = append(n.flying, f)
			continue
		}
		if !f.attacker {
			n.seen = append(n.seen, f)
		}
		n.arrive(f, loss)
	}
}

func (n *internet) arrive(f flight, loss float64) {
	if !f.toEPIC {
		n.initiator.Handle(nodeEnd, f.from, f.packet[:])
		return
	}
	var reply [PacketSize]byte
	if _, answer := n.responder.Handle(epicEnd, f.from, f.packet[:], &reply); !answer {
		return
	}
	if f.attacker {
		n.answered++
	}
	// Only the present mapping leads to the node.
	if f.from == n.mapping {
		n.send(flight{from: epicEnd, packet: reply}, loss)
	}
}

func (n *internet) attack() {
	if len(n.seen) == 0 {
		return
	}
	f := n.seen[n.IntN(len(n.seen))]
	f.attacker = true
	f.toEPIC = n.IntN(4) > 0
	sources := []netip.AddrPort{evil, f.from, n.mapping, epicEnd, netip.AddrPortFrom(evil.Addr(), uint16(1+n.IntN(60000)))}
	f.from = sources[n.IntN(len(sources))]
	for range n.IntN(4) {
		f.packet[n.IntN(PacketSize)] ^= 1 << n.IntN(8)
	}
	n.send(f, 0)
}

func TestAttackerMovesNothing(t *testing.T) {
	for seed := range uint64(6) {
		n := newInternet(seed)
		key := testKey(1)
		if err := n.responder.Set(ResponderTunnel{ID: 5, Local: epicEnd, Keys: []Key{key}}); err != nil {
			t.Fatal(err)
		}
		if err := n.initiator.Set(InitiatorTunnel{ID: 5, Local: nodeEnd, Remote: epicEnd, Keys: []Key{key}}); err != nil {
			t.Fatal(err)
		}
		for range 40_000 {
			n.step(0.1)
			if n.IntN(20_000) == 0 {
				n.remap()
			}
			for range n.IntN(2) {
				n.attack()
			}
		}
		// Then it is quiet, and all has to be well again.
		for range 20_000 {
			n.step(0)
		}
		if n.remote != n.mapping {
			t.Errorf("seed %d: the remote is %s, and the NAT's mapping %s", seed, n.remote, n.mapping)
		}
		if s, _ := n.initiator.State(5); !s.Up {
			t.Errorf("seed %d: the tunnel is down: %+v", seed, s)
		}
		if n.answered > 0 {
			t.Errorf("seed %d: %d answers to the attacker", seed, n.answered)
		}
		for _, wrong := range n.wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		if n.responder.Counts.Of(Replay) == 0 || n.responder.Counts.Of(BadMAC) == 0 || len(n.mappings) == 1 && seed == 0 || n.solicited == 0 {
			t.Errorf("seed %d: there was no attack", seed)
		}
	}
}
