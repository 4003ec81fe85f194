// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestHostnamesAt(t *testing.T) {
	for _, c := range []struct {
		listener string
		route    []gatewayv1.Hostname
		want     []string
	}{
		{"", nil, []string{""}},
		{"a.example.com", nil, []string{"a.example.com"}},
		{"", []gatewayv1.Hostname{"a.example.com"}, []string{"a.example.com"}},
		{"a.example.com", []gatewayv1.Hostname{"a.example.com", "b.example.com"}, []string{"a.example.com"}},
		{"a.example.com", []gatewayv1.Hostname{"*.example.com"}, []string{"a.example.com"}},
		{"*.example.com", []gatewayv1.Hostname{"a.example.com", "b.a.example.com", "example.com"}, []string{"a.example.com", "b.a.example.com"}},
		{"*.example.com", []gatewayv1.Hostname{"*.a.example.com", "*.com"}, []string{"*.a.example.com", "*.example.com"}},
		{"*.example.com", []gatewayv1.Hostname{"badexample.com", "*.example.net"}, nil},
		{"A.example.com", []gatewayv1.Hostname{"a.Example.com"}, nil},
		{"a.example.com", []gatewayv1.Hostname{"A.EXAMPLE.com"}, []string{"a.example.com"}},
	} {
		got, ok := hostnamesAt(c.listener, c.route)
		if !slices.Equal(got, c.want) || ok != (len(c.want) > 0) {
			t.Errorf("%q, %v: %v, %v", c.listener, c.route, got, ok)
		}
	}
}

// Two names meet in either order, and what both stand for is within each.
func FuzzMeet(f *testing.F) {
	for _, s := range []string{"", "a.b", "*.b", "*.a.b", "b", "*.", "*"} {
		f.Add(s, "*.b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if hostsMeet(a, b) != hostsMeet(b, a) {
			t.Fatalf("%q and %q: the order matters", a, b)
		}
		if !hostsMeet(a, a) {
			t.Fatalf("%q does not meet itself", a)
		}
		if hostsMeet(a, b) {
			if m := meet(a, b); !matchesHost(a, m) || !matchesHost(b, m) {
				t.Fatalf("%q and %q meet in %q, which is not within both", a, b, m)
			}
		}
	})
}
