// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"
)

// requests notes what a client asks a server for, as RBAC sees it.
type requests struct {
	next http.RoundTripper
	mu   *sync.Mutex
	seen sets.Set[string]
}

var resolver = &request.RequestInfoFactory{APIPrefixes: sets.NewString("apis"), GrouplessAPIPrefixes: sets.NewString()}

// RoundTrip implements http.RoundTripper.
func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	if info, err := resolver.NewRequestInfo(req); err == nil {
		resource := info.Resource
		if info.Subresource != "" {
			resource += "/" + info.Subresource
		}
		r.mu.Lock()
		r.seen.Insert(info.Verb + " " + resource)
		r.mu.Unlock()
	}
	return r.next.RoundTrip(req)
}

// compareRole compares what a controller asked for with what its role allows:
// neither may be more.
func compareRole(t *testing.T, seen sets.Set[string]) {
	t.Helper()
	data, err := os.ReadFile("../../artifacts/rbac/controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(data, &role); err != nil {
		t.Fatal(err)
	}
	granted := sets.New[string]()
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			for _, resource := range rule.Resources {
				granted.Insert(verb + " " + resource)
			}
		}
	}
	for right := range seen {
		// A watch that can't bring what exists begins with a list.
		if resource, ok := strings.CutPrefix(right, "watch "); ok {
			seen.Insert("list " + resource)
		}
	}
	if extra := sets.List(seen.Difference(granted)); len(extra) > 0 {
		t.Errorf("the controller asked for %q, which its role does not grant", extra)
	}
	if extra := sets.List(granted.Difference(seen)); len(extra) > 0 && seen.HasAll("patch loadbalancers/status", "patch gwproxies/status") {
		t.Errorf("the role grants %q, which the controller did not ask for", extra)
	}
}
