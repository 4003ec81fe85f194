// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/tunnelkey"
)

// installation is a cluster in which the manifests were applied. It records what is
// applied to the EPIC object.
func installation(t *testing.T, members int) (s *Setup, applied *[]string) {
	t.Helper()
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.epic.acnodal.io"}, "spec": map[string]any{"group": "epic.acnodal.io"},
	}}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		apiServices: "APIServiceList", epics: "EPICList",
	}, service)
	applied = &[]string{}
	client.PrependReactor("patch", "epics", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchAction)
		*applied = append(*applied, fmt.Sprintf("%s/%s %s", patch.GetNamespace(), patch.GetName(), patch.GetPatch()))
		return true, &unstructured.Unstructured{Object: map[string]any{}}, nil
	})
	kube := fake.NewClientset()
	kube.Resources = []*metav1.APIResourceList{{GroupVersion: "epic.acnodal.io/v1", APIResources: []metav1.APIResource{{Name: "epics", Kind: "EPIC"}}}}
	return &Setup{Kube: kube, Dynamic: client, Namespace: "epic-system", Certificates: true, EtcdMembers: members}, applied
}

func (s *Setup) secrets(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	list, err := s.Kube.CoreV1().Secrets(s.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string][]byte{}
	for _, secret := range list.Items {
		all[secret.Name] = secret.Data
	}
	return all
}

func (s *Setup) bundle(t *testing.T) string {
	t.Helper()
	service, err := s.Dynamic.Resource(apiServices).Get(t.Context(), apiService, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(service.Object, "spec", "caBundle")
	bundle, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(bundle)
}

func TestRun(t *testing.T) {
	for members, want := range map[int][]string{
		0: {"epic-apiserver-tls", "epic-ca", "epic-tunnel-keys"},
		3: {"epic-apiserver-etcd-tls", "epic-apiserver-tls", "epic-ca", "epic-etcd-ca", "epic-etcd-peer-tls", "epic-etcd-server-tls", "epic-tunnel-keys"},
	} {
		s, applied := installation(t, members)
		s.Spec = map[string]any{"service-cidr": "10.96.0.0/16"}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := s.secrets(t)
		var names []string
		for name := range first {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("%d members: there are the Secrets %v, want %v", members, names, want)
		}
		if got := s.bundle(t); got != string(first["epic-ca"]["tls.crt"]) || got == "" {
			t.Errorf("%d members: the APIService has the authority %q", members, got)
		}
		if _, err := tunnelkey.Parse(first["epic-tunnel-keys"]["keys"]); err != nil {
			t.Error(err)
		}
		// Run again, nothing changes; but a leaf that is gone comes back.
		if err := s.Run(t.Context()); err != nil || !reflect.DeepEqual(s.secrets(t), first) {
			t.Errorf("%d members: the second run changed something: %v", members, err)
		}
		if err := s.Kube.CoreV1().Secrets(s.Namespace).Delete(t.Context(), "epic-apiserver-tls", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := s.secrets(t); string(again["epic-apiserver-tls"]["ca.crt"]) != string(first["epic-ca"]["tls.crt"]) || string(again["epic-tunnel-keys"]["keys"]) != string(first["epic-tunnel-keys"]["keys"]) {
			t.Errorf("%d members: what was there is not kept", members)
		}
		var object unstructured.Unstructured
		name, body, _ := strings.Cut((*applied)[0], " ")
		if err := json.Unmarshal([]byte(body), &object.Object); err != nil {
			t.Fatal(err)
		}
		if cidr, _, _ := unstructured.NestedString(object.Object, "spec", "service-cidr"); name != "epic/epic" || cidr != "10.96.0.0/16" || object.GetKind() != "EPIC" || object.GetName() != "epic" || object.GetNamespace() != "epic" {
			t.Errorf("It applied %s", (*applied)[0])
		}
		if _, err := s.Kube.CoreV1().Namespaces().Get(t.Context(), "epic", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// With certificates of somebody else, there are no Secrets of its own but the tunnels'.
func TestWithoutCertificates(t *testing.T) {
	s, _ := installation(t, 3)
	s.Certificates = false
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := s.secrets(t); len(all) != 1 || all["epic-tunnel-keys"] == nil || s.bundle(t) != "" {
		t.Errorf("There is %v", all)
	}
}

// Setup waits for what is missing, and names a failure that stays.
func TestItTriesAgain(t *testing.T) {
	s, _ := installation(t, 0)
	kube := s.Kube.(*fake.Clientset)
	failures := 1
	kube.PrependReactor("create", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if failures--; failures >= 0 {
			return true, nil, apierrors.NewAlreadyExists(corev1.Resource("secrets"), "epic-ca")
		}
		return false, nil, nil
	})
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	kube.PrependReactor("create", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no such luck")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "EPIC object") || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("The error is %v", err)
	}
}

func TestParseSpec(t *testing.T) {
	spec, err := ParseSpec([]byte("service-cidr: 10.96.0.0/16\nbase: {}\n"))
	if err != nil || spec["service-cidr"] != "10.96.0.0/16" {
		t.Errorf("%v, %v", spec, err)
	}
	for _, text := range []string{"service-cdir: 10.96.0.0/16", "[]", "a: b: c"} {
		if _, err := ParseSpec([]byte(text)); err == nil || !strings.Contains(err.Error(), "kubectl explain") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
