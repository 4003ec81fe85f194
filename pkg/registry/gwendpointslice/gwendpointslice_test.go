// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.GWEndpointSlice {
	return &epic.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "a"},
		Spec: epic.GWEndpointSliceSpec{
			ClientRef:   epic.ClientRef{ClusterID: "c", Namespace: "n", Name: "s"},
			ParentRef:   epic.ClientRef{UID: "u"},
			AddressType: "IPv4",
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.42.0.7"}}},
		},
	}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.GWEndpointSlice]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.GWEndpointSlice){
			"an unknown family": func(o *epic.GWEndpointSlice) { o.Spec.AddressType = "IPX" },
		},
		Change:      func(o *epic.GWEndpointSlice) { o.Spec.Ports = []discoveryv1.EndpointPort{{}} },
		WrongChange: func(o *epic.GWEndpointSlice) { o.Spec.Endpoints[0].Addresses = nil },
		ShortNames:  "gwes,gwess",
		Trigger:     "spec.parentRef.uid",
	})
}

func TestSelection(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	slice := sample()
	slice.Spec.NodeAddresses = map[string]string{"n": "192.168.1.16", "m": "FD00::16"}
	for selector, want := range map[string]bool{
		"spec.parentRef.uid=u":           true,
		"spec.parentRef.uid=v":           false,
		"spec.clientRef.clusterID=c":     true,
		"spec.clientRef.clusterID=d":     false,
		"spec.node-address=192.168.1.16": true,
		"spec.node-address=192.168.1.1":  false,
		"spec.node-address=fd00::16":     true,
	} {
		if got := s.Selected(slice, selector); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}
