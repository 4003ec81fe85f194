// SPDX-License-Identifier: Apache-2.0

package liveness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/tunnelstate"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

var (
	start  = time.Unix(1_700_000_000, 0)
	farEnd = netip.MustParseAddr("10.0.0.1")
	remote = netip.MustParseAddrPort("198.51.100.7:6080")
)

const (
	up, down, unknown = tunnelstate.Up, tunnelstate.Down, tunnelstate.Unknown
	// every is the pace of the looks.
	every = 250 * time.Millisecond
)

// node is a gateway node with the tunnel 7, and a clock.
type node struct {
	t       *testing.T
	tracker *Tracker
	now     time.Time
	peer    *gue.PeerState
	// pings is how often the far end sends PINGs, and data whether packets come; both
	// only while it is alive.
	pings    time.Duration
	next     time.Time
	alive    bool
	data     bool
	received uint64
	reads    int
	broken   bool
	gone     bool
	// silent is the World's.
	silent func(uint32) bool
}

func newNode(t *testing.T) *node {
	t.Helper()
	return &node{t: t, tracker: New(), now: start, pings: 10 * time.Second, next: start, peer: &gue.PeerState{}}
}

func (n *node) world() World {
	return World{
		Tunnels: func(see func(uint32, netip.Addr)) {
			if !n.gone {
				see(7, farEnd)
			}
		},
		Peers: func(see func(uint32, gue.PeerState)) {
			if n.peer != nil {
				see(7, *n.peer)
			}
			see(8, gue.PeerState{Remote: remote, Seen: n.now})
		},
		Received: func() (map[uint32]uint64, error) {
			n.reads++
			if n.broken {
				return nil, errors.New("no")
			}
			return map[uint32]uint64{7: n.received}, nil
		},
		Silent: n.silent,
	}
}

// pass lets time pass, and returns after how long the state first was another.
func (n *node) pass(d time.Duration) (changed time.Duration) {
	n.t.Helper()
	before, began := n.tracker.State(7), n.now
	changed = -1
	for end := n.now.Add(d); n.now.Before(end); n.now = n.now.Add(every) {
		if n.alive && !n.now.Before(n.next) {
			n.peer.Seen, n.peer.Remote = n.now, remote
			n.next = n.now.Add(n.pings)
		}
		if n.alive && n.data {
			n.received++
		}
		n.tracker.Look(n.now, n.world())
		if changed < 0 && n.tracker.State(7) != before {
			changed = n.now.Sub(began)
		}
	}
	return changed
}

func (n *node) is(want tunnelstate.State, what string) {
	n.t.Helper()
	if got := n.tracker.State(7); got != want {
		n.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// opened is a tunnel that has been up for a while.
func opened(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.pass(time.Second)
	n.is(down, "before it opens")
	n.alive, n.next = true, n.now
	if after := n.pass(time.Second); after != 0 {
		t.Errorf("it counts as up after %s", after)
	}
	n.pass(5 * time.Minute)
	n.is(up, "for a while")
	return n
}

func TestLifeOfATunnel(t *testing.T) {
	n := opened(t)
	n.alive = false
	after := n.pass(time.Minute)
	n.is(down, "the far end has gone")
	// One and a half times ten seconds and three, and two more; up to ten of it passed
	// before the last PING was due.
	if after < 9*time.Second || after > 21*time.Second {
		t.Errorf("it counts as down after %s", after)
	}
	n.alive, n.next = true, n.now
	if after := n.pass(time.Minute); after != 0 {
		t.Errorf("it counts as up after %s", after)
	}
	n.gone = true
	n.pass(time.Second)
	if r := n.tracker.Report(9); r.Tunnels != 0 || !r.Up.Empty() || !r.Down.Empty() {
		t.Errorf("without tunnels: %+v", r)
	}
}

// A far end may be slow or fast, and lose some PINGs.
func TestPace(t *testing.T) {
	for _, pace := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 25 * time.Second, 40 * time.Second} {
		n := newNode(t)
		n.alive, n.pings = true, pace
		n.pass(every)
		n.is(up, "first")
		if after := n.pass(10 * time.Minute); after >= 0 {
			t.Errorf("a far end that sends a PING in %s counts as down after %s", pace, after)
		}
		n.alive = false
		if after := n.pass(time.Minute); after < 0 || after > min(pace*3/2+spare, longest)+confirm+2*every {
			t.Errorf("a far end that sent a PING in %s counts as down after %s", pace, after)
		}
	}
	// A far end that becomes slower is learned.
	slow := opened(t)
	slow.pings = 30 * time.Second
	slow.pass(5 * time.Minute)
	if after := slow.pass(10 * time.Minute); after >= 0 {
		t.Errorf("a far end that became slower counts as down after %s", after)
	}
	// The PINGs that open a tunnel come fast.
	n := newNode(t)
	n.alive, n.pings = true, 20*time.Millisecond
	n.pass(time.Second)
	n.pings = 20 * time.Second
	n.next = n.now.Add(20 * time.Second)
	if after := n.pass(10 * time.Minute); after >= 0 {
		t.Errorf("down after %s", after)
	}
	// So do those of a far end that hurries.
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n.pings = 500 * time.Millisecond
		n.pass(time.Duration(r.Int64N(int64(10 * time.Second))))
		n.pings = 10 * time.Second
		n.next = n.now.Add(n.pings)
		n.pass(time.Duration(r.Int64N(int64(time.Minute))))
		n.is(up, "after it hurried")
	}
}

