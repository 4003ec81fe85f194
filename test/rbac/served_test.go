// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// TestRolesNameWhatIsServed asks a real server: a rule for what it does not
// serve is a spelling mistake, and what the platform's administrator can't reach
// was forgotten.
func TestRolesNameWhatIsServed(t *testing.T) {
	server := testserver.StartTestServer(t)
	client, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	served := map[string][]string{}
	for _, r := range list.APIResources {
		served[epic.GroupName+"/"+r.Name] = r.Verbs
	}
	if len(served) == 0 {
		t.Fatal("The server serves nothing")
	}
	categories := map[string][]string{}
	for _, r := range list.APIResources {
		categories[r.Name] = r.Categories
	}

	roles, _ := read(t, shipped)
	for _, r := range roles {
		for have := range rights(r.rules) {
			if !strings.HasPrefix(have.resource, epic.GroupName+"/") {
				continue
			}
			parent, subresource := have.resource, ""
			if i := strings.LastIndex(parent, "/"); i > len(epic.GroupName) {
				parent, subresource = parent[:i], parent[i+1:]
			}
			if slices.Contains([]string{"finalizers", proxy.TemplateSubresource}, subresource) && len(served[parent]) > 0 && have.verb == "update" {
				// A permission and not a request: the server asks for it.
				continue
			}
			if !slices.Contains(served[have.resource], have.verb) {
				t.Errorf("%s may %s, which the server does not serve", r.name, have)
			}
		}
	}
	// kubectl fails on a whole category if one of its kinds is forbidden.
	for _, name := range []string{"epic-tenant-admin", "epic-tenant-viewer"} {
		tenant := rights(named(t, roles, name).rules)
		for resource, in := range categories {
			if strings.Contains(resource, "/") {
				continue
			}
			readable := tenant[right{epic.GroupName + "/" + resource, "", "list"}]
			if slices.Contains(in, kind.CategoryTenant) != readable {
				t.Errorf("%s may list %s: %v, and its categories are %q", name, resource, readable, in)
			}
			if !slices.Contains(in, kind.CategoryAll) {
				t.Errorf("%s is not in the category %s", resource, kind.CategoryAll)
			}
		}
	}
	admin := rights(named(t, roles, "epic-platform-admin").rules)
	for resource, verbs := range served {
		if strings.HasSuffix(resource, "/status") {
			// Only programs write it.
			verbs = []string{"get"}
		}
		for _, verb := range verbs {
			if !admin[right{resource, "", verb}] {
				t.Errorf("The platform's administrator may not %s %s", verb, resource)
			}
		}
	}
}
