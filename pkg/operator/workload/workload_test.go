// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func platform() *Platform {
	return &Platform{
		EnvoyImage: "acnodal/epic-envoy:v1", ProxyImage: "acnodal/epic-proxy:v1", PullPolicy: corev1.PullIfNotPresent,
		Operator: "epic-operator.epic-system.svc:7446", ServerName: "epic-operator.epic-system.svc",
		OperatorNamespace: "epic-system", OperatorLabels: map[string]string{"app.kubernetes.io/name": "epic-operator"}, OperatorPort: 7446,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "epic-acme", Name: name, UID: "u1", Generation: 3,
		Labels: map[string]string{epic.OwningAccountLabel: "acme", epic.OwningServicePrefixLabel: "default"},
	}
}

// Each file has the objects that run one proxy. UPDATE_GOLDEN=1 writes them.
func TestGolden(t *testing.T) {
	group := &epicv1.LBServiceGroup{Spec: epicv1.LBServiceGroupSpec{EnvoyImage: "example.com/envoy:group", EnvoyReplicaCount: ptr.To[int32](2)}}
	config := &epicv1.EPIC{Spec: epicv1.EPICSpec{EnvoyImage: "example.com/envoy:epic"}}
	for name, p := range map[string]Proxy{
		"loadbalancer": OfLoadBalancer(&epicv1.LoadBalancer{
			ObjectMeta: meta("shop"), Spec: epicv1.LoadBalancerSpec{PublicAddress: "192.0.2.1", EnvoyReplicaCount: ptr.To[int32](3)},
		}, nil, nil),
		"gwproxy": OfGWProxy(&epicv1.GWProxy{ObjectMeta: meta(strings.Repeat("long-", 20) + "name")}, group, config),
	} {
		t.Run(name, func(t *testing.T) {
			f := platform()
			var all []string
			for _, obj := range []any{f.Deployment(&p), f.DisruptionBudget(&p), f.NetworkPolicy(&p)} {
				text, err := yaml.Marshal(obj)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(text))
			}
			got := strings.Join(all, "---\n")
			file := filepath.Join("testdata", name+".yaml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs; UPDATE_GOLDEN=1 writes it:\n%s", file, diff)
			}
		})
	}
}

func TestOf(t *testing.T) {
	group := func(image string, replicas *int32) *epicv1.LBServiceGroup {
		return &epicv1.LBServiceGroup{Spec: epicv1.LBServiceGroupSpec{EnvoyImage: image, EnvoyReplicaCount: replicas}}
	}
	config := &epicv1.EPIC{Spec: epicv1.EPICSpec{EnvoyImage: "epic"}}
	for name, test := range map[string]struct {
		own      *int32
		group    *epicv1.LBServiceGroup
		config   *epicv1.EPIC
		image    string
		replicas int32
	}{
		"nothing is known":       {nil, nil, nil, "default", 1},
		"the EPIC object's":      {nil, group("", nil), config, "epic", 1},
		"the group's come first": {nil, group("group", ptr.To[int32](4)), config, "group", 4},
		"the object's own count": {ptr.To[int32](2), group("group", ptr.To[int32](4)), nil, "group", 2},
		"no count that is none":  {ptr.To[int32](0), nil, nil, "default", 1},
	} {
		lb := &epicv1.LoadBalancer{ObjectMeta: meta("shop"), Spec: epicv1.LoadBalancerSpec{EnvoyReplicaCount: test.own}}
		p := OfLoadBalancer(lb, test.group, test.config)
		f := platform()
		f.EnvoyImage = "default"
		if f.ImageOf(&p) != test.image || p.Replicas != test.replicas {
			t.Errorf("%s: image %q, %d replicas, want %q, %d", name, f.ImageOf(&p), p.Replicas, test.image, test.replicas)
		}
	}
}

// A name is a DNS label, whatever the object is called, and no two objects have the
// same.
func TestResourceName(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"a", "lb-a", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a.b", 80)} {
		for _, kind := range []Kind{LoadBalancer, GWProxy} {
			p := Proxy{Kind: kind, Namespace: "epic-acme", Name: name}
			got := p.ResourceName()
			if errs := validation.IsValidLabelValue(got); len(errs) > 0 || len(validation.IsDNS1123Subdomain(got)) > 0 {
				t.Errorf("%s %q: %q: %v", kind, name, got, errs)
			}
			if seen[got] {
				t.Errorf("%s %q: %q is another's, too", kind, name, got)
			}
			seen[got] = true
		}
	}
}
