// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/liveness"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

var gatewayNode = netip.MustParseAddr("192.0.2.1")

// beats is a node whose heartbeats a test sees, with the clock of a bubble.
type beats struct {
	client *fake.Clientset

	mu      sync.Mutex
	status  epicv1.GatewayNodeStatus
	up      []uint32
	version uint64
	resumed []epicv1.GatewayNodeStatus
	broken  error
	sent    []epicv1.GatewayNodeStatus
	at      []time.Duration
}

// Resume implements Reporter.
func (b *beats) Resume(s epicv1.GatewayNodeStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resumed = append(b.resumed, s)
}

// Status implements Reporter.
func (b *beats) Status() epicv1.GatewayNodeStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Programmed", LastTransitionTime: metav1.Now()}}
	return s
}

// Look implements Reporter.
func (b *beats) Look() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version
}

// Tunnels implements Reporter.
func (b *beats) Tunnels(s *epicv1.GatewayNodeStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.TunnelsUp = int32(len(b.up))
	s.TunnelStates = &epicv1.TunnelStates{Up: idset.Of(b.up...).Encode()}
}

func (b *beats) set(change func(s *epicv1.GatewayNodeStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}

func (b *beats) open(tunnels ...uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = tunnels
	b.version++
}

func (b *beats) breakIt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *beats) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent)
}

func run(t *testing.T, do func(b *beats)) {
	t.Helper()
	runFrom(t, &beats{status: epicv1.GatewayNodeStatus{NodeName: "gw"}}, nil, do)
}

// runFrom runs heartbeats of a node, or of another Reporter whose heartbeats it notes.
func runFrom(t *testing.T, b *beats, from Reporter, do func(b *beats), before ...runtime.Object) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b.client = fake.NewClientset(before...)
		b.client.PrependReactor("*", "gatewaynodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.broken != nil {
				return true, nil, b.broken
			}
			update, ok := action.(clienttesting.UpdateAction)
			if !ok || action.GetVerb() != "update" {
				return false, nil, nil
			}
			node := update.GetObject().(*epicv1.GatewayNode)
			if _, err := b.client.Tracker().Get(action.GetResource(), node.Namespace, node.Name); err != nil {
				return true, nil, err
			}
			b.sent = append(b.sent, node.Status)
			b.at = append(b.at, time.Since(began))
			return false, nil, nil
		})
		if from == nil {
			from = b
		}
		h := NewHeartbeat(b.client, gatewayNode, from)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { h.Run(ctx); close(ended) }()
		do(b)
		cancel()
		<-ended
	})
}

func TestHeartbeats(t *testing.T) {
	t.Run("regularly", func(t *testing.T) {
		run(t, func(b *beats) {
			time.Sleep(10 * time.Minute)
			// One at first, and then one in 48 to 60 seconds.
			if n := b.count(); n < 10 || n > 14 {
				t.Errorf("%d heartbeats in ten minutes: %v", n, b.at)
			}
		})
	})
	t.Run("at a change", func(t *testing.T) {
		run(t, func(b *beats) {
			time.Sleep(10 * time.Second)
			before := b.count()
			b.set(func(s *epicv1.GatewayNodeStatus) { s.Version = "v2" })
			time.Sleep(2 * look)
			if b.count() != before+1 || b.sent[before].Version != "v2" {
				t.Errorf("After a change: %d and %d heartbeats, %v", before, b.count(), b.sent)
			}
			// Tunnels are looked at more often.
			for i := range 3 {
				b.open(make([]uint32, i+1)...)
				time.Sleep(tunnelLook + time.Millisecond)
				if b.count() != before+2+i || b.sent[before+1+i].TunnelsUp != int32(i+1) {
					t.Errorf("After change %d of a tunnel: %d and %d heartbeats, %v", i, before, b.count(), b.sent)
				}
			}
		})
	})
	t.Run("among many changes", func(t *testing.T) {
		run(t, func(b *beats) {
			for i := range int32(600) {
				b.set(func(s *epicv1.GatewayNodeStatus) { s.ObservedGeneration = int64(i + 1) })
				time.Sleep(time.Second)
			}
			if n, most := b.count(), changeBurst+60+14; n > most || n < 50 {
				t.Errorf("%d heartbeats in ten minutes, want at most %d", n, most)
			}
			time.Sleep(2 * changeEvery)
			if last := b.sent[len(b.sent)-1]; last.ObservedGeneration != 600 {
				t.Errorf("The last state is not reported: %v", last)
			}
		})
	})
	t.Run("after a failure", func(t *testing.T) {
		run(t, func(b *beats) {
			time.Sleep(time.Second)
			b.breakIt(errors.New("away"))
			b.open(1)
			time.Sleep(2 * time.Minute)
			before := b.count()
			b.breakIt(nil)
			time.Sleep(retry + time.Second)
			if b.count() != before+1 {
				t.Errorf("%d and %d heartbeats", before, b.count())
			}
		})
	})
}

