// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"testing"

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

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.GWRoute]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.GWRoute){
			"no route": func(o *epic.GWRoute) { o.Spec.HTTP, o.Spec.TCP = nil, nil },
		},
		Change:      func(o *epic.GWRoute) { o.Spec.TCP = nil },
		WrongChange: func(o *epic.GWRoute) { o.Spec.HTTP.ParentRefs = nil },
		ShortNames:  "gwr,gwrs",
	})
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
