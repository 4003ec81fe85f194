// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Envoy takes each class, escape and construct that the API accepts in an expression.
func TestExpressions(t *testing.T) {
	all := []string{`\x{FF}`, `\377`, `\C`, `(?<name>a)(?P<other>b)`, `\Q.\E`, `日本`, `[é-ü]`, `(?i)ſK`, `(?Us-m:.)`, `\z`, `\A`, `a{0,1000}?`, `[[:^alpha:]]`, `\pL\PN`, `\p{Any}`, `\a\f\t\n\r\v`, `\123`, `[\b]`, `\b\B`,
		`x**`, `x*??`, `\Q\E*`, `[a-\d]`, `[-]`, `[]a]`, `(?i:(?-i:a))`, `a{,2}`, `a{2`, `{`, `]`, `}`}
	for _, names := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		for name := range maps.Keys(names) {
			all = append(all, `\p{`+name+`}`, `\P{`+name+`}`)
		}
	}
	slices.Sort(all)
	w := &world{}
	proxy := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Name: "gw"}}
	proxy.Spec.PublicAddress = "192.0.2.1"
	proxy.Spec.PublicPorts = []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}}
	defaulting.Default(proxy)
	if err := w.addObject(proxy); err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	for i, s := range all {
		r := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%d", i)}}
		r.Spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}},
			Rules: []gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{{
				Path: &gatewayv1.HTTPPathMatch{Type: ptrTo(gatewayv1.PathMatchRegularExpression), Value: ptrTo(s)},
			}}}},
		}}
		defaulting.Default(r)
		if err := w.addObject(r); err == nil {
			accepted[s] = true
		} else if _, parse := syntax.Parse(s, syntax.Perl); parse == nil && !strings.Contains(err.Error(), "Envoy accepts") && !strings.Contains(err.Error(), "too complex") {
			t.Errorf("the API refuses %q: %v", s, err)
		}
	}
	if len(accepted) < 300 {
		t.Errorf("the API accepts only %d of %d expressions", len(accepted), len(all))
	}
	envoy := startEnvoy(t)
	if err := envoy.Apply(unbound(t, w.translate(t).set)); err != nil {
		t.Errorf("Envoy refuses one: %v", err)
	}
}
