// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var public = netip.MustParseAddr("203.0.113.5")

// wire is a network with nodes, in a time of its own.
type wire struct {
	t      testing.TB
	now    time.Time
	random *rand.Rand
	nodes  []*Election
	// gone are nodes whose packets are lost, and part says in which part of the network a
	// node is.
	gone map[int]bool
	part map[int]int
	lose float64
	// two is for how long there were two owners that could hear each other, and none for
	// how long there was no one that answers.
	two, none time.Duration
}

func newWire(t testing.TB, seed uint64, nodes int) *wire {
	w := &wire{t: t, now: time.Unix(1000, 0), random: rand.New(rand.NewPCG(seed, 1)), gone: map[int]bool{}, part: map[int]int{}}
	for range nodes {
		var m MAC
		for i := range m {
			m[i] = byte(w.random.Uint32())
		}
		w.nodes = append(w.nodes, NewElection(public, m, w.now))
	}
	return w
}

func (w *wire) hears(from, to int) bool {
	return from != to && !w.gone[from] && !w.gone[to] && w.part[from] == w.part[to] && w.random.Float64() >= w.lose
}

// run lets time pass, a hundredth of a second after the other.
func (w *wire) run(d time.Duration) {
	const step = 10 * time.Millisecond
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for _, i := range w.random.Perm(len(w.nodes)) {
			if w.gone[i] {
				continue
			}
			for _, action := range w.nodes[i].Tick(w.now) {
				for j, other := range w.nodes {
					if !w.hears(i, j) {
						continue
					}
					if action == Announce {
						other.Claimed(w.nodes[i].mine, w.now)
					} else if other.Probed(w.nodes[i].mine, w.now) && w.hears(j, i) {
						w.nodes[i].Claimed(other.mine, w.now)
					}
				}
			}
		}
		owners := w.owners()
		if len(owners) > 1 {
			w.two += step
		}
		if len(owners) == 0 {
			w.none += step
		}
	}
}

// owners are the nodes in the first part of the network that answer.
func (w *wire) owners() (out []int) {
	for i, e := range w.nodes {
		if !w.gone[i] && w.part[i] == 0 && e.Asked() {
			out = append(out, i)
		}
	}
	return out
}

func (w *wire) ready(nodes ...int) {
	for _, i := range nodes {
		w.nodes[i].Ready(true, w.now)
	}
}

// first is the node that comes first of some.
func (w *wire) first(nodes ...int) int {
	best := nodes[0]
	for _, i := range nodes[1:] {
		if w.nodes[0].before(w.nodes[i].mine, w.nodes[best].mine) {
			best = i
		}
	}
	return best
}

func (w *wire) expect(what string, owner int) {
	w.t.Helper()
	if got := w.owners(); fmt.Sprint(got) != fmt.Sprint([]int{owner}) {
		w.t.Fatalf("%s: the owners are %v, want %d", what, got, owner)
	}
}

// newElected is a network of three nodes that have elected an owner.
func newElected(t testing.TB, seed uint64) (w *wire, owner int) {
	t.Helper()
	w = newWire(t, seed, 3)
	w.ready(0, 1, 2)
	w.run(3 * time.Second)
	owner = w.first(0, 1, 2)
	w.expect("three start", owner)
	w.two, w.none = 0, 0
	return w, owner
}

func TestElection(t *testing.T) {
	for seed := range uint64(30) {
		w, owner := newElected(t, seed)
		w.run(time.Minute)
		if w.two+w.none > 0 {
			t.Fatalf("seed %d: %s with two owners and %s with none, and nothing happened", seed, w.two, w.none)
		}

		// The owner is lost. The next takes over, soon.
		w.gone[owner] = true
		w.run(2500 * time.Millisecond)
		rest := []int{(owner + 1) % 3, (owner + 2) % 3}
		w.expect("the owner is lost", w.first(rest...))
		if w.two > 0 || w.none > 2200*time.Millisecond {
			t.Fatalf("seed %d: %s with two owners, %s with none", seed, w.two, w.none)
		}

		// It is back, and believes that it is the owner: it comes first, and the other yields.
		w.two, w.none = 0, 0
		delete(w.gone, owner)
		w.run(12 * time.Second)
		w.expect("it is back", owner)
		if w.none > 0 || w.two > 11*time.Second {
			t.Fatalf("seed %d: %s with two owners, %s with none", seed, w.two, w.none)
		}
	}
}

