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

// Checker is what checks resources. Check is as of Validator.
type Checker interface {
	Check(ctx context.Context, resources ...*resource.Resource) (map[resource.Key]string, error)
}

// ReasonRefused is the reason of what Envoy refuses before a proxy gets it.
const ReasonRefused = "RejectedByValidator"

// Isolated is a route configuration without what Envoy refuses of it.
type Isolated struct {
	// Resource is what Envoy accepts: the routes at fault answer 500, or, if their matches
	// are at fault, are left out.
	Resource *resource.Resource
	// Faults has Envoy's words against routes, by their names.
	Faults map[string]string
	// Dropped has the names of those of which some are left out.
	Dropped map[string]bool
}

// statusBroken is the status of requests whose route can't be served.
const statusBroken = 500

// Isolate finds the routes for which Envoy refuses a route configuration. The result is nil if no route by itself is at fault.
func Isolate(ctx context.Context, c Checker, refused *resource.Resource) (*Isolated, error) {
	whole := &routev3.RouteConfiguration{}
	if refused.Type != resource.Route || proto.Unmarshal(refused.Body, whole) != nil {
		return nil, nil //nolint:nilerr // what can't be decoded has no routes
	}
	// Routes of one name stand and fall together, as those of one rule do.
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
	// With another action, only their matches can be at fault, each by itself.
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
		// The rest is at fault, too, such as its hostnames.
		return nil, err
	}
	return out, nil
}

// ask returns Envoy's words against groups of routes by themselves, after a change.
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

// edit returns a route configuration with other routes, and without hosts that have none.
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

// answer500 has the requests of a route answered with an error.
func answer500(r *routev3.Route) *routev3.Route {
	return &routev3.Route{
		Name: r.Name, Match: r.Match,
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: statusBroken}},
	}
}

// Owner returns the object that a route of a route configuration belongs to, by the route's
// name, which begins with that of a GWRoute, and the field of the rule, such as
// "spec.http.rules[2]". Without such an object it is the one that is most likely at fault.
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
