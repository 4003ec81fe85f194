// SPDX-License-Identifier: Apache-2.0

package proxyidentity

import (
	"net/url"
	"testing"
)

func TestParse(t *testing.T) {
	want := Identity{Proxy{"epic-acnodal", GWProxy, "web"}, "web-7d9f-x2"}
	for text, ok := range map[string]bool{
		"spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2":       true,
		"https://epic/epic-acnodal/GWProxy/web/web-7d9f-x2":        false,
		"spiffe://other/epic-acnodal/GWProxy/web/web-7d9f-x2":      false,
		"spiffe://epic:1/epic-acnodal/GWProxy/web/web-7d9f-x2":     false,
		"spiffe://u@epic/epic-acnodal/GWProxy/web/web-7d9f-x2":     false,
		"spiffe://epic/epic-acnodal/GWProxy/web":                   false,
		"spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2/":      false,
		"spiffe://epic/epic-acnodal/Pod/web/web-7d9f-x2":           false,
		"spiffe://epic/epic-acnodal/GWProxy//web-7d9f-x2":          false,
		"spiffe://epic/epic-acnodal/GWProxy/../web-7d9f-x2":        false,
		"spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2?a=b":   false,
		"spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2#x":     false,
		"spiffe://epic/epic-acnodal%2FGWProxy/web/web-7d9f-x2":     false,
		"spiffe://epic/epic%2dacnodal/GWProxy/web/web-7d9f-x2":     false,
		"spiffe://epic/epic-acnodal/GWProxy/Web/web-7d9f-x2":       false,
		"spiffe://epic/operator":                                   false,
		"spiffe:epic/epic-acnodal/GWProxy/web/web-7d9f-x2":         false,
		"spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2%00":    false,
		"spiffe://epic/epic-acnodal/LoadBalancer/web/web-7d9f-x2%": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			if ok {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		got, err := Parse(u)
		if (err == nil) != ok || ok && got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := Parse(want.URI()); err != nil || got != want {
		t.Errorf("Parse(URI()) = %v, %v", got, err)
	}
	if !IsOperator(OperatorURI()) || IsOperator(want.URI()) {
		t.Error("IsOperator does not tell the operator from a proxy")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://epic/epic-acnodal/GWProxy/web/web-7d9f-x2")
	f.Add("spiffe://epic/a/LoadBalancer/b/c?x")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		i, err := Parse(u)
		if err == nil && i.URI().String() != u.String() {
			t.Errorf("%q is taken for %s", text, i.URI())
		}
	})
}
