// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.RemoteEndpoint {
	return &epic.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "a", Labels: map[string]string{epic.OwningLoadBalancerLabel: "lb"}},
		Spec: epic.RemoteEndpointSpec{
			Cluster:     "c",
			Address:     "10.42.0.7",
			NodeAddress: "192.168.1.16",
			Port:        epic.EndpointPort{Port: 8080, Protocol: "TCP"},
		},
	}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.RemoteEndpoint]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.RemoteEndpoint){
			"no cluster": func(o *epic.RemoteEndpoint) { o.Spec.Cluster = "" },
		},
		Change:      func(o *epic.RemoteEndpoint) { o.Spec.Port.Port = 80 },
		WrongChange: func(o *epic.RemoteEndpoint) { o.Labels[epic.OwningLoadBalancerLabel] = "other" },
		ShortNames:  "rep,reps",
		Trigger:     "spec.node-address",
	})
}

func TestUpdateKeepsOwner(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Labels = nil
	if out, err := kindtest.Update(s, in); err != nil || out.Labels[epic.OwningLoadBalancerLabel] == "" {
		t.Errorf("got %v, %v", out.Labels, err)
	}
}

func TestSelection(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	for selector, want := range map[string]bool{
		"spec.node-address=192.168.1.16": true,
		"spec.node-address=192.168.1.1":  false,
		"spec.cluster=c":                 true,
		"spec.cluster=d":                 false,
	} {
		if got := s.Selected(sample(), selector); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}
