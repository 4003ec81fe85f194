// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestDerives(t *testing.T) {
	container := func(c corev1.Container) corev1.PodSpec { return corev1.PodSpec{Containers: []corev1.Container{c}} }
	memory := func(quantity string) corev1.PodSpec {
		return container(corev1.Container{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(quantity)}}})
	}
	for name, test := range map[string]struct {
		want, has any
		same      bool
	}{
		"equal":                      {container(corev1.Container{Name: "a"}), container(corev1.Container{Name: "a"}), true},
		"a default":                  {container(corev1.Container{Name: "a"}), container(corev1.Container{Name: "a", ImagePullPolicy: corev1.PullAlways, Stdin: true}), true},
		"a number's default":         {corev1.Probe{PeriodSeconds: 1}, corev1.Probe{PeriodSeconds: 1, SuccessThreshold: 1}, true},
		"another number":             {corev1.Probe{PeriodSeconds: 1}, corev1.Probe{PeriodSeconds: 2}, false},
		"another text":               {container(corev1.Container{Name: "a"}), container(corev1.Container{Name: "b"}), false},
		"one container more":         {corev1.PodSpec{}, container(corev1.Container{Name: "b"}), true},
		"one container less":         {container(corev1.Container{Name: "a"}), corev1.PodSpec{}, false},
		"an argument that is empty":  {container(corev1.Container{Args: []string{""}}), container(corev1.Container{Args: []string{"x"}}), false},
		"a quantity, other words":    {memory("512Mi"), memory("536870912"), true},
		"another quantity":           {memory("512Mi"), memory("513Mi"), false},
		"a label":                    {map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}, true},
		"a label less":               {map[string]string{"a": "1"}, map[string]string{"b": "2"}, false},
		"a label that is empty":      {map[string]string{"a": ""}, map[string]string{"a": "1"}, false},
		"a pointer to nothing":       {appsv1.DeploymentSpec{Replicas: new(int32(0))}, appsv1.DeploymentSpec{}, false},
		"a pointer to zero":          {appsv1.DeploymentSpec{Replicas: new(int32(0))}, appsv1.DeploymentSpec{Replicas: new(int32(1))}, false},
		"a pointer to false":         {corev1.PodSpec{EnableServiceLinks: new(false)}, corev1.PodSpec{EnableServiceLinks: new(true)}, false},
		"a number or text":           {appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0))}, appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromString("25%"))}, false},
		"the same number or text":    {appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0))}, appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0))}, true},
		"a structure that is empty":  {corev1.Volume{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, corev1.Volume{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}}, true},
		"a structure that is absent": {corev1.Volume{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, corev1.Volume{}, false},
	} {
		if got := derives(test.want, test.has); got != test.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
