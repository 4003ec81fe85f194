// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics/testutil"
)

// memorySink has the events that were written, and how many requests that took.
type memorySink struct {
	created  []*corev1.Event
	requests int
}

func (s *memorySink) Create(e *corev1.Event) (*corev1.Event, error) {
	s.requests++
	s.created = append(s.created, e)
	return e, nil
}

func (s *memorySink) Update(e *corev1.Event) (*corev1.Event, error) { return e, nil }

func (s *memorySink) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) {
	s.requests++
	return e, nil
}

// counts returns how many events were recorded and suppressed in this process.
func counts(t *testing.T) (all, dropped float64) {
	t.Helper()
	all, err := testutil.GetCounterMetricValue(recorded)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{byObject, byNamespace, byProgram} {
		n, err := testutil.GetCounterMetricValue(suppressed.WithLabelValues(by))
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	return all, dropped
}

func objectOf(namespace, name string) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)}
}

// A storm of 10,000 tunnels makes a bounded number of requests, and every event that is
// not written is counted.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tunnels, rounds = 10000, 6
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		to := &memorySink{}
		r := newRecorder(ctx, to, "epic-test", time.Now)
		recordedBefore, suppressedBefore := counts(t)
		for round := range rounds {
			down := round%2 == 0
			for i := range tunnels {
				e := Event{Reason: "TunnelsUp", Message: "The far ends answer"}
				if down {
					e = Event{Warning: true, Reason: "AllTunnelsDown", Message: "The node does not answer"}
				}
				r.Record("RemoteEndpoint", objectOf(fmt.Sprintf("epic-%d", i%100), fmt.Sprint("endpoint-", i)), e)
			}
			synctest.Wait()
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		recordedAfter, suppressedAfter := counts(t)
		kept, dropped := int(recordedAfter-recordedBefore), int(suppressedAfter-suppressedBefore)
		most := programLimit.burst + rounds*int(10*time.Second/programLimit.every)
		if to.requests == 0 || to.requests > most {
			t.Errorf("%d requests, want 1 to %d", to.requests, most)
		}
		if kept != to.requests || kept+dropped != tunnels*rounds {
			t.Errorf("%d events are counted as recorded and %d as suppressed, of %d with %d requests", kept, dropped, tunnels*rounds, to.requests)
		}
		// The platform team learns of a pool at the height of the storm.
		to.created = nil
		r.Record("ServicePrefix", objectOf("epic", "pool"), Event{Warning: true, Reason: "AddressesExhausted", Message: "Every address is in use"})
		synctest.Wait()
		if len(to.created) != 1 {
			t.Errorf("%d events of a pool", len(to.created))
		}
	})
}

// An event is in the namespace of its object, and has its UID, by which kubectl describe
// finds it.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		to := &memorySink{}
		r := newRecorder(ctx, to, "epic-test", time.Now)
		r.Record("LoadBalancer", objectOf("epic-one", "shop"), Event{Reason: "Ready", Message: "It works"})
		r.Record("GWProxy", objectOf("epic-two", "gateway"), Event{Warning: true, Reason: "RejectedByProxy", Message: strings.Repeat("x", 10*maxMessage)})
		synctest.Wait()
		if len(to.created) != 2 {
			t.Fatalf("%d events", len(to.created))
		}
		one, two := to.created[0], to.created[1]
		want := corev1.ObjectReference{APIVersion: "epic.acnodal.io/v1", Kind: "LoadBalancer", Namespace: "epic-one", Name: "shop", UID: "uid-of-shop"}
		if one.InvolvedObject != want || one.Namespace != "epic-one" || one.Type != corev1.EventTypeNormal || one.Reason != "Ready" || one.Message != "It works" || one.Source.Component != "epic-test" {
			t.Errorf("the event is %+v", one)
		}
		if two.Namespace != "epic-two" || two.Type != corev1.EventTypeWarning || len(two.Message) > maxMessage+len("…") {
			t.Errorf("the event in %s is a %s with %d bytes", two.Namespace, two.Type, len(two.Message))
		}
	})
}

// An object that flaps writes a bounded number of events, and a later one has the number
// of those that are missing.
func TestDroppedAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		to := &memorySink{}
		r := newRecorder(ctx, to, "epic-test", time.Now)
		const missing = 7
		for range objectLimit.burst + missing {
			r.Record("LoadBalancer", objectOf("epic-one", "shop"), Event{Reason: "TunnelsUp", Message: "Up"})
		}
		synctest.Wait()
		if to.requests != objectLimit.burst || len(to.created) != 1 {
			t.Errorf("%d requests made %d events, want %d and 1: equal events have a count", to.requests, len(to.created), objectLimit.burst)
		}
		time.Sleep(objectLimit.every)
		to.created = nil
		r.Record("LoadBalancer", objectOf("epic-one", "shop"), Event{Warning: true, Reason: "AllTunnelsDown", Message: strings.Repeat("Down ", 1000)})
		synctest.Wait()
		if len(to.created) != 1 || len(to.created[0].Message) > 1024 || !strings.Contains(to.created[0].Message, fmt.Sprint("dropped since the last one: ", missing)) {
			t.Errorf("the events are %v, want one with at most 1024 bytes that has the number %d", to.created, missing)
		}
	})
}

func TestNoRecorder(t *testing.T) {
	var r *Recorder
	before, _ := counts(t)
	r.Record("LoadBalancer", objectOf("epic-one", "shop"), Event{Reason: "Ready"})
	if after, _ := counts(t); after != before {
		t.Error("an event is counted that nobody records")
	}
}

func TestUnchanged(t *testing.T) {
	was := metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Waiting", Message: "one"}
	for name, c := range map[string]struct {
		change func(is *metav1.Condition)
		want   bool
	}{
		"message": {func(is *metav1.Condition) { is.Message = "two" }, true},
		"reason":  {func(is *metav1.Condition) { is.Reason = "Failed" }, false},
		"status":  {func(is *metav1.Condition) { is.Status = metav1.ConditionUnknown }, false},
	} {
		is := was
		c.change(&is)
		if got := Unchanged(&was, &is); got != c.want {
			t.Errorf("Another %s: unchanged is %t", name, got)
		}
	}
	if Unchanged(nil, &was) {
		t.Error("A new condition is unchanged")
	}
}
