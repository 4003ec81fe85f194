// SPDX-License-Identifier: Apache-2.0

package leader

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

const (
	ns       = "epic-system"
	patience = 30 * time.Second
)

func candidate(t *testing.T, client *fake.Clientset, identity string) *Election {
	t.Helper()
	e, err := New(Options{
		Client: client, Namespace: ns, Identity: identity,
		LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// stand runs a candidate whose work is to tell that it began, and to wait.
func stand(ctx context.Context, e *Election, working *atomic.Int32) (began chan struct{}, ended chan error) {
	began, ended = make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- e.Run(ctx, func(ctx context.Context) error {
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
	lease, err := client.CoordinationV1().Leases(ns).Get(t.Context(), LeaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

func TestOneLeadsAndHandsOver(t *testing.T) {
	client := fake.NewClientset()
	var working atomic.Int32
	a, b := candidate(t, client, "a"), candidate(t, client, "b")
	if a.ReadyCheck().Check(nil) == nil {
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
	if holder(t, client) != "a" || working.Load() != 1 || a.ReadyCheck().Check(nil) != nil || b.ReadyCheck().Check(nil) != nil || a.LiveCheck().Check(nil) != nil {
		t.Errorf("the holder is %q, %d work; ready: %v, %v; live: %v", holder(t, client), working.Load(), a.ReadyCheck().Check(nil), b.ReadyCheck().Check(nil), a.LiveCheck().Check(nil))
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
	e := candidate(t, client, "a")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began, ended := make(chan struct{}), make(chan error, 1)
	during := ""
	go func() {
		ended <- e.Run(ctx, func(ctx context.Context) error {
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
	began, ended := stand(t.Context(), candidate(t, client, "a"), &working)
	within(t, "it leads", began)
	away.Store(true)
	if err := within(t, "it ends", ended); !errors.Is(err, ErrLost) || working.Load() != 0 {
		t.Errorf("it ends with %v, and %d work", err, working.Load())
	}
	// Another takes over once the lease has expired.
	away.Store(false)
	began, _ = stand(t.Context(), candidate(t, client, "b"), &working)
	within(t, "another leads", began)
}

func TestWorkFails(t *testing.T) {
	client := fake.NewClientset()
	failed := errors.New("failed")
	err := candidate(t, client, "a").Run(t.Context(), func(context.Context) error { return failed })
	if !errors.Is(err, failed) || holder(t, client) != "" {
		t.Errorf("it ends with %v, and the holder is %q", err, holder(t, client))
	}
}

func TestStoppedBeforeItLeads(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") })
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	err := candidate(t, client, "a").Run(ctx, func(context.Context) error {
		t.Error("it works without a lease")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBadDurations(t *testing.T) {
	_, err := New(Options{Client: fake.NewClientset(), Namespace: ns, Identity: "a", LeaseDuration: time.Second, RenewDeadline: time.Second, RetryPeriod: time.Second})
	if err == nil || !strings.Contains(err.Error(), "leader election") {
		t.Errorf("got %v", err)
	}
}
