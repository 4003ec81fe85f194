// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
)

// beats is a node whose heartbeats a test sees, with the clock of a bubble.
type beats struct {
	mu     sync.Mutex
	status epicv1.EPICNodeStatus
	broken error
	sent   []epicv1.EPICNodeStatus
	at     []time.Duration
}

func (b *beats) set(change func(s *epicv1.EPICNodeStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}

func (b *beats) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent)
}

func run(t *testing.T, do func(b *beats)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := &beats{status: epicv1.EPICNodeStatus{Name: "gw"}}
		client := fake.NewClientset()
		client.PrependReactor("patch", "epics", func(action clienttesting.Action) (bool, runtime.Object, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.broken != nil {
				return true, nil, b.broken
			}
			var body struct {
				Status struct {
					Nodes map[string]epicv1.EPICNodeStatus
				}
			}
			if err := json.Unmarshal(action.(clienttesting.PatchAction).GetPatch(), &body); err != nil {
				return true, nil, err
			}
			b.sent = append(b.sent, body.Status.Nodes["192.0.2.1"])
			b.at = append(b.at, time.Since(began))
			return true, &epicv1.EPIC{}, nil
		})
		h := NewHeartbeat(client, netip.MustParseAddr("192.0.2.1"), func() epicv1.EPICNodeStatus {
			b.mu.Lock()
			defer b.mu.Unlock()
			s := b.status
			s.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Programmed", LastTransitionTime: metav1.Now()}}
			return s
		})
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
			b.set(func(s *epicv1.EPICNodeStatus) { s.Tunnels, s.TunnelsUp = 2, 1 })
			time.Sleep(2 * look)
			if b.count() != before+1 || b.sent[before].TunnelsUp != 1 {
				t.Errorf("After a change: %d and %d heartbeats, %v", before, b.count(), b.sent)
			}
			b.set(func(s *epicv1.EPICNodeStatus) { s.TunnelsUp = 2 })
			time.Sleep(2 * look)
			if b.count() != before+2 || b.sent[before+1].TunnelsUp != 2 {
				t.Errorf("After the repair: %d and %d heartbeats, %v", before, b.count(), b.sent)
			}
		})
	})
	t.Run("among many changes", func(t *testing.T) {
		run(t, func(b *beats) {
			for i := range int32(600) {
				b.set(func(s *epicv1.EPICNodeStatus) { s.Tunnels = i + 1 })
				time.Sleep(time.Second)
			}
			if n, most := b.count(), changeBurst+60+14; n > most || n < 50 {
				t.Errorf("%d heartbeats in ten minutes, want at most %d", n, most)
			}
			time.Sleep(2 * changeEvery)
			if last := b.sent[len(b.sent)-1]; last.Tunnels != 600 {
				t.Errorf("The last state is not reported: %v", last)
			}
		})
	})
	t.Run("after a failure", func(t *testing.T) {
		run(t, func(b *beats) {
			b.mu.Lock()
			b.broken = errors.New("away")
			b.mu.Unlock()
			time.Sleep(2 * time.Minute)
			before := b.count()
			b.mu.Lock()
			b.broken = nil
			b.mu.Unlock()
			time.Sleep(retry + time.Second)
			if b.count() != before+1 {
				t.Errorf("%d and %d heartbeats", before, b.count())
			}
		})
	})
}

// A look at many tunnels that takes long happens less often.
func TestHeartbeatLooksSeldomWhereItTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		h := NewHeartbeat(fake.NewClientset(), netip.MustParseAddr("192.0.2.1"), func() epicv1.EPICNodeStatus {
			looks++
			time.Sleep(200 * time.Millisecond)
			return epicv1.EPICNodeStatus{}
		})
		h.wait(t.Context(), time.Minute, epicv1.EPICNodeStatus{})
		if looks < 5 || looks > 7 {
			t.Errorf("%d looks of 0.2 s in a minute", looks)
		}
	})
}
