// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
)

// checker refuses resources that have a text in them.
type checker struct {
	text  atomic.Pointer[string]
	err   atomic.Pointer[error]
	asked atomic.Int64
	// bodies are of the last question.
	mu     sync.Mutex
	bodies []string
	// block, if there is one, is received from before each answer.
	block chan struct{}
}

func refuser(text string) *checker {
	c := &checker{}
	c.text.Store(&text)
	return c
}

func (c *checker) Check(_ context.Context, resources ...*resource.Resource) (map[resource.Key]string, error) {
	if c.block != nil {
		<-c.block
	}
	c.asked.Add(int64(len(resources)))
	c.mu.Lock()
	c.bodies = nil
	for _, r := range resources {
		c.bodies = append(c.bodies, string(r.Body))
	}
	c.mu.Unlock()
	if err := c.err.Load(); err != nil {
		return nil, *err
	}
	refused := map[resource.Key]string{}
	for _, r := range resources {
		if bytes.Contains(r.Body, []byte(*c.text.Load())) {
			refused[r.Key()] = "I do not like it"
		}
	}
	return refused, nil
}

// gateway makes a gateway proxy with a route for each path. Each redirects to a host that
// is named after the path.
func (r *rig) gateway(paths ...string) {
	r.t.Helper()
	r.must(r.client.EpicV1().GWProxies(ns).Create(r.t.Context(), &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "gw", UID: "g1", ResourceVersion: "1", Generation: 1},
		Spec: epicv1.GWProxySpec{
			PublicAddress: "192.0.2.2",
			Gateway:       &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Name: "web", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}}},
		},
	}, metav1.CreateOptions{}))
	for _, path := range paths {
		spec := gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}},
			Rules: []gatewayv1.HTTPRouteRule{{
				Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: ptr.To("/" + path)}}},
				Filters: []gatewayv1.HTTPRouteFilter{{
					Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
					RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Hostname: ptr.To(gatewayv1.PreciseHostname(path + ".example"))},
				}},
			}},
		}
		r.must(r.client.EpicV1().GWRoutes(ns).Create(r.t.Context(), &epicv1.GWRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: path, UID: "r-1", ResourceVersion: "1", Generation: 1},
			Spec:       epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}},
		}, metav1.CreateOptions{}))
	}
}

var (
	gwID      = gatewayID(ns, "gw")
	routesKey = resource.Key{Type: resource.Route, Name: "http/80"}
)

