// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.GWProxy {
	return &epic.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "0a", Labels: map[string]string{epic.OwningLBServiceGroupLabel: "sample"}},
		Spec: epic.GWProxySpec{
			ClientRef:     epic.ClientRef{ClusterID: "c", Namespace: "n", Name: "g", UID: "u"},
			PublicAddress: "2001:db8::2",
		},
	}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.GWProxy]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.GWProxy){
			"no group": func(o *epic.GWProxy) { o.Labels = nil },
		},
		Change:      func(o *epic.GWProxy) { o.Spec.DisplayName = "a" },
		WrongChange: func(o *epic.GWProxy) { o.Labels[epic.OwningLBServiceGroupLabel] = "other" },
		ShortNames:  "gwp,gwps",
	})
}

// A program that knows only what it asked for writes that back, and changes
// nothing by it.
func TestUpdateKeepsWhatIsLeftOut(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	stored := sample()
	stored.UID, stored.Generation, stored.CreationTimestamp = "1", 1, metav1.Now()
	stored.Labels[epic.OwningAccountLabel] = "root"
	stored.Spec.AltAddress = "192.168.77.2"
	stored.Spec.EnvoyReplicaCount = ptr.To[int32](2)
	stored.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{NodeID: "a"}
	stored.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "a.example.com"}}
	stored.Status.QuotaPlace = 4
	s.Put(stored)
	in := sample()
	in.Labels = nil
	in.Spec.PublicAddress = ""
	in.Spec.EnvoyReplicaCount = ptr.To[int32](0)
	out, err := kindtest.Update(s, in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Generation != 1 || out.Labels[epic.OwningAccountLabel] != "root" || out.Status.QuotaPlace != 4 ||
		!apiequality.Semantic.DeepEqual(out.Spec, stored.Spec) {
		t.Errorf("got %+v", out)
	}
}

func TestUpdateTunnels(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{"192.168.1.25": {EPICAddress: "192.168.1.40"}}
	out, err := kindtest.UpdateStatus(s, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := out.Status.GUETunnelEndpoints["192.168.1.25"].EPICEndpoints["192.168.1.40"]; !ok {
		t.Error("the tunnel was not brought into its shape")
	}
	out.Status.GUETunnelEndpoints["192.168.1.25"] = epic.TunnelEndpoint{EPICAddress: "192.168.1.40", TunnelID: 2}
	if _, err := kindtest.UpdateStatus(s, out); !apierrors.IsInvalid(err) {
		t.Errorf("a chosen ID: %v", err)
	}
}

func TestResets(t *testing.T) {
	got := kindtest.Resets(kindtest.New(t, NewREST, nil).REST)
	for _, path := range []string{".status", ".spec.gue-tunnel-endpoints", ".spec.proxy-if-info"} {
		if !strings.Contains(got, path) {
			t.Errorf("does not reset %s", path)
		}
	}
}

func TestSelection(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	for selector, want := range map[string]bool{
		"spec.public-address=2001:db8::2": true,
		"spec.clientRef.uid=u":            true,
		"spec.clientRef.uid=v":            false,
		"status.epic-node=":               true,
		"status.tenant-node=192.168.1.16": false,
	} {
		if got := s.Selected(sample(), selector); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}
