// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/node/cni"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/placement"
)

const (
	thisNode, otherNode = "node1", "node2"
	tenantNamespace     = "epic-acme"
)

// proxyPod is a ready pod of the load balancer shop.
func proxyPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: tenantNamespace, Name: name, UID: types.UID(name), Labels: map[string]string{
			epic.OwningLoadBalancerLabel: "shop", epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent,
		}},
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// A proxy whose pod ends gets new connections until another pod of its object is ready, which a
// node program finds out by the Kubernetes API. Each step is announced by a call of changed.
func TestHandover(t *testing.T) {
	pod := proxyPod("old", thisNode)
	kube := fake.NewClientset(pod)
	a := newAttachments(kube, thisNode)
	var err error
	if a.Attached, err = cni.OpenAttached(t.Context(), t.TempDir(), netns.None()); err != nil {
		t.Fatal(err)
	}
	defer a.Attached.Close()
	// Every machine has this interface, and this test takes no rights.
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Attached.Put(cni.Attachment{Index: lo.Index, Plan: wire.Plan{Host: lo.Name, Kind: "LoadBalancer", Namespace: tenantNamespace, Owner: "shop", Pod: "old"}}); err != nil {
		t.Fatal(err)
	}
	var changes atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	// As in the program: the informer is there before the factory starts.
	informer := a.pods.Core().V1().Pods().Informer()
	a.pods.Start(ctx.Done())
	a.pods.WaitForCacheSync(ctx.Done())
	go func() { done <- a.Run(ctx, func() { changes.Add(1) }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		a.pods.Shutdown()
	}()
	state := func() string {
		all := a.List()
		if len(all) != 1 {
			return fmt.Sprintf("%d proxies", len(all))
		}
		return fmt.Sprintf("standby %t, served %t", all[0].Standby, all[0].Served)
	}
	const active, standby = "standby false, served true", "standby true, served true"
	// expect waits until the node program would see a state because it was told to look.
	seen := int64(0)
	expect := func(what, want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			now := changes.Load()
			if now > seen && state() == want {
				seen = now
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: it is %s after %d calls, want %s after more than %d", what, state(), now, want, seen)
			}
		}
	}
	expect("at first", active)
	pods := kube.CoreV1().Pods(tenantNamespace)
	set := func(p *corev1.Pod) {
		t.Helper()
		if _, err := pods.Update(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	now := metav1.Now()
	pod.DeletionTimestamp = &now
	set(pod)
	expect("its pod is deleted", active)
	stranger := proxyPod("stranger", otherNode)
	stranger.Labels[epic.OwningLoadBalancerLabel] = "cart"
	plain := proxyPod("plain", otherNode)
	delete(plain.Labels, epic.ComponentLabel)
	next := proxyPod("next", otherNode)
	next.Status.Conditions[0].Status = corev1.ConditionFalse
	for _, p := range []*corev1.Pod{stranger, plain, next} {
		if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := state(); got != active {
		t.Errorf("with pods that are no successors it is %s", got)
	}
	next.Status.Conditions[0].Status = corev1.ConditionTrue
	set(next)
	expect("its successor is ready", standby)
	// A handover ends after a while whatever the pods are, so see that they were read: those of
	// this node for the list, and those of the namespace's proxies on all nodes for successors.
	read := map[string]bool{}
	for _, action := range kube.Actions() {
		if list, ok := action.(clienttesting.ListAction); ok {
			r := list.GetListRestrictions()
			read[fmt.Sprintf("%s,%s,%s", list.GetNamespace(), r.Labels, r.Fields)] = true
		}
	}
	for _, want := range []string{",,spec.nodeName=" + thisNode, tenantNamespace + "," + placement.ProxyPodSelector.String() + ","} {
		if !read[want] {
			t.Errorf("%q was not read, but %v", want, read)
		}
	}

	if a.handover.Holds(pod) {
		t.Fatal("it gets new connections again")
	}
	if err := pods.Delete(t.Context(), "old", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !a.handover.Holds(pod); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a pod that is gone is never forgotten")
		}
	}
	if _, known, err := informer.GetStore().GetByKey(tenantNamespace + "/old"); known || err != nil {
		t.Errorf("the pod is still known: %v", err)
	}
}

// A pod that is not ready, and does not end, is on standby at once.
func TestStandby(t *testing.T) {
	pod := proxyPod("old", thisNode)
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	a := newAttachments(fake.NewClientset(pod), thisNode)
	var err error
	if a.Attached, err = cni.OpenAttached(t.Context(), t.TempDir(), netns.None()); err != nil {
		t.Fatal(err)
	}
	defer a.Attached.Close()
	for _, name := range []string{"old", "unknown"} {
		if err := a.Attached.Put(cni.Attachment{Plan: wire.Plan{Host: "lo", Namespace: tenantNamespace, Owner: "shop", Pod: name}}); err != nil {
			t.Fatal(err)
		}
		if a.List()[0].Standby {
			t.Errorf("%s is on standby before any pod is known", name)
		}
	}
	a.pods.Core().V1().Pods().Informer()
	ctx, cancel := context.WithCancel(t.Context())
	defer a.pods.Shutdown()
	defer cancel()
	a.pods.Start(ctx.Done())
	a.pods.WaitForCacheSync(ctx.Done())
	for name, want := range map[string]bool{"old": true, "unknown": false} {
		if err := a.Attached.Put(cni.Attachment{Plan: wire.Plan{Host: "lo", Namespace: tenantNamespace, Owner: "shop", Pod: name}}); err != nil {
			t.Fatal(err)
		}
		if got := a.List()[0].Standby; got != want {
			t.Errorf("%s: standby %t", name, got)
		}
	}
}

func TestServed(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.Unix(second, 0) }
	running := func(second int64) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(second)}}
	}
	for name, test := range map[string]struct {
		ready corev1.ConditionStatus
		since int64
		now   corev1.ContainerState
		last  corev1.ContainerState
		want  bool
	}{
		"scheduled":                    {corev1.ConditionFalse, 10, corev1.ContainerState{}, corev1.ContainerState{}, false},
		"started":                      {corev1.ConditionFalse, 10, running(12), corev1.ContainerState{}, false},
		"ready":                        {corev1.ConditionTrue, 14, running(12), corev1.ContainerState{}, true},
		"no longer ready":              {corev1.ConditionFalse, 20, running(12), corev1.ContainerState{}, true},
		"restarted, never ready":       {corev1.ConditionFalse, 10, running(30), corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(12)}}, false},
		"restarted, and ready before":  {corev1.ConditionFalse, 29, running(30), corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(12)}}, true},
		"nothing known of its status":  {"", 0, corev1.ContainerState{}, corev1.ContainerState{}, false},
		"ended, was ready before that": {corev1.ConditionFalse, 29, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(12)}}, corev1.ContainerState{}, true},
	} {
		p := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: test.now, LastTerminationState: test.last}}}}
		if test.ready != "" {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: test.ready, LastTransitionTime: at(test.since)}}
		}
		if got := served(p); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
