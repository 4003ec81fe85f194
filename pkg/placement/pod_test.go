// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func proxyPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "envoy-1", UID: "u", ResourceVersion: "1", Labels: map[string]string{
			epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, epic.OwningLoadBalancerLabel: "shop", "app": "x",
		}},
		Spec:   corev1.PodSpec{NodeName: "one", HostNetwork: true},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func TestCheckPod(t *testing.T) {
	lb := Object{Resource: "loadbalancers", Namespace: "epic-acme", Name: "shop"}
	gw := Object{Resource: "gwproxies", Namespace: "epic-acme", Name: "shop"}
	long := Object{Resource: "gwproxies", Namespace: "epic-acme", Name: strings.Repeat("shop.", 20) + "example"}
	longNamed := func(annotation string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			delete(p.Labels, epic.OwningLoadBalancerLabel)
			p.Labels[epic.OwningProxyLabel] = epic.LabelValue(long.Name)
			p.Annotations = map[string]string{epic.OwningProxyLabel: annotation}
		}
	}
	label := func(name, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			if value == "" {
				delete(p.Labels, name)
				return
			}
			p.Labels[name] = value
		}
	}
	for name, test := range map[string]struct {
		object Object
		change func(*corev1.Pod)
		err    string
	}{
		"a proxy": {lb, func(*corev1.Pod) {}, ""},
		"running": {lb, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, ""},
		"of a gateway proxy": {gw, func(p *corev1.Pod) {
			label(epic.OwningLoadBalancerLabel, "")(p)
			label(epic.OwningProxyLabel, "shop")(p)
		}, ""},
		"of a gateway proxy with a long name":   {long, longNamed(long.Name), ""},
		"of one that only the annotation names": {gw, longNamed("shop"), "is not a proxy of this object"},
		"of another kind":                       {gw, func(*corev1.Pod) {}, "is not a proxy of this object"},
		"of another object":                     {lb, label(epic.OwningLoadBalancerLabel, "other"), "is not a proxy of this object"},
		"of no object":                          {lb, label(epic.OwningLoadBalancerLabel, ""), "is not a proxy of this object"},
		"of two objects":                        {lb, label(epic.OwningProxyLabel, "shop"), "is not a proxy of this object"},
		"no part of the product":                {lb, label(epic.PartOfLabel, ""), "lacks the labels"},
		"another component":                     {lb, label(epic.ComponentLabel, "eds-server"), "lacks the labels"},
		"ended":                                 {lb, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "has terminated"},
		"failed":                                {lb, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "has terminated"},
		"made by a node":                        {lb, func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }, "static pod"},
		"owned by a node": {lb, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "one", Controller: ptr.To(true)}}
		}, "static pod"},
		"owned by a set": {lb, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "x", Controller: ptr.To(true)}}
		}, ""},
	} {
		pod := proxyPod(test.change)
		slim, err := SlimPod(pod)
		if err != nil {
			t.Fatal(err)
		}
		// What a cache keeps of a pod is enough to decide.
		for _, p := range []*corev1.Pod{pod, slim.(*corev1.Pod)} {
			err := CheckPod(p, test.object)
			if test.err == "" && err != nil || test.err != "" && (!IsNotThere(err) || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestSlimPod(t *testing.T) {
	out, err := SlimPod(proxyPod())
	if err != nil {
		t.Fatal(err)
	}
	pod := out.(*corev1.Pod)
	if pod.Spec.NodeName != "one" || pod.Spec.HostNetwork || pod.Labels["app"] != "" || pod.Name != "envoy-1" || pod.ResourceVersion != "1" {
		t.Errorf("%+v", pod)
	}
	if object, ok := ObjectOf(pod); !ok || object != (Object{"loadbalancers", "epic-acme", "shop"}) {
		t.Errorf("%v, %v", object, ok)
	}
	name := strings.Repeat("shop.", 20) + "example"
	long := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Labels: map[string]string{epic.OwningProxyLabel: epic.LabelValue(name)}, Annotations: map[string]string{epic.OwningProxyLabel: name}}}
	if object, ok := ObjectOf(long); !ok || object != (Object{"gwproxies", "epic-acme", name}) {
		t.Errorf("%v, %v", object, ok)
	}
	if _, ok := ObjectOf(&corev1.Pod{}); ok {
		t.Error("a pod without labels has an object")
	}
	if same, err := SlimPod("x"); err != nil || same != "x" {
		t.Errorf("%v, %v", same, err)
	}
}
