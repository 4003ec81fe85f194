// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// proxy is a pod of the load balancer shop.
func proxy(name, node string, ready corev1.ConditionStatus) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "epic-acme", Name: name, UID: types.UID(name),
			Labels: map[string]string{epic.OwningLoadBalancerLabel: "shop"},
		},
		Spec: corev1.PodSpec{NodeName: node},
	}
	if ready != "" {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready}}
	}
	return p
}

func ends(p corev1.Pod) corev1.Pod {
	now := metav1.Now()
	p.DeletionTimestamp = &now
	return p
}

// cluster has the pods that a tracker reads.
type cluster struct {
	mu    sync.Mutex
	pods  []corev1.Pod
	err   error
	reads int
}

func (c *cluster) set(err error, pods ...corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods, c.err = pods, err
}

func (c *cluster) list(_ context.Context, namespace string) ([]corev1.Pod, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if namespace != "epic-acme" {
		return nil, errors.New("no pod ends there")
	}
	return c.pods, c.err
}

func (c *cluster) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// A pod that ends gets new connections until another one is ready, or its time is over.
func TestTracker(t *testing.T) {
	const ready, not = corev1.ConditionTrue, corev1.ConditionFalse
	old := ends(proxy("old", "node1", ready))
	foreign := proxy("foreign", "node2", ready)
	foreign.Labels = map[string]string{epic.OwningLoadBalancerLabel: "cart"}
	gateway := proxy("gateway", "node2", ready)
	gateway.Labels = map[string]string{epic.OwningProxyLabel: "shop"}
	long := proxy("long", "node2", ready)
	long.Annotations = map[string]string{epic.OwningLoadBalancerLabel: "shop-of-a-longer-name"}
	for name, test := range map[string]struct {
		pod  corev1.Pod
		err  error
		pods []corev1.Pod
		// later replaces pods after three seconds.
		later []corev1.Pod
		// want is how long the pod holds.
		want time.Duration
	}{
		"it was not ready":                       {ends(proxy("old", "node1", not)), nil, nil, nil, 0},
		"nothing is known of its readiness":      {ends(proxy("old", "node1", "")), nil, nil, nil, 0},
		"another is ready here":                  {old, nil, []corev1.Pod{old, proxy("new", "node1", ready)}, nil, 0},
		"another is ready on another node":       {old, nil, []corev1.Pod{old, proxy("new", "node2", ready)}, nil, settle},
		"another becomes ready":                  {old, nil, []corev1.Pod{old, proxy("new", "node2", not)}, []corev1.Pod{old, proxy("new", "node2", ready)}, 3*time.Second + settle},
		"no other":                               {old, nil, []corev1.Pod{old}, nil, Limit},
		"the other ends too":                     {old, nil, []corev1.Pod{old, ends(proxy("new", "node2", ready))}, nil, Limit},
		"others are another load balancer's":     {old, nil, []corev1.Pod{foreign, gateway, long}, nil, Limit},
		"the API server is away":                 {old, errors.New("away"), nil, nil, Limit},
		"the list lacks the pod itself":          {old, nil, nil, nil, Limit},
		"the pod was deleted, and is back ready": {old, nil, []corev1.Pod{proxy("old", "node1", ready)}, nil, Limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cluster{pods: test.pods, err: test.err}
				tracker := New(c.list)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				changes := 0
				go func() {
					defer close(done)
					tracker.Run(ctx, func() { changes++ })
				}()
				begin := time.Now()
				held := tracker.Holds(&test.pod)
				if !held && test.want > 0 || held && test.pod.Status.Conditions == nil {
					t.Errorf("at first it holds: %t", held)
				}
				for synctest.Wait(); tracker.Holds(&test.pod) && time.Since(begin) < time.Minute; synctest.Wait() {
					if test.later != nil && time.Since(begin) == 3*time.Second {
						c.set(test.err, test.later...)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if got := time.Since(begin); got < test.want || got > test.want+interval+100*time.Millisecond {
					t.Errorf("it holds for %s, want %s", got, test.want)
				}
				time.Sleep(time.Minute)
				if tracker.Holds(&test.pod) {
					t.Error("it holds again")
				}
				if want := min(1, len(test.pod.Status.Conditions)); held && changes != want {
					t.Errorf("%d changes were reported, want %d", changes, want)
				}
				reads := c.count()
				time.Sleep(time.Minute)
				if again := c.count(); again != reads {
					t.Errorf("the pods are read %d times more after that", again-reads)
				}
				cancel()
				<-done
			})
		})
	}
}

// A pod of the same name that comes later has its own time, and none that is gone is kept.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := New((&cluster{}).list)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go tracker.Run(ctx, func() {})
		pod := ends(proxy("old", "node1", corev1.ConditionTrue))
		if !tracker.Holds(&pod) {
			t.Error("it does not hold")
		}
		tracker.Forget(pod.UID)
		synctest.Wait()
		if len(tracker.ending) > 0 {
			t.Errorf("%v is kept", tracker.ending)
		}
		pod.UID = "another"
		if !tracker.Holds(&pod) {
			t.Error("the later one does not hold")
		}
	})
}

func TestServes(t *testing.T) {
	for name, test := range map[string]struct {
		pod  corev1.Pod
		want bool
	}{
		"new":             {proxy("p", "n", ""), false},
		"not ready":       {proxy("p", "n", corev1.ConditionFalse), false},
		"ready":           {proxy("p", "n", corev1.ConditionTrue), true},
		"ready, and ends": {ends(proxy("p", "n", corev1.ConditionTrue)), false},
	} {
		if got := Serves(&test.pod); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