// A node creates its object, and again when somebody deleted it.
func TestHeartbeatCreates(t *testing.T) {
	run(t, func(b *beats) {
		time.Sleep(time.Second)
		nodes := b.client.EpicV1().GatewayNodes(epic.ConfigNamespace)
		created, err := nodes.Get(t.Context(), "192.0.2.1", metav1.GetOptions{})
		if err != nil || created.Spec.Address != "192.0.2.1" || created.Status.NodeName != "gw" || b.count() != 1 {
			t.Errorf("%+v, %v, %d heartbeats", created, err, b.count())
		}
		if err := nodes.Delete(t.Context(), "192.0.2.1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Interval)
		if created, err := nodes.Get(t.Context(), "192.0.2.1", metav1.GetOptions{}); err != nil || created.Status.NodeName != "gw" {
			t.Errorf("%+v, %v", created, err)
		}
	})
}

// A node that starts takes over what it reported before, as soon as the API answers.
func TestHeartbeatResumes(t *testing.T) {
	before := &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "192.0.2.1"}, Status: epicv1.GatewayNodeStatus{Tunnels: 9}}
	b := &beats{broken: errors.New("away")}
	runFrom(t, b, nil, func(b *beats) {
		time.Sleep(time.Minute)
		if len(b.resumed)+b.count() > 0 {
			t.Errorf("without the API: %v, %d heartbeats", b.resumed, b.count())
		}
		b.breakIt(nil)
		time.Sleep(retry)
		if len(b.resumed) != 1 || b.resumed[0].Tunnels != 9 || b.count() != 1 {
			t.Errorf("%v, %d heartbeats", b.resumed, b.count())
		}
	}, before)
	run(t, func(b *beats) {
		time.Sleep(time.Second)
		if len(b.resumed) != 1 || b.resumed[0].Tunnels != 0 {
			t.Errorf("a new node: %v", b.resumed)
		}
	})
}

// Errors describe what to do.
func TestHeartbeatErrors(t *testing.T) {
	resource := epicv1.Resource("gatewaynodes")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a server of an earlier release": {apierrors.NewGenericServerResponse(http.StatusNotFound, "get", resource, "192.0.2.1", "404 page not found", 0, true), "upgrade it first"},
		"roles of an earlier release":    {apierrors.NewForbidden(resource, "192.0.2.1", errors.New("no")), "apply the roles of this release"},
		"anything else":                  {errors.New("away"), "write the report of this node: away"},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("*", "gatewaynodes", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
			h := NewHeartbeat(client, gatewayNode, &beats{})
			ctx, cancel := context.WithCancel(t.Context())
			go h.Run(ctx)
			time.Sleep(time.Second)
			if err := h.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			synctest.Wait()
		})
	}
}

// slow takes long to look.
type slow struct {
	beats
	looks, tunnelLooks int
}

func (s *slow) Status() epicv1.GatewayNodeStatus {
	s.looks++
	time.Sleep(200 * time.Millisecond)
	return epicv1.GatewayNodeStatus{}
}

func (s *slow) Look() uint64 {
	s.tunnelLooks++
	time.Sleep(100 * time.Millisecond)
	return 0
}

