// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

func TestCreate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Generation = 7
	in.Status.Conditions = kindtest.Ready()
	in.Status.ObservedGeneration = 3
	if out := kindtest.MustCreate(s, in); out.Generation != 1 || out.Status.Conditions != nil || out.Status.ObservedGeneration != 0 {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
}

func TestCreateRefuses(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := sample()
	o.Spec.AddressType = "IPX"
	if _, err := kindtest.Create(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	if s.Writes() != 0 {
		t.Error("a refused write left something behind")
	}
}

func TestUpdate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.Update(s, o)
	if err != nil || o.Generation != 1 || o.Status.Conditions != nil {
		t.Errorf("a write of the status with the object: %+v, %v", o, err)
	}
	o.Spec.Ports = []discoveryv1.EndpointPort{{}}
	if o, err = kindtest.Update(s, o); err != nil || o.Generation != 2 {
		t.Fatalf("generation %d, %v", o.Generation, err)
	}
	o.Spec.Endpoints[0].Addresses = nil
	if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Spec.Ports = []discoveryv1.EndpointPort{{}}
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.UpdateStatus(s, o)
	if err != nil || o.Generation != 1 || len(o.Status.Conditions) != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Status.ObservedGeneration = -1
	if _, err := kindtest.UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestStorage(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	if got := strings.Join(s.REST.ShortNames(), ","); got != "gwes,gwess" {
		t.Errorf("short names %q", got)
	}
	if s.Trigger != "spec.parentRef.uid" {
		t.Errorf("watchers are found by %q", s.Trigger)
	}
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
