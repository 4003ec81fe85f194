// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"testing"
	"time"

	"k8s.io/component-base/metrics/testutil"
	clocktesting "k8s.io/utils/clock/testing"
)

// A restart does not change when the next snapshot is due, and a failure is tried again.
func TestSchedule(t *testing.T) {
	server, client := filled(t)
	clock := clocktesting.NewFakeClock(noon)
	s := Schedule{
		Folder: Folder{Dir: tempDir(t), Keep: 5, Prefix: "/epic"}, Interval: time.Hour,
		Etcd: config(server.Endpoint()), clock: clock,
	}
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		return func() { cancel(); <-done }
	}
	saved := func(want ...time.Duration) {
		t.Helper()
		var got []Saved
		for range 600 {
			got, _ = s.List()
			if len(got) == len(want) && clock.HasWaiters() {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		for i := range want {
			if len(got) != len(want) || !got[i].Time.Equal(noon.Add(want[i])) {
				t.Fatalf("There are %v, want %v", got, want)
			}
		}
	}
	stop := run()
	saved(0)
	clock.Step(time.Hour)
	saved(time.Hour, 0)
	stop()
	clock.Step(40 * time.Minute)
	stop = run()
	saved(time.Hour, 0)
	clock.Step(20 * time.Minute)
	saved(2*time.Hour, time.Hour, 0)
	stop()

	if err := report(t.Context(), client, "/epic"); err != nil {
		t.Fatal(err)
	}
	if got, err := testutil.GetGaugeMetricValue(lastTime); err != nil || got != float64(noon.Add(2*time.Hour).Unix()) {
		t.Errorf("The metric is %v, %v", got, err)
	}
	if got, err := testutil.GetGaugeMetricValue(lastBytes); err != nil || got < 1000 {
		t.Errorf("The size is %v, %v", got, err)
	}
	if err := report(t.Context(), client, "/none"); err != nil {
		t.Fatal(err)
	}
	if got, err := testutil.GetGaugeMetricValue(lastTime); err != nil || got != 0 {
		t.Errorf("Without a snapshot the metric is %v, %v", got, err)
	}

	good := s.Etcd
	s.Etcd = config("unix:///none/etcd.sock")
	s.Etcd.DialTimeout = 100 * time.Millisecond
	clock.Step(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.save(ctx); err == nil {
		t.Error("A failure was not reported")
	}
	s.Etcd = good
	stop = run()
	saved(3*time.Hour, 2*time.Hour, time.Hour, 0)
	stop()
	// A file of the future says nothing.
	clock.SetTime(noon)
	if due := s.due(); due != 0 {
		t.Errorf("It is due in %s", due)
	}
}
