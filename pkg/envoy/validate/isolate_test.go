// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// rule makes a route of Envoy's. Its match is a regular expression, and its action prepends
// a prefix to the path.
func rule(name, regex, prefix string) *routev3.Route {
	return &routev3.Route{
		Name:  name,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "c"},
			RegexRewrite:     &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: prefix}, Substitution: "/"},
		}},
	}
}

func hosts(t *testing.T, all map[string][]*routev3.Route) *resource.Resource {
	t.Helper()
	c := &routev3.RouteConfiguration{Name: "http/80"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.VirtualHosts = append(c.VirtualHosts, &routev3.VirtualHost{Name: name, Domains: []string{name}, Routes: all[name]})
	}
	r, err := resource.New(resource.Route, c.Name, c,
		resource.Source{Kind: "GWRoute", Namespace: "epic-a", Name: "shop"}, resource.Source{Kind: "GWRoute", Namespace: "epic-a", Name: "blog"},
		resource.Source{Kind: "GWProxy", Namespace: "epic-a", Name: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shown is what a route configuration has: HOST: NAME=STATUS or NAME.
func shown(t *testing.T, r *resource.Resource) string {
	t.Helper()
	var c routev3.RouteConfiguration
	if err := proto.Unmarshal(r.Body, &c); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, host := range c.VirtualHosts {
		text := host.Name + ":"
		for _, r := range host.Routes {
			text += " " + r.Name
			if d := r.GetDirectResponse(); d != nil {
				text += fmt.Sprintf("=%d", d.Status)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// A real Envoy reports which routes are at fault. Their requests get 500 if Envoy understands
// for which requests they are. All other routes stay as they are.
func TestIsolate(t *testing.T) {
	v := standing(t)
	good := func(name string) *routev3.Route { return rule(name, "/"+name, "/x") }
	for name, test := range map[string]struct {
		of      map[string][]*routev3.Route
		want    string
		faults  string
		dropped string
	}{
		"a bad action": {
			map[string][]*routev3.Route{"a.example": {good("shop/http/0"), rule("shop/http/1", "/b", "(")}, "b.example": {good("blog/http/0")}},
			"a.example: shop/http/0 shop/http/1=500, b.example: blog/http/0", "shop/http/1", "",
		},
		"a bad match": {
			map[string][]*routev3.Route{"a.example": {rule("shop/http/0", "(", "/x"), good("shop/http/1")}},
			"a.example: shop/http/1", "shop/http/0", "shop/http/0",
		},
		"one of two matches of a rule is bad": {
			map[string][]*routev3.Route{"a.example": {rule("shop/http/0", "(", "/x"), good("blog/http/0"), good("shop/http/0")}},
			"a.example: blog/http/0 shop/http/0=500", "shop/http/0", "shop/http/0",
		},
		"bad in two hosts": {
			map[string][]*routev3.Route{"a.example": {rule("shop/http/0", "/a", "(")}, "b.example": {rule("shop/http/0", "/a", "("), good("blog/grpc/3")}},
			"a.example: shop/http/0=500, b.example: shop/http/0=500 blog/grpc/3", "shop/http/0", "",
		},
		"a host without routes stays": {
			map[string][]*routev3.Route{"a.example": {rule("shop/http/0", "/a", "(")}, "b.example": nil},
			"a.example: shop/http/0=500, b.example:", "shop/http/0", "",
		},
		"the hostnames are at fault": {
			map[string][]*routev3.Route{"a.example": {good("shop/http/0")}, "b.example": {good("blog/http/0")}, "": nil}, "", "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := hosts(t, test.of)
			if refused, err := v.Check(t.Context(), r); err != nil || refused[r.Key()] == "" {
				t.Fatalf("the whole is not refused: %v, %v", refused, err)
			}
			got, err := Isolate(t.Context(), v, r)
			if err != nil {
				t.Fatal(err)
			}
			if got == nil || test.want == "" {
				if (got == nil) != (test.want == "") {
					t.Errorf("result %+v, want %q", got, test.want)
				}
				return
			}
			if s := shown(t, got.Resource); s != test.want {
				t.Errorf("%s, want %s", s, test.want)
			}
			if f := strings.Join(slices.Sorted(maps.Keys(got.Faults)), " "); f != test.faults || got.Faults[f] == "" {
				t.Errorf("faults %v, want %s", got.Faults, test.faults)
			}
			if d := strings.Join(slices.Sorted(maps.Keys(got.Dropped)), " "); d != test.dropped {
				t.Errorf("dropped %v, want %s", got.Dropped, test.dropped)
			}
		})
	}
	for _, r := range []*resource.Resource{{Type: resource.Route, Body: []byte("\xff")}, cluster(t, "c", nil)} {
		if got, err := Isolate(t.Context(), v, r); got != nil || err != nil {
			t.Errorf("of what is no route configuration: %+v, %v", got, err)
		}
	}
}

type broken struct{}

func (broken) Check(context.Context, ...*resource.Resource) (map[resource.Key]string, error) {
	return nil, errors.New("no Envoy")
}

func TestIsolateFails(t *testing.T) {
	r := hosts(t, map[string][]*routev3.Route{"a.example": {rule("shop/http/0", "(", "/")}})
	if got, err := Isolate(t.Context(), broken{}, r); got != nil || err == nil {
		t.Errorf("without an Envoy: %+v, %v", got, err)
	}
}

func TestOwner(t *testing.T) {
	r := hosts(t, nil)
	for name, want := range map[string]string{
		"blog/http/3":   "GWRoute blog spec.http.rules[3]",
		"shop/grpc/0":   "GWRoute shop spec.grpc.rules[0]",
		"other/http/0":  "GWRoute shop ",
		"misdirected":   "GWRoute shop ",
		"blog/http/3/4": "GWRoute shop ",
	} {
		owner, field := Owner(r, name)
		if got := owner.Kind + " " + owner.Name + " " + field; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if owner, field := Owner(&resource.Resource{}, "a/b/c"); owner != (resource.Source{}) || field != "" {
		t.Errorf("without sources: %v, %q", owner, field)
	}
}
