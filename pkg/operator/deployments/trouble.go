// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Reasons why proxies are not ready.
const (
	// ReasonNoImage means that no Envoy image is known.
	ReasonNoImage = "NoImage"
	// ReasonImageUnavailable means that an image can't be pulled.
	ReasonImageUnavailable = "ImageUnavailable"
	// ReasonTooFewNodes means that no gateway node is left for a pod.
	ReasonTooFewNodes = "TooFewNodes"
	// ReasonProxyExits means that a proxy exits repeatedly.
	ReasonProxyExits = "ProxyExits"
	// ReasonNotStarted means that a pod can't be created or started for another reason.
	ReasonNotStarted = "NotStarted"
)

// trouble returns why proxies are not ready, or empty strings if there is no obstacle.
// Reasons that a person can fix come first.
func trouble(pods []corev1.Pod, d *appsv1.Deployment) (reason, message string) {
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i := range pods {
		pod := &pods[i]
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			waiting := status.State.Waiting
			if waiting == nil {
				continue
			}
			switch waiting.Reason {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
				return ReasonImageUnavailable, fmt.Sprintf("Pod %s can't get the image %q: %s: correct envoy-image of the service group or of the EPIC object", pod.Name, status.Image, waiting.Message)
			case "CrashLoopBackOff":
				return ReasonProxyExits, fmt.Sprintf("Pod %s exited %d times: check its log", pod.Name, status.RestartCount)
			case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
				return ReasonNotStarted, fmt.Sprintf("Pod %s can't be started: %s: %s", pod.Name, waiting.Reason, waiting.Message)
			}
		}
	}
	for i := range pods {
		for _, c := range pods[i].Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				return ReasonTooFewNodes, fmt.Sprintf("No gateway node is available for pod %s: %s: add a gateway node, or lower envoy-replica-count", pods[i].Name, c.Message)
			}
		}
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return ReasonNotStarted, fmt.Sprintf("The cluster refuses pods of Deployment %s: %s", d.Name, c.Message)
		}
	}
	return "", ""
}
