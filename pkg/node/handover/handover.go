// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// Limit is how long a terminating proxy waits for another one. Its Envoy continues to
	// serve for longer than that.
	Limit = 12 * time.Second
	// settle is how long a proxy on another node has to be ready. In that time, its node
	// announces it: it waits for the tunnels, which open while the proxy starts, or soon
	// after. The wait is harmless, because the terminating Envoy continues to serve until
	// after Limit.
	settle = 5 * time.Second
	// interval is the interval at which the other pods of an object are read, and timeout
	// the limit for each read.
	interval, timeout = 500 * time.Millisecond, 5 * time.Second
)

// Pods returns the pods of proxies in a namespace, on all nodes.
type Pods func(ctx context.Context, namespace string) ([]corev1.Pod, error)

// Tracker tracks the terminating pods of a node. Its methods are safe for concurrent use.
type Tracker struct {
	pods Pods
	kick chan struct{}

	mu     sync.Mutex
	ending map[types.UID]*ending
}

// ending is a terminating pod.
type ending struct {
	pod *corev1.Pod
	// since is when its termination was detected.
	since time.Time
	// other is since when another pod has been ready on another node.
	other time.Time
	// over indicates that it gets no new connections.
	over bool
}

// New returns a tracker.
func New(pods Pods) *Tracker {
	return &Tracker{pods: pods, kick: make(chan struct{}, 1), ending: map[types.UID]*ending{}}
}

// Holds reports whether a terminating pod still gets new connections. Its result for a
// pod changes at most once, from true to false.
func (t *Tracker) Holds(pod *corev1.Pod) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.ending[pod.UID]
	if e == nil {
		// A pod that was not ready has nothing to hand over.
		e = &ending{pod: pod, since: time.Now(), over: !Ready(pod)}
		t.ending[pod.UID] = e
		if !e.over {
			select {
			case t.kick <- struct{}{}:
			default:
			}
		}
	}
	return !e.over
}

// Forget removes a pod that no longer exists.
func (t *Tracker) Forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ending, uid)
}

// Run checks the other pods of objects with terminating pods until ctx ends. It calls
// changed when the result of Holds has changed.
func (t *Tracker) Run(ctx context.Context, changed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
		}
		for {
			left, decided := t.look(ctx)
			if decided {
				changed()
			}
			if !left {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(interval):
			case <-t.kick:
			}
		}
	}
}

// look reads the other pods once. It reports whether any pod is left that has not handed
// over, and whether one has.
func (t *Tracker) look(ctx context.Context) (left, decided bool) {
	lists := map[string][]corev1.Pod{}
	for _, namespace := range t.namespaces() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		pods, err := t.pods(ctx, namespace)
		cancel()
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).V(1).Info("Can't check which other proxies are ready", "namespace", namespace, "err", err)
		}
		lists[namespace] = pods
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, e := range t.ending {
		if e.over {
			continue
		}
		if pods, read := lists[e.pod.Namespace]; read {
			e.judge(pods, now)
		}
		left, decided = left || !e.over, decided || e.over
	}
	return left, decided
}

// namespaces returns the namespaces of pods that have not handed over.
func (t *Tracker) namespaces() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]bool{}
	for _, e := range t.ending {
		if !e.over {
			all[e.pod.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// judge decides on a pod, given all pods.
func (e *ending) judge(pods []corev1.Pod, now time.Time) {
	here, elsewhere := false, false
	for i := range pods {
		p := &pods[i]
		if p.UID == e.pod.UID || !sameOwner(p, e.pod) || !Serves(p) {
			continue
		}
		if p.Spec.NodeName == e.pod.Spec.NodeName {
			here = true
		} else {
			elsewhere = true
		}
	}
	switch {
	case !elsewhere:
		e.other = time.Time{}
	case e.other.IsZero():
		e.other = now
	}
	e.over = here || elsewhere && now.Sub(e.other) >= settle || now.Sub(e.since) >= Limit
}

// sameOwner reports whether two pods run for one load balancer or gateway proxy.
func sameOwner(a, b *corev1.Pod) bool {
	for _, label := range []string{epic.OwningLoadBalancerLabel, epic.OwningProxyLabel} {
		if a.Labels[label] != b.Labels[label] || a.Annotations[label] != b.Annotations[label] {
			return false
		}
	}
	return a.Namespace == b.Namespace
}

// Serves reports whether a pod is ready and not terminating.
func Serves(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil && Ready(pod) }

// Ready reports whether a pod is ready.
func Ready(pod *corev1.Pod) bool {
	c := Readiness(pod)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Readiness returns the condition Ready of a pod, or nil if it has none.
func Readiness(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
