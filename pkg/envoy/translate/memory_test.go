// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// input is what the gateway proxy of the world is translated from.
func (w *world) input(earlier *translate.Result) translate.GatewayInput {
	return translate.GatewayInput{
		Proxy: w.proxy, Group: w.group, Routes: w.routes, Services: w.services(), Secrets: w.secrets, Now: w.now, Options: w.options, Earlier: earlier,
	}
}

// change changes some objects of the world. Objects are replaced, as in the operator's store.
func (g *generator) change(w *world) {
	w.routes, w.slices = append([]*epicv1.GWRoute(nil), w.routes...), append([]*epicv1.GWEndpointSlice(nil), w.slices...)
	for range 1 + g.IntN(3) {
		switch n := g.IntN(12); {
		case n < 3:
			g.add(w, g.route())
		case n < 6 && len(w.routes) > 0:
			i := g.IntN(len(w.routes))
			before := w.routes[i]
			w.routes = append(w.routes[:i], w.routes[i+1:]...)
			if n < 5 {
				replaced := len(w.routes)
				g.add(w, g.route())
				if len(w.routes) > replaced {
					w.routes[replaced].ObjectMeta = before.ObjectMeta
				}
			}
		case n < 8:
			g.add(w, g.slice())
		case n < 9 && len(w.slices) > 0:
			i := g.IntN(len(w.slices))
			w.slices = append(w.slices[:i], w.slices[i+1:]...)
		case n == 9:
			// Only the status changed.
			w.proxy = w.proxy.DeepCopy()
			w.proxy.Generation++
		case n == 10:
			if meta := w.proxy.ObjectMeta; g.IntN(2) == 0 {
				g.add(w, g.proxy())
				w.proxy.ObjectMeta = meta
			}
		case n == 11:
			w.group = nil
			g.group(w)
		}
	}
}

// A translation that takes from an earlier one what has not changed yields the same as one
// that does not.
func TestEarlier(t *testing.T) {
	reused := false
	for seed := range uint64(400) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		w := g.world()
		if w.proxy == nil {
			continue
		}
		earlier := translate.Gateway(w.input(nil))
		for step := range 8 {
			g.change(w)
			got, want := translate.Gateway(w.input(earlier)), translate.Gateway(w.input(nil))
			if what := difference(got, want); what != "" {
				t.Fatalf("seed %d, step %d: with an earlier translation, %s differ:\n%+v\nwithout:\n%+v", seed, step, what, got, want)
			}
			for k, r := range got.Resources {
				reused = reused || k.Type == resource.Cluster && earlier.Resources[k] == r
			}
			earlier = got
		}
	}
	if !reused {
		t.Error("nothing of an earlier translation was used again")
	}
}

// A change of the protocol that a Service speaks reaches the routes that did not change.
func TestEarlierService(t *testing.T) {
	w := manyRoutes(t, 3)
	earlier := translate.Gateway(w.input(nil))
	slice := w.slices[1].DeepCopy()
	slice.Spec.Ports[0].AppProtocol = ptrTo("kubernetes.io/h2c")
	w.slices[1] = slice
	got, want := translate.Gateway(w.input(earlier)), translate.Gateway(w.input(nil))
	if what := difference(got, want); what != "" {
		t.Errorf("with an earlier translation, %s differ", what)
	}
	if got.Resources[resource.Key{Type: resource.Cluster, Name: "service-1/80/http2"}] == nil {
		t.Errorf("there is no cluster that speaks HTTP/2 in %v", got.Backends)
	}
}

// With golden inputs, too, an earlier translation changes nothing, also if Secrets change.
func TestEarlierGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden inputs", err)
	}
	for _, file := range files {
		w := readWorld(t, file)
		if w.proxy == nil {
			continue
		}
		earlier := translate.Gateway(w.input(nil))
		if what := difference(translate.Gateway(w.input(earlier)), translate.Gateway(w.input(nil))); what != "" {
			t.Errorf("%s: with an earlier translation, %s differ", file, what)
		}
		for name := range w.secrets {
			w.secrets[name] = testSecret("another")
			w.secrets[name].Name = name
		}
		if what := difference(translate.Gateway(w.input(earlier)), translate.Gateway(w.input(nil))); what != "" {
			t.Errorf("%s: with an earlier translation and other Secrets, %s differ", file, what)
		}
	}
}

// difference returns what two results differ in.
func difference(a, b *translate.Result) string {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		if f := x.Type().Field(i); f.IsExported() && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return f.Name
		}
	}
	return ""
}

// An earlier translation is not changed by later ones that use it.
func TestEarlierStays(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(7, 7))}
	w := g.world()
	for w.proxy == nil || len(w.routes) < 3 {
		w = g.world()
	}
	earlier, same := translate.Gateway(w.input(nil)), translate.Gateway(w.input(nil))
	for range 50 {
		g.change(w)
		translate.Gateway(w.input(earlier))
	}
	if what := difference(earlier, same); what != "" {
		t.Errorf("%s of the earlier translation changed", what)
	}
}

// A change of one route takes a part of what the whole takes: the other routes are not
// encoded again.
func TestEarlierIsCheaper(t *testing.T) {
	w := manyRoutes(t, 200)
	in := w.input(nil)
	whole := testing.AllocsPerRun(5, func() { translate.Gateway(in) })
	in.Earlier = translate.Gateway(in)
	changed := w.routes[17].DeepCopy()
	in.Routes[17] = changed
	part := testing.AllocsPerRun(5, func() { translate.Gateway(in) })
	if part > whole/2 {
		t.Errorf("a change of one route of 200 makes %.0f allocations, the whole %.0f", part, whole)
	}
}

// Route configurations, which are put together from parts, are what encoding the whole
// message yields.
func TestRouteConfigurationForm(t *testing.T) {
	found := 0
	for seed := range uint64(200) {
		w := (&generator{Rand: rand.New(rand.NewPCG(seed, 2))}).world()
		if w.proxy == nil {
			continue
		}
		for k, r := range translate.Gateway(w.input(nil)).Resources {
			if k.Type != resource.Route {
				continue
			}
			found++
			message := &routev3.RouteConfiguration{}
			if err := proto.Unmarshal(r.Body, message); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, k.Name, err)
			}
			if whole, err := resource.New(k.Type, k.Name, message); err != nil || whole.Version != r.Version {
				t.Fatalf("seed %d: %s is not what encoding the message yields: %v", seed, k.Name, err)
			}
		}
	}
	if found == 0 {
		t.Error("has no route configuration")
	}
}
