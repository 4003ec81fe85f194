// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const account = "epic-acme"

func route(cluster string) *epicv1.GWRoute {
	return &epicv1.GWRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "GWRoute"},
		ObjectMeta: metav1.ObjectMeta{Namespace: account, Name: "a", Labels: map[string]string{epic.OwningClusterLabel: cluster}},
		Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
			Hostnames: []gatewayv1.Hostname{"a.example.com", "b.example.com"},
		}}},
	}
}

// world is an EPIC in memory that counts writes.
type world struct {
	client.Client
	applies, deletes int
	err              error
}

func newWorld(t *testing.T, objects ...client.Object) (*world, *remote) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if w.err != nil {
				return w.err
			}
			w.deletes++
			return c.Delete(ctx, o, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, o applied, opts ...client.ApplyOption) error {
			if w.err != nil {
				return w.err
			}
			w.applies++
			return c.Apply(ctx, o, opts...)
		},
	}).Build()
	return w, newRemote(w, w, w, Options{Cluster: "paris"})
}

func (w *world) route(t *testing.T) *epicv1.GWRoute {
	t.Helper()
	o := &epicv1.GWRoute{}
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: account, Name: "a"}, o); err != nil {
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return nil
	}
	return o
}

func TestApplyWritesDifferencesOnly(t *testing.T) {
	w, r := newWorld(t)
	steps := []struct {
		name   string
		change func(want *epicv1.GWRoute)
		other  func(has *epicv1.GWRoute)
		writes bool
	}{
		{name: "a new object", writes: true},
		{name: "the same again"},
		{name: "a change", change: func(o *epicv1.GWRoute) { o.Spec.HTTP.Hostnames = o.Spec.HTTP.Hostnames[:1] }, writes: true},
		{name: "the change again", change: func(o *epicv1.GWRoute) { o.Spec.HTTP.Hostnames = o.Spec.HTTP.Hostnames[:1] }},
		{name: "back", writes: true},
		{name: "somebody adds a label", other: func(o *epicv1.GWRoute) { o.Labels["mine"] = "a" }},
		{name: "somebody changes the spec", other: func(o *epicv1.GWRoute) { o.Spec.HTTP.Hostnames[0] = "evil.example.com" }, writes: true},
		{name: "somebody adds a hostname", other: func(o *epicv1.GWRoute) { o.Spec.HTTP.Hostnames = append(o.Spec.HTTP.Hostnames, "evil.example.com") }, writes: true},
		{name: "somebody removes a label", other: func(o *epicv1.GWRoute) { o.Annotations = nil }, writes: true},
	}
	for _, s := range steps {
		want := route("paris")
		if s.change != nil {
			s.change(want)
		}
		now := w.route(t)
		if s.other != nil {
			s.other(now)
			if err := w.Update(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			now = w.route(t)
		}
		var current client.Object
		if now != nil {
			current = now
		}
		before := w.applies
		wrote, err := r.apply(t.Context(), want, current)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if wrote != s.writes || (w.applies > before) != s.writes {
			t.Errorf("%s: wrote is %v", s.name, wrote)
		}
		if has := w.route(t); len(has.Spec.HTTP.Hostnames) != len(want.Spec.HTTP.Hostnames) || has.Spec.HTTP.Hostnames[0] != "a.example.com" {
			t.Errorf("%s: EPIC has %v", s.name, has.Spec.HTTP.Hostnames)
		}
	}
}

// Nothing of another cluster is written or deleted, whether the caller knows of it or not.
func TestOthersAreLeftAlone(t *testing.T) {
	w, r := newWorld(t, route("rome"))
	var foreign *foreignError
	for _, now := range []client.Object{nil, w.route(t)} {
		if _, err := r.apply(t.Context(), route("paris"), now); !errors.As(err, &foreign) || !isRefusal(err) {
			t.Errorf("apply returns %v", err)
		}
	}
	if done, err := r.remove(t.Context(), w.route(t)); !done || err != nil {
		t.Errorf("remove returns %v, %v", done, err)
	}
	if w.applies+w.deletes > 0 || w.route(t) == nil {
		t.Error("the other cluster's object was touched")
	}
}

func TestRemove(t *testing.T) {
	w, r := newWorld(t, route("paris"))
	now := w.route(t)
	w.err = errors.New("EPIC is away")
	if done, err := r.remove(t.Context(), now); done || err == nil {
		t.Errorf("EPIC is away, and remove returns %v, %v", done, err)
	}
	w.err = nil
	if done, err := r.remove(t.Context(), now); done || err != nil || w.route(t) != nil {
		t.Errorf("remove returns %v, %v", done, err)
	}
	if done, err := r.remove(t.Context(), now); !done || err != nil {
		t.Errorf("it is gone, and remove returns %v, %v", done, err)
	}
}
