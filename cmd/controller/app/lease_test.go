// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/skew"
)

const ns = "epic-system"

// candidate is a replica that stands for election.
type candidate struct {
	lease *lease
	mgr   manager.Manager
}

func newCandidate(t *testing.T, client *fake.Clientset, identity string) *candidate {
	t.Helper()
	times := kube.Election{LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 100 * time.Millisecond}
	l := leaseOf(client, ns, identity, times.LeaseDuration)
	mgr, err := newManager(&rest.Config{Host: "http://127.0.0.1:1"}, l, &times)
	if err != nil {
		t.Fatal(err)
	}
	return &candidate{l, mgr}
}

// run runs the candidate, with some work while it leads.
func (c *candidate) run(ctx context.Context, work manager.RunnableFunc) error {
	if err := c.mgr.Add(work); err != nil {
		return err
	}
	return c.mgr.Start(ctx)
}

// stand runs a candidate whose work is to tell that it began, and to wait.
func stand(ctx context.Context, e *candidate, working *atomic.Int32) (began chan struct{}, ended chan error) {
	began, ended = make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- e.run(ctx, func(ctx context.Context) error {
			working.Add(1)
			defer working.Add(-1)
			close(began)
			<-ctx.Done()
			return nil
		})
	}()
	return began, ended
}

func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
	return v
}

func holder(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	lease, err := client.CoordinationV1().Leases(ns).Get(t.Context(), leaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

func TestOneLeadsAndHandsOver(t *testing.T) {
	client := fake.NewClientset()
	var working atomic.Int32
	a, b := newCandidate(t, client, "a"), newCandidate(t, client, "b")
	if a.lease.readyCheck().Check(nil) == nil {
		t.Error("ready before anybody leads")
	}
	ctxA, stopA := context.WithCancel(t.Context())
	defer stopA()
	beganA, endedA := stand(ctxA, a, &working)
	within(t, "the first leads", beganA)
	ctxB, stopB := context.WithCancel(t.Context())
	defer stopB()
	beganB, endedB := stand(ctxB, b, &working)
	// Longer than a lease.
	select {
	case <-beganB:
		t.Fatal("two lead")
	case <-time.After(2500 * time.Millisecond):
	}
	if holder(t, client) != "a" || working.Load() != 1 || a.lease.readyCheck().Check(nil) != nil || b.lease.readyCheck().Check(nil) != nil || a.lease.liveCheck().Check(nil) != nil {
		t.Errorf("the holder is %q, %d work; ready: %v, %v; live: %v", holder(t, client), working.Load(), a.lease.readyCheck().Check(nil), b.lease.readyCheck().Check(nil), a.lease.liveCheck().Check(nil))
	}
	// The leader's version is on the lease.
	if lease, err := client.CoordinationV1().Leases(ns).Get(t.Context(), leaseName, metav1.GetOptions{}); err != nil || lease.Labels[skew.Label] != skew.LabelValue(buildinfo.Release()) {
		t.Errorf("the lease's labels are %v, %v", lease.Labels, err)
	}
	// It hands over as it goes: the other need not wait for the lease to expire.
	stopA()
	if err := within(t, "the first ends", endedA); err != nil {
		t.Error(err)
	}
	within(t, "the second leads", beganB)
	if holder(t, client) != "b" {
		t.Errorf("the holder is %q", holder(t, client))
	}
	stopB()
	if err := within(t, "the second ends", endedB); err != nil || holder(t, client) != "" {
		t.Errorf("it ends with %v, and the holder is %q", err, holder(t, client))
	}
}

// TestReleasedAfterTheWork looks who holds the lease while the work is still
// coming to its end.
func TestReleasedAfterTheWork(t *testing.T) {
	client := fake.NewClientset()
	e := newCandidate(t, client, "a")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began, ended := make(chan struct{}), make(chan error, 1)
	during := ""
	go func() {
		ended <- e.run(ctx, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			time.Sleep(300 * time.Millisecond)
			during = holder(t, client)
			return nil
		})
	}()
	within(t, "it leads", began)
	stop()
	if err := within(t, "it ends", ended); err != nil {
		t.Error(err)
	}
	if during != "a" || holder(t, client) != "" {
		t.Errorf("the holder was %q during the work, and is %q after it", during, holder(t, client))
	}
}

func TestLost(t *testing.T) {
	client := fake.NewClientset()
	var away atomic.Bool
	client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		if away.Load() {
			return true, nil, errors.New("away")
		}
		return false, nil, nil
	})
	var working atomic.Int32
	began, ended := stand(t.Context(), newCandidate(t, client, "a"), &working)
	within(t, "it leads", began)
	away.Store(true)
	if err := within(t, "it ends", ended); err == nil {
		t.Error("it ends without an error")
	}
	until(t, "the work ends", func() bool { return working.Load() == 0 })
	// Another takes over once the lease has expired.
	away.Store(false)
	began, _ = stand(t.Context(), newCandidate(t, client, "b"), &working)
	within(t, "another leads", began)
}

func TestWorkFails(t *testing.T) {
	client := fake.NewClientset()
	failed := errors.New("failed")
	err := newCandidate(t, client, "a").run(t.Context(), func(context.Context) error { return failed })
	if !errors.Is(err, failed) || holder(t, client) != "" {
		t.Errorf("it ends with %v, and the holder is %q", err, holder(t, client))
	}
}

func TestStoppedBeforeItLeads(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") })
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	err := newCandidate(t, client, "a").run(ctx, func(context.Context) error {
		t.Error("it works without a lease")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A replica is unhealthy if it keeps running long after its lease has expired. A lease that is
// read again and says the same has not been renewed.
func TestLiveness(t *testing.T) {
	const duration = 15 * time.Second
	for name, c := range map[string]struct {
		holder string
		ago    time.Duration
		// renewed is whether the lease is renewed then.
		renewed, live bool
	}{
		"it was renewed lately":  {"a", duration, false, true},
		"it has just expired":    {"a", duration + grace/2, false, true},
		"it has expired":         {"a", duration + grace + time.Second, false, false},
		"it is renewed again":    {"a", duration + grace + time.Second, true, true},
		"it is another's":        {"b", time.Hour, false, true},
		"it is released, nobody": {"", time.Hour, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := leaseOf(fake.NewClientset(), ns, "a", duration)
				record := &resourcelock.LeaderElectionRecord{HolderIdentity: c.holder, RenewTime: metav1.Now()}
				l.note(record)
				time.Sleep(c.ago)
				if c.renewed {
					record.RenewTime = metav1.Now()
				}
				l.note(record)
				if err := l.liveCheck().Check(nil); (err == nil) != c.live {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
