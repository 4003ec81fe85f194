// SPDX-License-Identifier: Apache-2.0

package template

import (
	"slices"
	"testing"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// A proxy with a template is told that its edge settings have no effect.
func TestEdgeBesideATemplate(t *testing.T) {
	gateway, lb := gatewayInput(spec()), loadBalancerInput(spec())
	told := func(in Input) bool {
		r, problems := Render(t.Context(), in)
		if r == nil {
			t.Fatalf("refused: %v", problems)
		}
		return slices.ContainsFunc(r.Problems, func(p translate.Problem) bool {
			return p.Field == "spec.edge" && p.Reason == ReasonNotServed && p.Object.Kind == in.Source.Kind && p.Object.Name == in.Source.Name
		})
	}
	if told(gateway) || told(lb) {
		t.Error("told without edge settings")
	}
	gateway.Proxy.Spec.Edge, lb.LoadBalancer.Spec.Edge = &epicv1.EdgeSpec{}, &epicv1.EdgeSpec{}
	if !told(gateway) || !told(lb) {
		t.Error("not told")
	}
}
