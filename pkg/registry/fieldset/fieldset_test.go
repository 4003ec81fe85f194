// SPDX-License-Identifier: Apache-2.0

package fieldset

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher/store"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

var testFields = Fields{
	Many("status.node", func(o *epic.LoadBalancer) []string { return o.Spec.UpstreamClusters }),
	One("spec.public-address", func(o *epic.LoadBalancer) string { return o.Spec.PublicAddress }),
}

func object(name, address string, nodes ...string) *epic.LoadBalancer {
	return &epic.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: name},
		Spec:       epic.LoadBalancerSpec{PublicAddress: address, UpstreamClusters: nodes},
	}
}

func TestMatches(t *testing.T) {
	obj := object("lb", "192.0.2.1", "10.0.0.1", "10.0.0.12")
	none := object("none", "")
	for _, c := range []struct {
		selector  string
		obj, none bool
	}{
		{"status.node=10.0.0.1", true, false},
		{"status.node==10.0.0.12", true, false},
		{"status.node=10.0.0.2", false, false},
		{"status.node=10.0.0", false, false},
		{"status.node!=10.0.0.1", false, true},
		{"status.node!=10.0.0.9", true, true},
		{"status.node=", false, true},
		{"status.node!=", true, false},
		{"status.node=10.0.0.1,status.node=10.0.0.12", true, false},
		{"status.node=10.0.0.1,status.node!=10.0.0.12", false, false},
		{"status.node=10.0.0.1,spec.public-address=192.0.2.1", true, false},
		{"status.node=10.0.0.1,spec.public-address=192.0.2.2", false, false},
		{"spec.public-address=192.0.2.1", true, false},
		{"metadata.name=lb,status.node=10.0.0.1", true, false},
		{"metadata.namespace=epic-b,status.node=10.0.0.1", false, false},
		// A value that reaches over two is none.
		{`status.node=10.0.0.1\,10.0.0.12`, false, false},
		{"", true, true},
	} {
		s, err := fields.ParseSelector(c.selector)
		if err != nil {
			t.Fatal(err)
		}
		p := testFields.Predicate(labels.Everything(), s)
		for o, want := range map[runtime.Object]bool{obj: c.obj, none: c.none} {
			if got, err := p.Matches(o); err != nil || got != want {
				t.Errorf("%q matches %s: %v, %v", c.selector, o.(*epic.LoadBalancer).Name, got, err)
			}
		}
	}
}

func TestSelectorIsStillOne(t *testing.T) {
	s := testFields.Selector(fields.ParseSelectorOrDie("status.node=a,metadata.name=b"))
	if v, ok := s.RequiresExactMatch("status.node"); !ok || v != "a" {
		t.Error("the index is not found")
	}
	if got := s.String(); got != "metadata.name=b,status.node=a" && got != "status.node=a,metadata.name=b" {
		t.Errorf("written as %q", got)
	}
	set := fields.Set{"status.node": ",a,c,", "metadata.name": "b"}
	same, err := s.Transform(func(f, v string) (string, string, error) { return f, v, nil })
	if err != nil || !same.Matches(set) || !s.DeepCopySelector().Matches(set) {
		t.Error("a copy forgets which fields have many values")
	}
	if testFields.Selector(fields.Nothing()).Matches(set) {
		t.Error("the selector of nothing matches")
	}
	if testFields.Selector(nil) != nil {
		t.Error("no selector became one")
	}
}

// The indexes are those of the watch cache, filled and asked as it does.
func TestIndex(t *testing.T) {
	index := store.NewIndexer(testFields.Indexers())
	for i, o := range []*epic.LoadBalancer{
		object("a", "192.0.2.1", "10.0.0.1", "10.0.0.2"),
		object("b", "192.0.2.2", "10.0.0.2"),
		object("c", "192.0.2.3"),
	} {
		if err := index.Add(element(o, i)); err != nil {
			t.Fatal(err)
		}
	}
	// An object that changes leaves the values behind that it has no more.
	if err := index.Update(element(object("a", "192.0.2.1", "10.0.0.1"), 0)); err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]string{
		"status.node=10.0.0.1":                               "a",
		"status.node=10.0.0.2":                               "b",
		"status.node=":                                       "c",
		"spec.public-address=192.0.2.3":                      "c",
		"status.node=10.0.0.3":                               "",
		"spec.public-address=192.0.2.2,status.node=10.0.0.2": "b",
	} {
		p := testFields.Predicate(labels.Everything(), fields.ParseSelectorOrDie(selector))
		match := p.MatcherIndex(context.Background())
		if len(match) == 0 {
			t.Errorf("%q is served from no index", selector)
			continue
		}
		found, err := index.ByIndex(match[0].IndexName, match[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.(*store.Element).Object.(*epic.LoadBalancer).Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%q finds %q by index, want %q", selector, got, want)
		}
	}
}

func element(o *epic.LoadBalancer, i int) *store.Element {
	l, f, _ := testFields.GetAttrs(o)
	return &store.Element{Key: fmt.Sprintf("/lb/%d", i), Object: o, Labels: l, Fields: f}
}

func TestTrigger(t *testing.T) {
	trigger := testFields.Trigger("spec.public-address")
	if got := trigger["spec.public-address"](object("a", "192.0.2.1")); len(trigger) != 1 || got != "192.0.2.1" {
		t.Errorf("triggers by %q", got)
	}
	if testFields.Trigger("") != nil {
		t.Error("a kind without trigger has one")
	}
	defer func() {
		if recover() == nil {
			t.Error("a field of many values became a trigger")
		}
	}()
	testFields.Trigger("status.node")
}

func TestRegister(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	gvk := v1.SchemeGroupVersion.WithKind("LoadBalancer")
	for range 2 {
		if err := testFields.Register(scheme, gvk); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"metadata.name", "metadata.namespace", "status.node", "spec.public-address"} {
		if label, value, err := scheme.ConvertFieldLabel(gvk, f, "x"); err != nil || label != f || value != "x" {
			t.Errorf("%s became %s=%s, %v", f, label, value, err)
		}
	}
	_, _, err := scheme.ConvertFieldLabel(gvk, "spec.display-name", "x")
	if err == nil || !strings.Contains(err.Error(), "use one of metadata.name, metadata.namespace, status.node") {
		t.Errorf("an unknown field gives %v", err)
	}
	// Another kind is as it was.
	if _, _, err := scheme.ConvertFieldLabel(v1.SchemeGroupVersion.WithKind("GWProxy"), "status.node", "x"); err == nil {
		t.Error("the field was registered for another kind")
	}
}

var _ storage.AttrFunc = testFields.GetAttrs
