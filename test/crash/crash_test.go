// SPDX-License-Identifier: Apache-2.0

// Package crash kills API servers and etcd while clients write, many times and
// at random, and then checks whether anything was lost, leaked or given out
// twice.
//
// Three judges look at the same run: a linearizability checker at what clients
// were told, etcd's own history at every single revision, and the audit at the
// end.
package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/tools/process"
)

const (
	versionAnnotation = "crash-test/version"

	namespace = "epic-crash"
	// Few objects and many workers, so they get into each other's way.
	objects = 8
	workers = 6
	// settle is how long a run may take to answer everything once the killing
	// is over.
	settle = 2 * time.Minute
)

// duration is how long servers and etcd are killed: 20 s unless
// EPIC_CRASH_SECONDS says otherwise.
func duration(t *testing.T) time.Duration {
	s := os.Getenv("EPIC_CRASH_SECONDS")
	if s == "" {
		return 20 * time.Second
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("EPIC_CRASH_SECONDS: %v", err)
	}
	return time.Duration(n) * time.Second
}

func TestNothingIsLostWhenProcessesAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for 20 s; not with -short")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t)
	prepare(t, w)

	r := &recorder{start: time.Now(), acknowledged: map[int64]written{}}
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for i := range workers {
		working.Go(func() {
			worker{w: w, r: r, id: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}.run(ctx)
		})
	}
	kills := killAround(t, w, rand.New(rand.NewPCG(seed, 99)), duration(t))
	for i, s := range w.servers {
		w.waitReady(t, i, s)
	}
	// Some undisturbed work shows that the system is well again.
	time.Sleep(2 * time.Second)
	stop()
	working.Wait()
	t.Logf("%d kills, %d operations, of which %d ended unknown", kills, len(r.ops), r.unknown.Load())

	r.checkEnough(t)
	r.checkLinearizable(t)
	history := verdict(t, w.etcdURL)
	for rev, ack := range r.acknowledged {
		if got := history[rev]; got != ack {
			t.Errorf("a client was told that %+v was written at revision %d, where etcd has %+v", ack, rev, got)
		}
	}
	checkAudit(t, w)
}

// prepare makes what load balancers need.
func prepare(t *testing.T, w *world) {
	t.Helper()
	ctx, c := context.Background(), w.clients[0].EpicV1()
	limit := int32(100)
	_, err := c.EPICs("epic").Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: "epic"}}, metav1.CreateOptions{})
	if err == nil {
		_, err = c.ServicePrefixes("epic").Create(ctx, &epicv1.ServicePrefix{
			ObjectMeta: metav1.ObjectMeta{Name: "pool"},
			Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "192.0.2.0/27", Subnet: "192.0.2.0/24", Aggregation: "default"}},
		}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = c.Accounts(namespace).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "crash"}, Spec: epicv1.AccountSpec{ProxyLimit: &limit}}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = c.LBServiceGroups(namespace).Create(ctx, &epicv1.LBServiceGroup{
			ObjectMeta: metav1.ObjectMeta{Name: "group", Labels: map[string]string{"epic.acnodal.io/owning-serviceprefix": "pool"}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// killAround kills and restarts processes for a while, and returns how often.
func killAround(t *testing.T, w *world, rng *rand.Rand, d time.Duration) int {
	t.Helper()
	victims := append([]*process.Process{w.etcd}, w.servers...)
	kills := 0
	for end := time.Now().Add(d); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(100+rng.IntN(900)) * time.Millisecond)
		v := victims[rng.IntN(len(victims))]
		v.Kill()
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		if err := v.Start(); err != nil {
			t.Fatalf("start %s again: %v", v.Name, err)
		}
	}
	// A server that found no etcd has ended by itself.
	for _, s := range w.servers {
		s.Kill()
		if err := s.Start(); err != nil {
			t.Fatalf("start %s again: %v", s.Name, err)
		}
	}
	return kills
}

func checkAudit(t *testing.T, w *world) {
	t.Helper()
	for i, c := range w.clients {
		audit := &epicv1.ClaimAudit{}
		err := c.EpicV1().RESTClient().Get().Namespace("epic").Resource("epics").Name("epic").SubResource("audit").Do(context.Background()).Into(audit)
		if err != nil {
			t.Fatal(err)
		}
		if !audit.Clean || audit.Objects == 0 || audit.Claims == 0 {
			t.Errorf("server %d's audit: %+v", i, audit)
		}
	}
}

// recorder keeps what clients asked for and were told.
type recorder struct {
	start   time.Time
	unknown atomic.Int64

	mu           sync.Mutex
	ops          []porcupine.Operation
	acknowledged map[int64]written
}

// do runs one operation and records it. f returns the version that it saw and
// the revision that it wrote, if any.
func (r *recorder) do(client int, in input, f func() (seen string, revision string, err error)) {
	call := time.Since(r.start).Nanoseconds()
	seen, revision, err := f()
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Return: time.Since(r.start).Nanoseconds()}
	out := output{outcome: classify(in.action, err), version: seen}
	if out.outcome == unknown {
		r.unknown.Add(1)
		if in.action == get {
			return
		}
		op.Return = int64(1) << 62
	}
	op.Output = out
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	if rev, err := strconv.ParseInt(revision, 10, 64); err == nil && out.outcome == done && (in.action == create || in.action == update) {
		r.acknowledged[rev] = written{object: namespace + "/" + in.object, version: in.version}
	}
}

// classify describes what an answer tells about the object's state.
func classify(a action, err error) outcome {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return done
	case !errors.As(err, &status):
		return unknown
	case apierrors.IsAlreadyExists(err):
		return exists
	case apierrors.IsConflict(err) && a == update:
		return conflict
	case apierrors.IsNotFound(err):
		return absent
	default:
		return unknown
	}
}

// checkEnough keeps the test from passing on nothing.
func (r *recorder) checkEnough(t *testing.T) {
	t.Helper()
	counts := map[string]int{}
	for _, op := range r.ops {
		if op.Output.(output).outcome == done {
			counts[fmt.Sprint(op.Input.(input).action)]++
		}
	}
	for a, least := range map[action]int{create: 10, update: 50, remove: 10, get: 50} {
		if got := counts[fmt.Sprint(a)]; got < least {
			t.Errorf("only %d operations of kind %d succeeded, fewer than %d: the test shows little", got, a, least)
		}
	}
}

func (r *recorder) checkLinearizable(t *testing.T) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(register(), r.ops, settle)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("the history of %d operations was not checked within %s", len(r.ops), settle)
	default:
		path := t.TempDir() + "/history.html"
		_ = porcupine.VisualizePath(register(), info, path)
		t.Errorf("no order of the operations explains the answers that clients got")
	}
}
