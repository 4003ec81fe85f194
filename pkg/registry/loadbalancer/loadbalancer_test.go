// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.LoadBalancer {
	return &epic.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "sample-acnodal"},
		Spec: epic.LoadBalancerSpec{
			ServiceGroup: "sample",
			PublicPorts:  []epic.ServicePort{{Port: 8888, Protocol: "TCP"}},
		},
	}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.LoadBalancer]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.LoadBalancer){
			"no group":   func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = "" },
			"two groups": func(o *epic.LoadBalancer) { o.Labels = map[string]string{epic.OwningLBServiceGroupLabel: "other"} },
			"an ID":      func(o *epic.LoadBalancer) { o.Spec.ServiceID = -5 },
			"a protocol": func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Protocol = "TCP; rm -rf /" },
			"a name":     func(o *epic.LoadBalancer) { o.Name = strings.Repeat("a", 64) },
		},
		Change:      func(o *epic.LoadBalancer) { o.Spec.DisplayName = "acnodal" },
		WrongChange: func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = "other" },
		ShortNames:  "lb,lbs",
	})
}

// completed is the sample as the layers below store it.
func completed() *epic.LoadBalancer {
	o := sample()
	o.UID, o.Generation, o.CreationTimestamp = "1", 1, metav1.Now()
	o.Labels = map[string]string{
		epic.OwningAccountLabel:                 "root",
		epic.OwningLBServiceGroupLabel:          "sample",
		epic.OwningLBServiceGroupNamespaceLabel: "epic-root",
		epic.OwningServicePrefixLabel:           "default",
	}
	o.Spec.ServiceID = 1
	o.Spec.PublicAddress = "192.168.77.2"
	o.Spec.EnvoyReplicaCount = ptr.To[int32](2)
	o.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{NodeID: "a"}
	o.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "a.example.com", Targets: []string{"192.168.77.2"}}}
	o.Status.QuotaPlace = 4
	o.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{"192.168.1.16": {EPICAddress: "192.168.1.40", TunnelID: 2,
		EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.168.1.40": {EPICAddress: "192.168.1.40", TunnelID: 2}}}}
	return o
}

func TestCreate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Generation = 7
	in.Spec.EnvoyReplicaCount = ptr.To[int32](0)
	in.Status = completed().Status
	out := kindtest.MustCreate(s, in)
	if out.Labels[epic.OwningLBServiceGroupLabel] != "sample" {
		t.Error("the label does not say what the field does")
	}
	if out.Generation != 1 || out.Status.QuotaPlace != 0 || out.Status.GUETunnelEndpoints != nil {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
	if out.Spec.EnvoyReplicaCount != nil {
		t.Error("0 replicas were not taken as none given")
	}
}

func TestCreateByLabel(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Spec.ServiceGroup = ""
	in.Labels = map[string]string{epic.OwningLBServiceGroupLabel: "sample"}
	if out := kindtest.MustCreate(s, in); out.Spec.ServiceGroup != "sample" {
		t.Error("the field does not say what the label does")
	}
}

// A program that knows only what it asked for writes that back, and changes
// nothing by it.
func TestUpdateKeepsWhatIsLeftOut(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	s.Put(completed())
	out, err := kindtest.Update(s, sample())
	if err != nil {
		t.Fatal(err)
	}
	want := completed()
	if out.Generation != 1 {
		t.Errorf("generation %d", out.Generation)
	}
	for key, value := range want.Labels {
		if out.Labels[key] != value {
			t.Errorf("label %s is %q", key, out.Labels[key])
		}
	}
	if out.Spec.ServiceID != 1 || out.Spec.PublicAddress != "192.168.77.2" || *out.Spec.EnvoyReplicaCount != 2 ||
		out.Spec.EnvoyTemplate == nil || len(out.Spec.Endpoints) != 1 {
		t.Errorf("lost what was assigned: %+v", out.Spec)
	}
	if out.Status.QuotaPlace != 4 || len(out.Status.GUETunnelEndpoints) != 1 {
		t.Errorf("lost the status: %+v", out.Status)
	}

	// An empty list is no change either; a name is.
	in := sample()
	in.Spec.UpstreamClusters = []string{}
	if out, err = kindtest.Update(s, in); err != nil || out.Generation != 1 {
		t.Errorf("generation %d, %v", out.Generation, err)
	}
	in.Spec.DisplayName = "acnodal"
	if out, err = kindtest.Update(s, in); err != nil || out.Generation != 2 {
		t.Errorf("generation %d, %v", out.Generation, err)
	}
}

func TestUpdateRefuses(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	s.Put(completed())
	for name, change := range map[string]func(*epic.LoadBalancer){
		"another address": func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "192.168.77.3" },
		"another ID":      func(o *epic.LoadBalancer) { o.Spec.ServiceID = 5 },
		"another group":   func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = "other" },
		"another owner":   func(o *epic.LoadBalancer) { o.Labels = map[string]string{epic.OwningAccountLabel: "other"} },
	} {
		o := sample()
		change(o)
		if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	s.Put(completed())
	in := completed()
	in.Spec = epic.LoadBalancerSpec{}
	in.Status.QuotaPlace = 99
	in.Status.GUETunnelEndpoints["192.168.1.25"] = epic.TunnelEndpoint{EPICAddress: "192.168.1.40"}
	in.Status.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod": {Index: 16, Name: "veth67060f1f"}}
	out, err := kindtest.UpdateStatus(s, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := out.Status.GUETunnelEndpoints["192.168.1.25"].EPICEndpoints["192.168.1.40"]; !ok {
		t.Error("the tunnel was not brought into its shape")
	}
	if out.Status.QuotaPlace != 4 || out.Spec.ServiceID != 1 || out.Status.ProxyIfIndex != 16 || out.Status.ProxyIfName != "veth67060f1f" {
		t.Errorf("got %+v", out)
	}
	in = out.DeepCopy()
	in.Status.GUETunnelEndpoints["192.168.1.25"] = epic.TunnelEndpoint{EPICAddress: "192.168.1.40", TunnelID: 2}
	if _, err := kindtest.UpdateStatus(s, in); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "assigned by the server") {
		t.Errorf("another tunnel's ID: %v", err)
	}
}

func TestResets(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	got := kindtest.Resets(s.REST)
	for _, path := range []string{".status", ".spec.gue-tunnel-endpoints", ".spec.proxy-if-info"} {
		if !strings.Contains(got, path) {
			t.Errorf("does not reset %s", path)
		}
	}
}

func TestSelection(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	obj := completed()
	obj.Status.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod": {EPICNodeAddress: "192.168.1.41"}}
	for selector, want := range map[string]bool{
		"spec.service-group=sample":        true,
		"spec.service-group=other":         false,
		"spec.public-address=192.168.77.2": true,
		"status.epic-node=192.168.1.40":    true,
		"status.epic-node=192.168.1.41":    true,
		"status.epic-node=192.168.1.4":     false,
		"status.tenant-node=192.168.1.16":  true,
		"status.tenant-node=192.168.1.40":  false,
	} {
		if got := s.Selected(obj, selector); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}
