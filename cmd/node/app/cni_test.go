// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestServes(t *testing.T) {
	pod := func(ready corev1.ConditionStatus, ends bool) *corev1.Pod {
		p := &corev1.Pod{}
		if ready != "" {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready}}
		}
		if ends {
			p.DeletionTimestamp = &metav1.Time{}
		}
		return p
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"new": {pod("", false), false}, "not ready": {pod(corev1.ConditionFalse, false), false},
		"ready": {pod(corev1.ConditionTrue, false), true}, "ready, and ends": {pod(corev1.ConditionTrue, true), false},
	} {
		if got := serves(test.pod); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
