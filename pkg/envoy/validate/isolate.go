// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Checker validates resources. Check is defined as in Validator.
type Checker interface {
	Check(ctx context.Context, resources ...*resource.Resource) (map[resource.Key]string, error)
}

// ReasonRefused is the reason for resources that Envoy refuses before a proxy gets them.
const ReasonRefused = "RejectedByValidator"

// Isolated is a route configuration without the parts that Envoy refuses.
type Isolated struct {
	// Resource is accepted by Envoy: the routes at fault respond with 500 or, if their
	// matches are at fault, are omitted.
	Resource *resource.Resource
	// Faults holds Envoy's errors for routes, by name.
	Faults map[string]string
	// Dropped holds the names of routes of which some are omitted.
	Dropped map[string]bool
}

// statusBroken is the response for requests whose route can't be served.
const statusBroken = 500

// Isolate finds the routes for which Envoy refuses a route configuration. The result is
// nil if no single route is at fault.
func Isolate(ctx context.Context, c Checker, refused *resource.Resource) (*Isolated, error) {
	whole := &routev3.RouteConfiguration{}
	if refused.Type != resource.Route || proto.Unmarshal(refused.Body, whole) != nil {
		return nil, nil //nolint:nilerr // an undecodable configuration has no routes
	}
	// Routes with the same name, like those of one rule, are accepted or refused
	// together.
	together := map[string][]*routev3.Route{}
	for _, host := range whole.VirtualHosts {
		for _, r := range host.Routes {
			together[r.Name] = append(together[r.Name], r)
		}
	}
	out := &Isolated{Dropped: map[string]bool{}}
	var err error
	if out.Faults, err = ask(ctx, c, refused, whole, together, nil); err != nil || len(out.Faults) == 0 {
		return nil, err
	}
	// With another action, only their matches can be at fault, so check each separately.
	each := map[string][]*routev3.Route{}
	for name := range out.Faults {
		for i, r := range together[name] {
			each[fmt.Sprintf("%s#%d", name, i)] = []*routev3.Route{r}
		}
	}
	still, err := ask(ctx, c, refused, whole, each, answer500)
	if err != nil {
		return nil, err
	}
	dropped := map[*routev3.Route]bool{}
	for q := range still {
		r := each[q][0]
		dropped[r], out.Dropped[r.Name] = true, true
	}
	rest := edit(whole, func(r *routev3.Route) *routev3.Route {
		if dropped[r] {
			return nil
		}
		if _, bad := out.Faults[r.Name]; bad {
			return answer500(r)
		}
		return r
	})
	if out.Resource, err = resource.New(resource.Route, refused.Name, rest, refused.Sources...); err != nil {
		return nil, err
	}
	against, err := c.Check(ctx, out.Resource)
	if err != nil || len(against) > 0 {
		// The rest, such as its hostnames, is also at fault.
		return nil, err
	}
	return out, nil
}

// ask returns Envoy's errors for groups of routes, each checked separately after a
// change.
func ask(ctx context.Context, c Checker, of *resource.Resource, whole *routev3.RouteConfiguration, groups map[string][]*routev3.Route, change func(*routev3.Route) *routev3.Route) (map[string]string, error) {
	var questions []*resource.Resource
	for name, routes := range groups {
		alone := edit(whole, func(r *routev3.Route) *routev3.Route {
			switch {
			case !slices.Contains(routes, r):
				return nil
			case change != nil:
				return change(r)
			}
			return r
		})
		q, err := resource.New(resource.Route, name, alone, of.Sources...)
		if err != nil {
			return nil, err
		}
		questions = append(questions, q)
	}
	refused, err := c.Check(ctx, questions...)
	faults := map[string]string{}
	for k, text := range refused {
		faults[k.Name] = text
	}
	return faults, err
}

// edit returns a route configuration with changed routes, and without hosts that have
// none.
func edit(c *routev3.RouteConfiguration, change func(*routev3.Route) *routev3.Route) *routev3.RouteConfiguration {
	out := &routev3.RouteConfiguration{Name: c.Name}
	hosts := c.VirtualHosts
	c.VirtualHosts = nil
	proto.Merge(out, c)
	c.VirtualHosts = hosts
	for _, host := range hosts {
		routes := host.Routes
		host.Routes = nil
		next := proto.CloneOf(host)
		host.Routes = routes
		for _, r := range routes {
			if r = change(r); r != nil {
				next.Routes = append(next.Routes, r)
			}
		}
		if len(next.Routes) > 0 || len(routes) == 0 {
			out.VirtualHosts = append(out.VirtualHosts, next)
		}
	}
	return out
}

// answer500 changes a route to respond with an error.
func answer500(r *routev3.Route) *routev3.Route {
	return &routev3.Route{
		Name: r.Name, Match: r.Match,
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: statusBroken}},
	}
}

// Owner returns the object to which a route of a route configuration belongs, by the
// route's name, which begins with that of a GWRoute, and the field of the rule, such as
// "spec.http.rules[2]". Without such an object, it returns the one most likely at fault.
func Owner(of *resource.Resource, name string) (owner resource.Source, field string) {
	parts := strings.Split(name, "/")
	if len(parts) == 3 {
		for _, s := range of.Sources {
			if s.Kind == "GWRoute" && s.Name == parts[0] {
				return s, "spec." + parts[1] + ".rules[" + parts[2] + "]"
			}
		}
	}
	if len(of.Sources) > 0 {
		return of.Sources[0], ""
	}
	return resource.Source{}, ""
}
