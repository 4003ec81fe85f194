// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// TestFailures lets the writes of an object fail in each way, and checks that it
// is tried again, or not, and that another object is not kept waiting.
func TestFailures(t *testing.T) {
	resource := schema.GroupResource{Resource: "loadbalancers"}
	for name, c := range map[string]struct {
		fail   func() error
		retry  bool
		result string
	}{
		"conflict":      {func() error { return apierrors.NewConflict(resource, "bad", errors.New("old")) }, true, resultConflict},
		"not found":     {func() error { return apierrors.NewNotFound(resource, "bad") }, false, resultUnchanged},
		"server's":      {func() error { return apierrors.NewInternalError(errors.New("broken")) }, true, resultError},
		"refused":       {func() error { return apierrors.NewInvalid(schema.GroupKind{}, "bad", nil) }, true, resultError},
		"own, a defect": {func() error { panic("a defect") }, true, resultError},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))))
			defer cancel()
			tries, done := make(chan time.Time, 100), make(chan string, 100)
			n := 0
			kind := "test-" + strings.ReplaceAll(name, " ", "-")
			k := newTunnelReconciler(kind, func(_ context.Context, key cache.ObjectName, _ []byte) (*epicv1.ProxyStatus, string, error) {
				if key.Name == "bad" {
					tries <- time.Now()
					if n++; n <= 3 {
						return nil, "", c.fail()
					}
				}
				done <- key.Name
				return &epicv1.ProxyStatus{}, "", nil
			})
			k.find = func(key cache.ObjectName) (*state, error) {
				return &state{meta: &metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Generation: 1}, status: &epicv1.ProxyStatus{}}, nil
			}
			ended := work(ctx, t, k.reconciler)
			k.queue.Add(cache.NewObjectName("ns", "bad"))
			k.queue.Add(cache.NewObjectName("ns", "good"))
			if got := <-done; got != "good" {
				t.Errorf("%s was done first", got)
			}
			if c.retry {
				<-done
				for range 3 {
					<-tries
				}
				<-tries
				if n := k.queue.NumRequeues(cache.NewObjectName("ns", "bad")); n != 0 {
					time.Sleep(20 * time.Millisecond)
					if n = k.queue.NumRequeues(cache.NewObjectName("ns", "bad")); n != 0 {
						t.Errorf("%d failures are remembered after a success", n)
					}
				}
			}
			cancel()
			<-ended
			want := map[bool]float64{true: 3, false: 1}[c.retry]
			if got, err := testutil.GetCounterMetricValue(reconciles.WithLabelValues(kind, c.result)); err != nil || got != want {
				t.Errorf("%s was counted %v times, not %v: %v", c.result, got, want, err)
			}
		})
	}
}

// TestTally adds and removes.
func TestTally(t *testing.T) {
	tally := newTally("test-tally")
	a, b := cache.NewObjectName("ns", "a"), cache.NewObjectName("ns", "b")
	expect := func(want string) {
		t.Helper()
		var got []string
		for _, value := range []func() (float64, error){
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsWanted.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsAssigned.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(tunnelsUnassigned.WithLabelValues("test-tally"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(objects.WithLabelValues("test-tally", "X"))
			},
			func() (float64, error) {
				return testutil.GetGaugeMetricValue(objects.WithLabelValues("test-tally", "Y"))
			},
		} {
			v, err := value()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(v))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("wanted, assigned, unassigned, X, Y: %s; should be %s", s, want)
		}
	}
	tally.set(a, counts{5, 3, "X"})
	tally.set(b, counts{2, 2, "Y"})
	expect("7 5 2 1 1")
	tally.set(a, counts{5, 5, "Y"})
	expect("7 7 0 0 2")
	tally.forget(b)
	tally.forget(b)
	expect("5 5 0 0 1")
	tally.forget(a)
	expect("0 0 0 0 0")
}