// An owner that is no longer ready hands over without a gap.
func TestElectionLeaving(t *testing.T) {
	for seed := range uint64(30) {
		w, owner := newElected(t, seed)
		w.nodes[owner].Ready(false, w.now)
		w.run(4 * time.Second)
		w.expect("it left", w.first((owner+1)%3, (owner+2)%3))
		if w.two+w.none > 0 {
			t.Fatalf("seed %d: %s with two owners, %s with none", seed, w.two, w.none)
		}
		// Ready again, it gets the address back when it has been so for a while.
		w.ready(owner)
		w.run(8 * time.Second)
		w.expect("it is ready again", w.first((owner+1)%3, (owner+2)%3))
		w.run(8 * time.Second)
		w.expect("it has been ready for a while", owner)
		if w.two+w.none > 0 {
			t.Fatalf("seed %d: %s with two owners, %s with none", seed, w.two, w.none)
		}
	}
	// Alone, it answers for a while and then no more.
	w := newWire(t, 1, 1)
	w.ready(0)
	w.run(3 * time.Second)
	w.nodes[0].Ready(false, w.now)
	w.run(20 * time.Second)
	w.expect("nobody else is there", 0)
	w.run(20 * time.Second)
	if len(w.owners()) > 0 || !w.nodes[0].Over() {
		t.Error("it answers for ever")
	}
}

// Each part of a network that is split has an owner, and one is left when it is whole again.
func TestElectionSplit(t *testing.T) {
	for seed := range uint64(30) {
		w := newWire(t, seed, 4)
		w.ready(0, 1, 2, 3)
		w.run(3 * time.Second)
		w.part[2], w.part[3] = 1, 1
		w.run(5 * time.Second)
		w.expect("the first part", w.first(0, 1))
		if !w.nodes[2].Asked() && !w.nodes[3].Asked() {
			t.Fatalf("seed %d: the second part has no owner", seed)
		}
		clear(w.part)
		w.run(15 * time.Second)
		w.expect("whole again", w.first(0, 1, 2, 3))
	}
}

// Whatever is lost and whoever comes and goes, there is one owner soon afterwards.
func TestElectionChaos(t *testing.T) {
	for seed := range uint64(50) {
		w := newWire(t, seed, 4)
		ready := map[int]bool{}
		for range 30 {
			switch i := w.random.IntN(len(w.nodes)); w.random.IntN(4) {
			case 0:
				w.gone[i] = !w.gone[i]
			case 1:
				ready[i] = !ready[i]
				w.nodes[i].Ready(ready[i], w.now)
			case 2:
				w.lose = w.random.Float64()
			case 3:
				w.part[i] = w.random.IntN(2)
			}
			w.run(time.Duration(w.random.IntN(3000)) * time.Millisecond)
		}
		clear(w.gone)
		clear(w.part)
		w.lose = 0
		w.ready(0, 1, 2, 3)
		w.run(40 * time.Second)
		w.expect(fmt.Sprint("seed ", seed), w.first(0, 1, 2, 3))
	}
}

// Addresses spread over nodes, and only those of a node that goes move.
func TestRank(t *testing.T) {
	w := newWire(t, 1, 4)
	won := map[MAC]int{}
	for i := range 1000 {
		address := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		best := MAC{}
		for j, n := range w.nodes {
			if e := NewElection(address, n.mine, w.now); j == 0 || e.before(n.mine, best) {
				best = n.mine
			}
		}
		won[best]++
	}
	for m, n := range won {
		if n < 180 || n > 330 {
			t.Errorf("%x has %d of 1000 addresses", m, n)
		}
	}
}

// A host that probes for every address can't fill the memory, or take an address at once.
func TestElectionFlood(t *testing.T) {
	e := NewElection(public, MAC{2}, time.Unix(0, 0))
	now := time.Unix(0, 0)
	e.Ready(true, now)
	for e.Role() != Owner {
		now = now.Add(100 * time.Millisecond)
		e.Tick(now)
	}
	for i := range 1000 {
		if !e.Probed(MAC{4, byte(i >> 8), byte(i)}, now) {
			t.Fatal("an owner does not answer a probe")
		}
	}
	if len(e.others) > maxCandidates {
		t.Errorf("%d candidates are remembered", len(e.others))
	}
}