// A look at many tunnels that takes long happens less often.
func TestHeartbeatLooksSeldomWhereItTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		h := NewHeartbeat(fake.NewClientset(), gatewayNode, s)
		h.wait(t.Context(), time.Minute, epicv1.GatewayNodeStatus{}, 0, false)
		if s.looks < 5 || s.looks > 7 {
			t.Errorf("%d looks of 0.2 s in a minute", s.looks)
		}
		if s.tunnelLooks < 25 || s.tunnelLooks > 31 {
			t.Errorf("%d looks of 0.1 s at tunnels in a minute", s.tunnelLooks)
		}
	})
}

// flapper is a node with tunnels whose far ends come and go.
type flapper struct {
	beats
	tracker *liveness.Tracker
	peers   []gue.PeerState
	look    func(now time.Time)
}

func (f *flapper) Look() uint64 {
	now := time.Now()
	f.look(now)
	return f.tracker.Look(now, liveness.World{
		Tunnels: func(see func(uint32, netip.Addr)) {
			for i := range f.peers {
				see(uint32(i+1), gatewayNode)
			}
		},
		Peers: func(see func(uint32, gue.PeerState)) {
			for i, p := range f.peers {
				see(uint32(i+1), p)
			}
		},
		Received: func() (map[uint32]uint64, error) { return nil, nil },
	})
}

func (f *flapper) Tunnels(s *epicv1.GatewayNodeStatus) {
	r := f.tracker.Report(50)
	s.Tunnels, s.TunnelsUp, s.TunnelsDown = int32(r.Tunnels), int32(r.Up.Len()), int32(r.Down.Len())
	s.TunnelStates = &epicv1.TunnelStates{Up: r.Up.Encode(), Down: r.Down.Encode()}
}

// Ten thousand tunnels that flap cost a write a second, and the first that goes down
// is reported within half a second of when it counts as down.
func TestFlappingTunnelsAreReportedTogether(t *testing.T) {
	const count, minutes = 10_000, 3
	random := rand.New(rand.NewPCG(1, 2))
	remote := netip.MustParseAddrPort("198.51.100.7:6080")
	f := &flapper{tracker: liveness.New(), peers: make([]gue.PeerState, count), look: func(time.Time) {}}
	runFrom(t, &f.beats, f, func(b *beats) {
		alive := make([]bool, count)
		flapping := false
		last := time.Time{}
		f.look = func(now time.Time) {
			// Every far end sends a PING in two seconds, and one in ten changes its mind
			// in each ten seconds.
			if now.Sub(last) < 2*time.Second {
				return
			}
			last = now
			for i := range f.peers {
				if flapping && random.IntN(50) == 0 {
					alive[i] = !alive[i]
				}
				if alive[i] {
					f.peers[i] = gue.PeerState{Remote: remote, Seen: now}
				}
			}
		}
		for i := range alive {
			alive[i] = true
		}
		time.Sleep(5 * time.Minute)
		if last := b.sent[len(b.sent)-1]; last.TunnelsUp != count {
			t.Fatalf("%d tunnels are up", last.TunnelsUp)
		}
		// One goes down, and comes back.
		alive[7] = false
		before := b.count()
		time.Sleep(30 * time.Second)
		if n := b.count(); n < before+1 || n > before+2 || b.sent[before].TunnelsDown+b.sent[n-1].TunnelsDown == 0 {
			t.Errorf("%d heartbeats after a tunnel went down", n-before)
		}
		alive[7] = true
		time.Sleep(2*time.Second + tunnelLook + time.Millisecond)
		if last := b.sent[len(b.sent)-1]; last.TunnelsUp != count {
			t.Errorf("%d tunnels are up after all came back", last.TunnelsUp)
		}
		flapping = true
		before = b.count()
		time.Sleep(minutes * time.Minute)
		writes := b.count() - before
		if most := minutes*60 + tunnelBurst + minutes + 1; writes > most || writes < 60 {
			t.Errorf("%d writes in %d minutes, want at most %d", writes, minutes, most)
		}
		t.Logf("%d tunnels, %d minutes: %d writes", count, minutes, writes)
	})
}
