// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

func TestChanged(t *testing.T) {
	type all = map[string][]*routev3.Route
	a, b, c := rule("a", "/a", "/x"), rule("b", "/b", "/x"), rule("c", "/c", "/x")
	before := hosts(t, all{"one": {a, b}, "two": {c}})
	for name, test := range map[string]struct {
		now  *resource.Resource
		want string
	}{
		"nothing":             {hosts(t, all{"one": {a, b}, "two": {c}}), ""},
		"another order":       {hosts(t, all{"one": {b, a}, "two": {c}}), ""},
		"a route less":        {hosts(t, all{"one": {a}, "two": {c}}), ""},
		"a route changed":     {hosts(t, all{"one": {a, rule("b", "/other", "/x")}, "two": {c}}), "one: b"},
		"a route more":        {hosts(t, all{"one": {a, b}, "two": {c, rule("d", "/d", "/x")}}), "two: d"},
		"moved to a host":     {hosts(t, all{"one": {a}, "two": {b, c}}), "two: b"},
		"another host":        {hosts(t, all{"one": {a, b}, "three": {c}}), "one: a b, three: c"},
		"a host more":         {hosts(t, all{"one": {a, b}, "two": {c}, "three": {a}}), "one: a b, three: a, two: c"},
		"garbage":             {&resource.Resource{Type: resource.Route, Body: []byte("\xff")}, "whole"},
		"not a configuration": {cluster(t, "c", nil), "whole"},
	} {
		got := Changed(before, test.now)
		switch {
		case test.want == "whole":
			if got != test.now {
				t.Errorf("%s: %v", name, got)
			}
		case got == nil:
			if test.want != "" {
				t.Errorf("%s: nothing, want %s", name, test.want)
			}
		default:
			if s := shown(t, got); s != test.want {
				t.Errorf("%s: %s, want %s", name, s, test.want)
			}
			if got.Name != test.now.Name || len(got.Sources) != len(test.now.Sources) || got != test.now && got.Version == test.now.Version {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	if got := Changed(nil, before); got != before {
		t.Errorf("without an earlier version: %v", got)
	}
}

// Whatever the messages are, nothing panics, and what is left is a part of the whole.
func FuzzChanged(f *testing.F) {
	one, _ := proto.Marshal(&routev3.RouteConfiguration{Name: "x", VirtualHosts: []*routev3.VirtualHost{{Name: "h", Routes: []*routev3.Route{{Name: "a"}, {Name: "b"}}}}})
	two, _ := proto.Marshal(&routev3.RouteConfiguration{Name: "x", VirtualHosts: []*routev3.VirtualHost{{Name: "h", Routes: []*routev3.Route{{Name: "a"}, {Name: "c"}}}}})
	f.Add(one, two)
	f.Add(one, one[:len(one)-1])
	f.Fuzz(func(t *testing.T, before, now []byte) {
		r := resource.Raw(resource.Route, "x", now)
		got := Changed(resource.Raw(resource.Route, "x", before), r)
		if got == nil || got == r {
			return
		}
		if len(got.Body) > len(now)+16 {
			t.Errorf("%d bytes of %d are left", len(got.Body), len(now))
		}
	})
}
