// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/acnodal/epic/pkg/operator/workload"
)

const ns = "epic-acme"

func shop() *workload.Proxy {
	return &workload.Proxy{Kind: workload.LoadBalancer, Namespace: ns, Name: "shop", UID: "u1", Replicas: 2, Account: "acme"}
}

func newRunner(ca *string, objects ...client.Object) *Runner {
	return &Runner{
		Client:   fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).WithStatusSubresource(&appsv1.Deployment{}).Build(),
		Platform: workload.Platform{EnvoyImage: "envoy:1", ProxyImage: "proxy:1", OperatorNamespace: "epic-system"},
		CA:       func() []byte { return []byte(*ca) },
	}
}

func get[T client.Object](t *testing.T, r *Runner, name string, into T) T {
	t.Helper()
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// Everything is created once, follows the object, and is left alone while it is right.
func TestEnsure(t *testing.T) {
	ca := "one"
	r, p := newRunner(&ca), shop()
	ensure := func() (version string) {
		t.Helper()
		if _, err := r.Ensure(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		d := get(t, r, "lb-shop", &appsv1.Deployment{})
		return d.ResourceVersion
	}
	first := ensure()
	get(t, r, "lb-shop", &networkingv1.NetworkPolicy{})
	get(t, r, "lb-shop", &policyv1.PodDisruptionBudget{})
	if got := get(t, r, workload.CAConfigMap, &corev1.ConfigMap{}).Data[workload.CAKey]; got != "one" {
		t.Errorf("the CA is %q", got)
	}
	// What the API server and others add is not removed.
	d := get(t, r, "lb-shop", &appsv1.Deployment{})
	d.Spec.ProgressDeadlineSeconds = new(int32(600))
	d.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
	for _, probe := range []*corev1.Probe{d.Spec.Template.Spec.Containers[0].LivenessProbe, d.Spec.Template.Spec.Containers[0].ReadinessProbe, d.Spec.Template.Spec.Containers[0].StartupProbe} {
		probe.SuccessThreshold = 1
	}
	d.Spec.Template.Spec.Volumes[0].EmptyDir.Medium = corev1.StorageMediumDefault
	d.Spec.Template.Spec.Containers[0].Env[0].ValueFrom.FieldRef.APIVersion = "v1"
	if err := r.Client.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if again := ensure(); again != d.ResourceVersion || again == first {
		t.Error("a Deployment that is as it should be was written")
	}

	p.Replicas, p.Image, ca = 3, "envoy:2", "two"
	ensure()
	d = get(t, r, "lb-shop", &appsv1.Deployment{})
	if *d.Spec.Replicas != 3 || d.Spec.Template.Spec.Containers[0].Image != "envoy:2" {
		t.Errorf("the Deployment has %d replicas of %s", *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Image)
	}
	if got := get(t, r, workload.CAConfigMap, &corev1.ConfigMap{}).Data[workload.CAKey]; got != "two" {
		t.Errorf("the CA is %q", got)
	}
	// Somebody changes it.
	d.Spec.Template.Spec.HostNetwork = true
	d.Spec.Template.Spec.Containers[0].Image = "evil"
	if err := r.Client.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	ensure()
	if d = get(t, r, "lb-shop", &appsv1.Deployment{}); d.Spec.Template.Spec.Containers[0].Image != "envoy:2" || d.Spec.Template.Spec.HostNetwork {
		t.Error("what somebody changed stays")
	}
}

// Another's Deployment is not taken over, nor that of an earlier object of the name.
func TestForeign(t *testing.T) {
	for name, owner := range map[string]*metav1.OwnerReference{
		"does not belong to the operator": nil,
		"still exists":                    {APIVersion: "epic.acnodal.io/v1", Kind: "LoadBalancer", Name: "shop", UID: "u0", Controller: new(true)},
	} {
		ca := ""
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "lb-shop"}}
		if owner != nil {
			d.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		if _, err := newRunner(&ca, d).Ensure(t.Context(), shop()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProgress(t *testing.T) {
	ca := ""
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Image: "envoy:1", RestartCount: 7, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}}
	}
	for name, test := range map[string]struct {
		status  appsv1.DeploymentStatus
		pod     corev1.PodStatus
		image   string
		want    string
		message string
	}{
		"ready": {status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2}, image: "envoy:1"},
		"a rollout that fails": {
			status: appsv1.DeploymentStatus{Replicas: 4, UpdatedReplicas: 2, ReadyReplicas: 2}, pod: waiting("ImagePullBackOff", "not found"), image: "envoy:1",
			want: ReasonImageUnavailable, message: "not found",
		},
		"starting":       {image: "envoy:1"},
		"no image":       {want: ReasonNoImage, message: "--envoy-image"},
		"a bad image":    {pod: waiting("ErrImagePull", "not found"), image: "envoy:1", want: ReasonImageUnavailable, message: `"envoy:1": not found: correct envoy-image`},
		"a crash":        {pod: waiting("CrashLoopBackOff", ""), image: "envoy:1", want: ReasonProxyExits, message: "7 times"},
		"a bad config":   {pod: waiting("CreateContainerConfigError", "no user"), image: "envoy:1", want: ReasonNotStarted, message: "no user"},
		"too few nodes":  {pod: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes"}}}, image: "envoy:1", want: ReasonTooFewNodes, message: "0/1 nodes: add a gateway node"},
		"a refused pod":  {status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota"}}}, image: "envoy:1", want: ReasonNotStarted, message: "exceeded quota"},
		"an old version": {status: appsv1.DeploymentStatus{UpdatedReplicas: 1, ReadyReplicas: 2}, image: "envoy:1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := shop()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "lb-shop-x", Labels: p.Labels()}, Status: test.pod}
			r := newRunner(&ca, pod)
			r.Platform.EnvoyImage = test.image
			if test.image != "" {
				if _, err := r.Ensure(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				d := get(t, r, "lb-shop", &appsv1.Deployment{})
				d.Status = test.status
				if err := r.Client.Status().Update(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			got, err := r.Ensure(t.Context(), p)
			if err != nil || got.Reason != test.want || !strings.Contains(got.Message, test.message) || got.Ready != test.status.ReadyReplicas || got.Updated != test.status.UpdatedReplicas {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	p := shop()
	p.Name = strings.Repeat("long-", 30) + "name"
	d := (&workload.Platform{}).Deployment(p)
	if id, ok := OwnerOf(d); !ok || id.Name != p.Name || id.Kind != "LoadBalancer" || id.Namespace != ns {
		t.Errorf("%v, %v", id, ok)
	}
	if _, ok := OwnerOf(&corev1.Pod{}); ok {
		t.Error("a pod of nobody has an owner")
	}
}
