// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// servedKinds returns the resources of EPIC's group without their subresources.
func servedKinds(t *testing.T, server *apiservertesting.TestServer) []metav1.APIResource {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.ServerResourcesForGroupVersion(epicv1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []metav1.APIResource
	for _, resource := range list.APIResources {
		if !strings.Contains(resource.Name, "/") {
			kinds = append(kinds, resource)
		}
	}
	return kinds
}

// Each name that kubectl accepts means one thing: a plural, a singular or a short
// name means one kind, and a category is none of these. kubectl looks for a
// category first, so a kind of that name could not be read or deleted by it.
func TestNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	kinds := servedKinds(t, apiservertesting.StartTestServer(t))
	if len(kinds) != 10 {
		t.Fatalf("%d kinds are served, want 10", len(kinds))
	}
	means := map[string]string{}
	categories := map[string]bool{}
	for _, kind := range kinds {
		names := map[string]bool{kind.Name: true, kind.SingularName: true, strings.ToLower(kind.Kind): true}
		for _, short := range kind.ShortNames {
			names[short] = true
		}
		for name := range names {
			if name == "" {
				t.Errorf("%s has an empty name", kind.Kind)
			}
			if other := means[name]; other != "" {
				t.Errorf("%q means %s and %s", name, other, kind.Kind)
			}
			means[name] = kind.Kind
		}
		for _, category := range kind.Categories {
			categories[category] = true
		}
	}
	for category := range categories {
		if kind := means[category]; kind != "" {
			t.Errorf("The category %q hides the kind %s", category, kind)
		}
	}
}
