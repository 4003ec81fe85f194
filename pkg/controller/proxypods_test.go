// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/placement"
)

// envoy is the pod of a proxy of a load balancer.
func envoy(namespace, lb, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{
		epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, epic.OwningLoadBalancerLabel: lb,
	}}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
}

// cluster is a gateway cluster with pods.
func cluster(pods ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(pods...)
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "nodes"}, {Name: "pods"}}}}
	return client
}

// testProxiesThatAreGone removes the entries of proxies that nobody else removes.
func testProxiesThatAreGone(w *world) {
	ctx := context.Background()
	ns := w.account("gone")
	lb := w.loadBalancer(ns, "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	client := cluster(envoy(ns, "web", "p1"), envoy(ns, "web", "p2"), envoy(ns, "other", "stray"))
	w.kube = client
	// Before the controller starts: an entry of a pod that is gone, of a pod of
	// another load balancer, and of a proxy that moved.
	for pod, node := range map[string]string{"p1": "172.16.6.1", "p2": "172.16.6.2", "gone": "172.16.6.3", "stray": "172.16.6.4", "moved": "172.16.6.5", "listed": "172.16.6.6"} {
		w.pod(lb, pod, node)
	}
	must(w.t)(w.api.LoadBalancers(ns).Patch(ctx, "web", types.MergePatchType,
		[]byte(`{"status":{"proxy-placements":{"listed":"172.16.6.6","moved":"172.16.6.7"}}}`), metav1.PatchOptions{}, "status"))
	stop := w.start()
	w.eventually(lb, ready, "192.168.1.1>172.16.6.1", "192.168.1.1>172.16.6.2", "192.168.1.1>172.16.6.6")
	// A pod that goes later, and one that ends.
	must(w.t)(nil, client.CoreV1().Pods(ns).Delete(ctx, "p2", metav1.DeleteOptions{}))
	w.eventually(lb, ready, "192.168.1.1>172.16.6.1", "192.168.1.1>172.16.6.6")
	ended := envoy(ns, "web", "p1")
	ended.Status.Phase = corev1.PodFailed
	must(w.t)(client.CoreV1().Pods(ns).UpdateStatus(ctx, ended, metav1.UpdateOptions{}))
	w.eventually(lb, ready, "192.168.1.1>172.16.6.6")
	if _, status := w.get(lb); !slices.Equal(slices.Collect(maps.Keys(status.ProxyIfInfo)), []string{"listed"}) {
		w.t.Errorf("the entries are %v", status.ProxyIfInfo)
	}
	stop()
	for _, action := range client.Actions() {
		if action.Matches(action.GetVerb(), "pods") && slices.Contains([]string{"get", "list", "watch"}, action.GetVerb()) {
			w.seen.Insert(action.GetVerb() + " pods")
		}
	}
}

// An unknown proxy is not removed.
func TestGone(t *testing.T) {
	object := placement.Object{Resource: "loadbalancers", Namespace: "ns", Name: "web"}
	status := &epicv1.ProxyStatus{
		ProxyIfInfo:     map[string]epicv1.ProxyInterfaceInfo{"pod": {EPICNodeAddress: "192.0.2.1"}, "listed": {EPICNodeAddress: "192.0.2.1"}, "moved": {EPICNodeAddress: "192.0.2.1"}},
		ProxyPlacements: map[string]string{"listed": "192.0.2.1", "moved": "192.0.2.2"},
	}
	watched := func(t *testing.T, client *fake.Clientset) *proxyPods {
		p := newProxyPods(client, func() map[string][]cache.ObjectName { return nil })
		go p.informer.RunWithContext(t.Context())
		cache.WaitForCacheSync(t.Context().Done(), p.informer.HasSynced)
		return p
	}
	for name, test := range map[string]struct {
		pods func(t *testing.T) *proxyPods
		want []string
	}{
		"no cluster":       {func(*testing.T) *proxyPods { return newProxyPods(nil, nil) }, []string{"moved"}},
		"not read yet":     {func(*testing.T) *proxyPods { return newProxyPods(cluster(), nil) }, []string{"moved"}},
		"no such pod":      {func(t *testing.T) *proxyPods { return watched(t, cluster()) }, []string{"moved", "pod"}},
		"the pod is there": {func(t *testing.T) *proxyPods { return watched(t, cluster(envoy("ns", "web", "pod"))) }, []string{"moved"}},
		"the watch is behind": {func(t *testing.T) *proxyPods {
			client := cluster()
			client.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, envoy("ns", "web", "pod"), nil })
			return watched(t, client)
		}, []string{"moved"}},
		"no answer": {func(t *testing.T) *proxyPods {
			client := cluster()
			client.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewInternalError(errors.New("broken"))
			})
			return watched(t, client)
		}, []string{"moved"}},
	} {
		t.Run(name, func(t *testing.T) {
			gone := test.pods(t).gone(t.Context(), object, status)
			if got := slices.Sorted(maps.Keys(gone)); !slices.Equal(got, test.want) {
				t.Errorf("gone are %v, want %v", got, test.want)
			}
		})
	}
}

// Next to a server without pods nothing is watched.
func TestNoPodsAreServed(t *testing.T) {
	for name, resources := range map[string][]*metav1.APIResourceList{
		"no core group": nil,
		"no pods":       {{GroupVersion: "v1"}},
	} {
		client := fake.NewClientset()
		client.Resources = resources
		done := make(chan struct{})
		go func() {
			defer close(done)
			newProxyPods(client, nil).run(t.Context())
		}()
		select {
		case <-done:
		case <-time.After(patience):
			t.Errorf("%s: it goes on", name)
		}
	}
}