// While the node program of the client node restarts, there are data packets and no
// PINGs.
func TestDataWithoutPings(t *testing.T) {
	n := opened(t)
	n.pings, n.data = time.Hour, true
	n.next = n.now.Add(time.Hour)
	if n.reads > 0 {
		t.Errorf("counters were read %d times while PINGs came", n.reads)
	}
	if after := n.pass(3 * time.Minute); after >= 0 {
		t.Errorf("down after %s", after)
	}
	n.data = false
	if after := n.pass(time.Minute); after < 0 || after > 21*time.Second {
		t.Errorf("down %s after the last packet", after)
	}
	// Packets alone, without a PING, do not bring it back.
	reads := n.reads
	n.data = true
	n.pass(time.Minute)
	n.is(down, "packets without a PING")
	if n.reads != reads {
		t.Error("counters are read of tunnels that are down")
	}
	// Where counters can't be read, PINGs alone decide.
	n = opened(t)
	n.pings, n.data, n.broken = time.Hour, true, true
	n.next = n.now.Add(time.Hour)
	n.pass(time.Minute)
	n.is(down, "without counters")
}

func TestRestart(t *testing.T) {
	seven := idset.Of(7)
	for _, test := range []struct {
		name     string
		up, down idset.Set
		verified bool
		first    tunnelstate.State
		// later is the state after a minute without a PING.
		later tunnelstate.State
	}{
		{"it was up", seven, idset.Set{}, true, up, down},
		{"it was down", idset.Set{}, seven, true, down, down},
		{"it was not known", idset.Set{}, idset.Set{}, true, unknown, down},
		{"it was up, and the maps are gone", seven, idset.Set{}, false, down, down},
		{"it never opened", idset.Set{}, idset.Set{}, false, down, down},
	} {
		t.Run(test.name, func(t *testing.T) {
			begin := func() *node {
				n := newNode(t)
				n.tracker.Resume(test.up, test.down)
				if r := n.tracker.Report(9); !r.Up.Equal(test.up) || !r.Down.Equal(test.down) {
					t.Errorf("before the first look: %+v", r)
				}
				if test.verified {
					n.peer.Remote = remote
				}
				n.pass(every)
				n.is(test.first, "first")
				return n
			}
			n := begin()
			n.pass(40 * time.Second)
			n.is(test.first, "while the far end may still come")
			n.pass(20 * time.Second)
			n.is(test.later, "without a PING")

			n = begin()
			n.pass(5 * time.Second)
			n.alive, n.next = true, n.now
			n.pass(every)
			n.is(up, "after a PING")

			n = begin()
			if test.first != down {
				n.alive, n.pings, n.next, n.data = true, time.Hour, n.now.Add(time.Hour), true
				n.pass(3 * time.Minute)
				n.is(up, "with packets alone")
			}
			// This is the state before the restart.
			n.tracker.Resume(idset.Of(9), idset.Of(7))
			n.pass(every)
			if r := n.tracker.Report(0); r.Tunnels != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
	// The key is not there yet.
	n := newNode(t)
	n.peer = nil
	n.pass(every)
	n.is(down, "without a key")
}

// A tunnel that flaps has to stay up longer and longer, and neither its first down
// nor its first up is late.
func TestFlapping(t *testing.T) {
	n := opened(t)
	flap := func() (downAfter, upAfter time.Duration) {
		n.alive = false
		downAfter = n.pass(30 * time.Second)
		n.alive, n.next = true, n.now
		return downAfter, n.pass(90 * time.Second)
	}
	for i, want := range []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		downAfter, upAfter := flap()
		if downAfter < 0 || downAfter > 21*time.Second {
			t.Errorf("flap %d: down after %s", i, downAfter)
		}
		if upAfter != want {
			t.Errorf("flap %d: up after %s, want %s", i, upAfter, want)
		}
	}
	// One that goes down while it is waited for waits again.
	n.alive = false
	n.pass(30 * time.Second)
	n.alive, n.next = true, n.now
	n.pass(50 * time.Second)
	n.alive = false
	n.pass(30 * time.Second)
	n.is(down, "while it is waited for")
	n.alive, n.next = true, n.now
	if after := n.pass(2 * time.Minute); after != time.Minute {
		t.Errorf("up after %s", after)
	}
	n.pass(calm)
	if _, upAfter := flap(); upAfter != 0 {
		t.Errorf("after it was calm: up after %s", upAfter)
	}
}

func TestReport(t *testing.T) {
	tr := New()
	peers := map[uint32]gue.PeerState{3: {Remote: remote, Seen: start}, 4: {Remote: remote, Seen: start.Add(-time.Hour)}, 5: {Remote: remote}}
	w := World{
		Tunnels: func(see func(uint32, netip.Addr)) {
			for id := uint32(9); id > 0; id-- {
				see(id, farEnd)
			}
		},
		Peers: func(see func(uint32, gue.PeerState)) {
			for id, p := range peers {
				see(id, p)
			}
		},
		Received: func() (map[uint32]uint64, error) { return map[uint32]uint64{}, nil },
	}
	first := tr.Look(start, w)
	if again := tr.Look(start.Add(every), w); again != first {
		t.Error("a look at what did not change counts as a change")
	}
	if later := tr.Look(start.Add(confirm+2*every), w); later == first {
		t.Error("a change does not count as one")
	}
	r := tr.Report(3)
	if got := fmt.Sprintf("%d up %s down %s", r.Tunnels, r.Up, r.Down); got != "9 up 3 down 1-2,4,6-9" {
		t.Error(got)
	}
	if got := fmt.Sprint(len(r.First), r.First[0].Tunnel, r.First[0].Heard.IsZero(), r.First[2].Tunnel, r.First[2].FarEnd, r.First[2].Heard.Equal(start.Add(-time.Hour))); got != "3 1 true 4 10.0.0.1 true" {
		t.Error(got)
	}
	if s := tr.State(77); s != unknown {
		t.Errorf("another node's tunnel is %s", s)
	}
}

// Times come back as they were, and keep the monotonic clock's distance.
func TestMoments(t *testing.T) {
	tr := New()
	began := time.Now()
	seen := began
	w := World{
		Tunnels:  func(see func(uint32, netip.Addr)) { see(7, farEnd) },
		Peers:    func(see func(uint32, gue.PeerState)) { see(7, gue.PeerState{Remote: remote, Seen: seen}) },
		Received: func() (map[uint32]uint64, error) { return nil, nil },
	}
	tr.Look(began, w)
	tr.Look(began.Add(10*time.Second), w)
	if tr.State(7) != up {
		t.Error("it is not up")
	}
	if got := tr.time(tr.moment(seen)); !got.Equal(seen) || tr.moment(began.Add(time.Second)).after(tr.moment(began)) != time.Second {
		t.Errorf("%s comes back as %s", seen, got)
	}
}

// A look at many tunnels allocates nothing for each of them.
func BenchmarkLook(b *testing.B) {
	const count = 100_000
	tr := New()
	w := World{
		Tunnels: func(see func(uint32, netip.Addr)) {
			for id := uint32(1); id <= count; id++ {
				see(id, farEnd)
			}
		},
		Peers: func(see func(uint32, gue.PeerState)) {
			for id := uint32(1); id <= count; id++ {
				see(id, gue.PeerState{Remote: remote, Seen: start})
			}
		},
		Received: func() (map[uint32]uint64, error) { return nil, nil },
	}
	tr.Look(start, w)
	b.ReportAllocs()
	for b.Loop() {
		tr.Look(start, w)
	}
}

// A far end that does not answer what it is asked is down at the next look, whatever its
// pace, and up again with its next PING.
func TestSilent(t *testing.T) {
	n := opened(t)
	silent := false
	n.silent = func(uint32) bool { return silent }
	n.pass(3 * time.Second)
	n.alive, silent = false, true
	if after := n.pass(2 * every); after < 0 || after > every {
		t.Errorf("down after %s", after)
	}
	n.data = true
	n.pass(time.Minute)
	n.is(down, "packets without a PING")
	n.alive, n.next, silent = true, n.now, false
	n.pass(every)
	n.is(up, "after a PING")
}

// A node may have a hundred thousand tunnels, and the next larger size costs each 16 bytes.
func TestTunnelsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(tunnel{}); size > 96 {
		t.Errorf("a tunnel takes %d bytes", size)
	}
}
