// SPDX-License-Identifier: Apache-2.0

package gatewaycluster

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/placement"
)

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("2001:db8::2")
	lb  = placement.Object{Resource: "loadbalancers", Namespace: "epic-acme", Name: "shop"}
)

// nodes are the addresses of Nodes.
type nodes struct{}

func (nodes) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "one":
		return []netip.Addr{netip.MustParseAddr("198.51.100.1"), one}, nil
	case "two":
		return []netip.Addr{two}, nil
	case "broken":
		return nil, apierrors.NewInternalError(errors.New("no answer"))
	}
	return nil, errors.New("two Nodes say that the address is theirs")
}

func pod(name, node, owner string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: name, Labels: map[string]string{
			epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, epic.OwningLoadBalancerLabel: owner,
		}},
		Spec: corev1.PodSpec{NodeName: node},
	}
}

// start returns pods whose informer has seen those given, and the client.
func start(t *testing.T, all ...runtime.Object) (*ProxyPods, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(all...)
	p := NewProxyPods(client, nodes{})
	go p.Run(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), p.HasSynced) {
		t.Fatal("no sync")
	}
	return p, client
}

func reads(client *fake.Clientset) int {
	n := 0
	for _, a := range client.Actions() {
		if a.Matches("get", "pods") {
			n++
		}
	}
	return n
}

func TestCheck(t *testing.T) {
	p, client := start(t,
		pod("here", "one", "shop"), pod("there", "two", "shop"), pod("waiting", "", "shop"), pod("others", "one", "else"),
		pod("unclear", "twice", "shop"), pod("unreadable", "broken", "shop"), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: "plain"}})
	// These have come and gone, and a slow watch has not told of it.
	if err := client.Tracker().Add(pod("late", "one", "shop")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		node netip.Addr
		// err is part of the error, and reads how many pods are read.
		err   string
		reads int
	}{
		"here":    {one, "", 0},
		"late":    {one, "", -1},
		"there":   {two, "", 0},
		"waiting": {one, "is not scheduled to a Node yet", 1},
		"others":  {one, "not a proxy of this object", 1},
		"plain":   {one, "lacks the labels", 1},
		"none":    {one, "pod none does not exist in namespace epic-acme", 1},
		"unclear": {one, "two Nodes say", 1},
	} {
		client.ClearActions()
		err := p.Check(t.Context(), lb, name, test.node)
		if test.err == "" && err != nil || test.err != "" && (!placement.IsNotThere(err) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", name, err)
		}
		if n := reads(client); test.reads >= 0 && n != test.reads {
			t.Errorf("%s: %d pods were read", name, n)
		}
	}
	if err := p.Check(t.Context(), lb, "there", one); !placement.IsNotThere(err) || !strings.Contains(err.Error(), "another Node") {
		t.Errorf("another's pod: %v", err)
	}
	if err := p.Check(t.Context(), lb, "unreadable", one); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a Node that can't be read: %v", err)
	}
	if err := p.Check(t.Context(), placement.Object{Resource: "loadbalancers", Namespace: "epic-other", Name: "shop"}, "here", one); !placement.IsNotThere(err) {
		t.Errorf("another namespace: %v", err)
	}
}

// A pod that was recreated on another Node is not where the watch saw it last.
func TestPodThatMoved(t *testing.T) {
	client := fake.NewClientset(pod("set-0", "one", "shop"))
	client.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, pod("set-0", "two", "shop"), nil
	})
	p := NewProxyPods(client, nodes{})
	go p.Run(t.Context())
	cache.WaitForCacheSync(t.Context().Done(), p.HasSynced)
	if err := p.Check(t.Context(), lb, "set-0", two); err != nil {
		t.Errorf("the new Node: %v", err)
	}
}

func TestNotKnownYet(t *testing.T) {
	p := NewProxyPods(fake.NewClientset(pod("here", "one", "shop")), nodes{})
	err := p.Check(t.Context(), lb, "here", one)
	if seconds, ok := apierrors.SuggestsClientDelay(err); !apierrors.IsServiceUnavailable(err) || !ok || seconds < 1 {
		t.Errorf("before the watch began: %v", err)
	}
	p, client := start(t)
	client.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("no answer"))
	})
	if err := p.Check(t.Context(), lb, "here", one); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a pod that can't be read: %v", err)
	}
}

// A node that makes pods up costs the kube-apiserver little, and other nodes
// nothing.
func TestReadsAreBounded(t *testing.T) {
	p, client := start(t, pod("here", "one", "shop"))
	client.ClearActions()
	var last error
	for range 10 * readBurst {
		last = p.Check(t.Context(), lb, "made-up", one)
	}
	if n := reads(client); n < readBurst || n > 2*readBurst {
		t.Errorf("%d reads", n)
	}
	if !apierrors.IsTooManyRequests(last) {
		t.Errorf("the last answer: %v", last)
	}
	if err := p.Check(t.Context(), lb, "here", one); err != nil {
		t.Errorf("what the watch knows: %v", err)
	}
	if err := p.Check(t.Context(), lb, "made-up", two); !placement.IsNotThere(err) {
		t.Errorf("another node: %v", err)
	}
}
