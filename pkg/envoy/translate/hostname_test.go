// SPDX-License-Identifier: Apache-2.0

package translate

import "testing"

func TestIntersect(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{"*", "*", "*"},
		{"*", "a.example.com", "a.example.com"},
		{"*.example.com", "*", "*.example.com"},
		{"a.example.com", "a.example.com", "a.example.com"},
		{"a.example.com", "b.example.com", ""},
		{"*.example.com", "a.example.com", "a.example.com"},
		{"*.example.com", "a.b.example.com", "a.b.example.com"},
		{"*.example.com", "example.com", ""},
		{"*.example.com", "aexample.com", ""},
		{"*.example.com", "*.a.example.com", "*.a.example.com"},
		{"*.example.com", "*.example.com", "*.example.com"},
		{"*.example.com", "*.example.org", ""},
	} {
		for _, pair := range [][2]string{{tc.a, tc.b}, {tc.b, tc.a}} {
			got, ok := intersect(pair[0], pair[1])
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("intersect(%q, %q) = %q, %t, want %q", pair[0], pair[1], got, ok, tc.want)
			}
		}
	}
}

func TestMoreSpecific(t *testing.T) {
	order := []string{"a.b.example.com", "b.example.com", "*.b.example.com", "*.example.com", "*"}
	for i, a := range order {
		for j, b := range order {
			if i != 1 && j != 1 && moreSpecific(a, b) != (i < j) {
				t.Errorf("moreSpecific(%q, %q) = %t", a, b, moreSpecific(a, b))
			}
		}
	}
}
