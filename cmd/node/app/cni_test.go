// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
