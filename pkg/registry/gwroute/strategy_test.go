// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.GWRoute {
	o := &epic.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-root", Name: "a"}}
	o.Spec.ClientRef = epic.ClientRef{ClusterID: "c", Namespace: "n", Name: "r"}
	o.Spec.HTTP = &epic.HTTPRouteSpec{}
	o.Spec.HTTP.ParentRefs = []gatewayv1.ParentReference{{Name: "p1"}, {Name: "p2"}}
	o.Spec.TCP = &epic.TCPRouteSpec{}
	o.Spec.TCP.ParentRefs = []gatewayv1.ParentReference{{Name: "p3"}}
	backend := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: "b"}}
	o.Spec.TCP.Rules = []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{backend}}}
	return o
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
	o.Spec.HTTP, o.Spec.TCP = nil, nil
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
	o.Spec.TCP = nil
	if o, err = kindtest.Update(s, o); err != nil || o.Generation != 2 {
		t.Fatalf("generation %d, %v", o.Generation, err)
	}
	o.Spec.HTTP.ParentRefs = nil
	if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Spec.TCP = nil
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
	if got := strings.Join(s.REST.ShortNames(), ","); got != "gwr,gwrs" {
		t.Errorf("short names %q", got)
	}
	if s.Trigger != "" {
		t.Errorf("watchers are found by %q", s.Trigger)
	}
}

func TestSelection(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	for selector, want := range map[string]bool{
		"spec.parent=p1":                 true,
		"spec.parent=p3":                 true,
		"spec.parent=p":                  false,
		"spec.parent=p2,spec.parent!=p1": false,
	} {
		if got := s.Selected(sample(), selector); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}
