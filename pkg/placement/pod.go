// SPDX-License-Identifier: Apache-2.0

package placement

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ProxyPodSelector selects the pods of proxies.
var ProxyPodSelector = labels.SelectorFromSet(labels.Set{epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent})

// ownerLabels maps an object's resource to the label in which a pod names its object.
var ownerLabels = map[string]string{
	epic.ResourceLoadBalancers: epic.OwningLoadBalancerLabel,
	epic.ResourceGWProxies:     epic.OwningProxyLabel,
}

// CheckPod returns nil if a pod is a running proxy of the object, on any node.
func CheckPod(pod *corev1.Pod, object Object) error {
	if !ProxyPodSelector.Matches(labels.Set(pod.Labels)) {
		return NotThere("pod %s is not a proxy: it lacks the labels %s", pod.Name, ProxyPodSelector)
	}
	for resource, label := range ownerLabels {
		want := ""
		if resource == object.Resource {
			want = object.Name
		}
		if has := OwnerName(pod, label); has != want {
			return NotThere("pod %s is not a proxy of this object: its label %s is %q", pod.Name, label, has)
		}
	}
	if isMirror(pod) {
		return NotThere("pod %s is a static pod, which its node created: run proxies with a Deployment", pod.Name)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return NotThere("pod %s has terminated (%s)", pod.Name, pod.Status.Phase)
	}
	return nil
}

// OwnerName returns the name of the object in a pod's label, or "" for a pod without the
// label. A name that is too long for a label is in an annotation with the same key.
func OwnerName(pod *corev1.Pod, label string) string {
	value := pod.Labels[label]
	if name := pod.Annotations[label]; name != "" && epic.LabelValue(name) == value {
		return name
	}
	return value
}

// isMirror reports whether a node created the pod. A node's own credentials permit it to
// create such pods in every namespace, with any labels; the cluster marks them, and does
// not permit the node to remove the mark.
func isMirror(pod *corev1.Pod) bool {
	if _, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]; ok {
		return true
	}
	controller := metav1.GetControllerOfNoCopy(pod)
	return controller != nil && controller.APIVersion == "v1" && controller.Kind == "Node"
}

// SlimPod keeps the parts of a pod that are needed for proxies. It is a transform of
// informers.
func SlimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status:     corev1.PodStatus{Phase: pod.Status.Phase},
	}
	for _, label := range []string{epic.PartOfLabel, epic.ComponentLabel, epic.OwningLoadBalancerLabel, epic.OwningProxyLabel} {
		if value, ok := pod.Labels[label]; ok {
			slim.Labels[label] = value
		}
		if value, ok := pod.Annotations[label]; ok {
			slim.Annotations[label] = value
		}
	}
	if isMirror(pod) {
		slim.Annotations[corev1.MirrorPodAnnotationKey] = ""
	}
	return slim, nil
}

// ObjectOf returns the object that a pod names as the one whose proxy it is, and false if
// it names none.
func ObjectOf(pod *corev1.Pod) (Object, bool) {
	for resource, label := range ownerLabels {
		if name := OwnerName(pod, label); name != "" {
			return Object{Resource: resource, Namespace: pod.Namespace, Name: name}, true
		}
	}
	return Object{}, false
}