// statuses are the routes of the gateway proxy, as NAME or NAME=STATUS.
func (r *rig) statuses() string {
	res := r.server.config(gwID).Resources[routesKey]
	if res == nil {
		return ""
	}
	var c routev3.RouteConfiguration
	if err := proto.Unmarshal(res.Body, &c); err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, host := range c.VirtualHosts {
		for _, route := range host.Routes {
			text := route.Name
			if d := route.GetDirectResponse(); d != nil {
				text += "=500"
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func has(o *Outcome, kind, name, field, text string) bool {
	return o != nil && slices.ContainsFunc(o.Problems, func(p translate.Problem) bool {
		return p.Reason == validate.ReasonRefused && p.Object.Kind == kind && p.Object.Name == name && p.Field == field && strings.Contains(p.Message, text)
	})
}

// A route that Envoy would refuse answers 500 and has a problem; the others are served.
func TestRefusedRoute(t *testing.T) {
	c := refuser("bad.example")
	r := newCheckedRig(t, c)
	r.gateway("good", "bad", "other")
	r.until("the bad route answers 500", func() bool { return r.statuses() == "bad/http/0=500 good/http/0 other/http/0" })
	r.until("the problem", func() bool {
		return has(r.feed.Outcome(gwID), "GWRoute", "bad", "spec.http.rules[0]", "answers 500, because Envoy refuses it: I do not like it")
	})
	if o := r.feed.Outcome(gwID); len(o.Problems) != 1 || len(o.Withheld) > 0 {
		t.Errorf("problems %v, withheld %v", o.Problems, o.Withheld)
	}
	// Envoy likes it now.
	c.text.Store(ptr.To("nothing has this"))
	r.feed.Translate(gwID)
	r.until("all routes are served", func() bool { return r.statuses() == "bad/http/0 good/http/0 other/http/0" })
	if o := r.feed.Outcome(gwID); len(o.Problems) > 0 {
		t.Errorf("problems %v", o.Problems)
	}
}

// When one route changes, Envoy is asked about that route alone. A withheld route does not
// count as accepted, and neither does one that could not be checked.
func TestChangedRouteAlone(t *testing.T) {
	c := refuser("nothing has this")
	r := newCheckedRig(t, c)
	r.gateway("one", "two")
	r.until("both routes", func() bool { return r.statuses() == "one/http/0 two/http/0" })
	path := "/three"
	change := func(version string) {
		t.Helper()
		route, err := r.client.EpicV1().GWRoutes(ns).Get(t.Context(), "two", metav1.GetOptions{})
		r.must(nil, err)
		path += "x"
		route.Generation, route.ResourceVersion = route.Generation+1, version
		route.Spec.HTTP.Rules[0].Matches[0].Path.Value = &path
		sets := r.server.count(gwID)
		r.must(r.client.EpicV1().GWRoutes(ns).Update(t.Context(), route, metav1.UpdateOptions{}))
		r.until("the change", func() bool { return r.server.count(gwID) > sets })
	}
	asked := func() (one, two bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		all := strings.Join(c.bodies, "")
		return strings.Contains(all, "one.example"), strings.Contains(all, "two.example")
	}
	change("2")
	if one, two := asked(); one || !two {
		t.Errorf("after a change of two, asked about one: %v, two: %v", one, two)
	}
	c.err.Store(ptr.To(errors.New("no Envoy")))
	change("3")
	c.err.Store(nil)
	change("4")
	if one, two := asked(); !one || !two {
		t.Errorf("after an unchecked change, asked about one: %v, two: %v", one, two)
	}
	c.text.Store(ptr.To("http/80"))
	change("5")
	sets := r.server.count(gwID)
	r.feed.Translate(gwID)
	r.until("the same again", func() bool { return r.server.count(gwID) > sets })
	if len(r.feed.Outcome(gwID).Withheld) == 0 {
		t.Error("what is withheld counts as accepted")
	}
}

// A resource in which no route is at fault is withheld from proxies.
func TestWithheld(t *testing.T) {
	r := newCheckedRig(t, refuser("http/80"))
	r.gateway("good")
	r.until("the routes and the listener are withheld", func() bool {
		c := r.server.config(gwID)
		return len(c.Withheld) == 2 && c.Withheld[routesKey] && c.Resources[routesKey] != nil
	})
	for _, what := range []string{`the route "http/80" is not sent`, `the listener "tcp/80" is not sent`} {
		if o := r.feed.Outcome(gwID); !has(o, "GWProxy", "gw", "", what) {
			t.Errorf("no problem says that %s: %v", what, o.Problems)
		}
	}
}

// A template of which Envoy refuses a part is not served at all.
func TestRefusedTemplate(t *testing.T) {
	c := refuser("dislike")
	r := newCheckedRig(t, c)
	lb := r.lb()
	update := func(generation int64, version, name string) {
		lb.Generation, lb.ResourceVersion = generation, version
		lb.Spec.EnvoyTemplate = &epicv1.EnvoyConfigSpec{Serialization: epicv1.SerializationYAML, EnvoyResources: epicv1.EnvoyResources{
			Clusters:  []epicv1.EnvoyResource{{Name: "c", Value: "{name: '{{.ClusterName}}', type: EDS}"}},
			Listeners: []epicv1.EnvoyResource{{Name: "l", Value: "{name: " + name + ", address: {socket_address: {address: '::', port_value: {{.Port}}}}}"}},
		}}
		r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	}
	update(2, "2", "fine")
	r.until("the template", func() bool {
		return r.feed.Resource(shopID, resource.Key{Type: resource.Listener, Name: "fine"}) != nil
	})
	sets := r.server.count(shopID)
	update(3, "3", "dislike")
	r.until("the refusal", func() bool {
		o := r.feed.Outcome(shopID)
		return o.Generation == 3 && slices.ContainsFunc(o.Problems, func(p translate.Problem) bool {
			return p.Reason == template.ReasonRefused && p.Field == "spec.envoy-template" &&
				strings.Contains(p.Message, `renders the listener "dislike", which Envoy rejects: I do not like it`) && strings.Contains(p.Message, "previous configuration")
		})
	})
	if r.server.count(shopID) != sets {
		t.Error("a refused template changed what is served")
	}
}

// Without an answer everything passes, and what an Envoy of the proxy has is not asked
// about again.
func TestUnchecked(t *testing.T) {
	c := refuser("bad.example")
	c.err.Store(ptr.To(errors.New("no Envoy")))
	r := newCheckedRig(t, c)
	r.gateway("bad")
	r.until("the routes pass", func() bool { return r.statuses() == "bad/http/0" })
	if !r.feed.unchecked.Load() {
		t.Error("nothing says that configurations are not checked")
	}
	r.server.mu.Lock()
	for key, res := range r.server.configs[gwID].Resources {
		r.server.accepted[key] = res.Version
	}
	r.server.mu.Unlock()
	c.err.Store(nil)
	asked, sets := c.asked.Load(), r.server.count(gwID)
	r.feed.Translate(gwID)
	r.until("the translation", func() bool { return r.server.count(gwID) > sets })
	if n := c.asked.Load() - asked; n > 0 || r.statuses() != "bad/http/0" {
		t.Errorf("asked about %d resources that an Envoy has; routes %s", n, r.statuses())
	}
}

// A check that takes long holds up no endpoints.
func TestEndpointsDoNotWaitForChecks(t *testing.T) {
	c := refuser("nothing has this")
	c.block = make(chan struct{}, 100)
	c.block <- struct{}{}
	r := newCheckedRig(t, c)
	lb := r.lb()
	r.endpoint("a", "10.0.0.1", "")
	r.eventually("", "10.0.0.1:8080")
	asked := c.asked.Load()
	defer close(c.block)
	lb = lb.DeepCopy()
	lb.ResourceVersion, lb.Generation = "2", 2
	lb.Spec.PublicPorts[0].Port = 81
	r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	r.endpoint("b", "10.0.0.2", "")
	r.eventually("", "10.0.0.1:8080 10.0.0.2:8080")
	if c.asked.Load() != asked {
		t.Error("the check did not wait")
	}
}
