// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/test/tools/manifest"
)

// shipped is where everything that is installed comes from.
const shipped = "../../artifacts"

// role is a Role or a ClusterRole.
type role struct {
	file, kind, name string
	labels           map[string]string
	rules            []rbacv1.PolicyRule
	aggregation      *rbacv1.AggregationRule
}

// binding is a RoleBinding or a ClusterRoleBinding.
type binding struct {
	file, kind, name string
	ref              rbacv1.RoleRef
	subjects         []rbacv1.Subject
}

// read decodes every role and binding in all YAML files below a folder. A
// misspelled field is an error, because it would silently grant less or more.
func read(t *testing.T, dir string) (roles []role, bindings []binding) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path == filepath.Join(shipped, "charts") {
			return fs.SkipDir // made of the rest, which test/charts checks
		}
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for document, err := range manifest.Documents(data) {
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal(document, &meta); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if !strings.HasPrefix(meta.APIVersion, rbacv1.GroupName+"/") {
				continue
			}
			decode := func(into any) {
				if err := yaml.UnmarshalStrict(document, into); err != nil {
					t.Errorf("%s: %s: %v", path, meta.Kind, err)
				}
			}
			switch meta.Kind {
			case "ClusterRole":
				var r rbacv1.ClusterRole
				decode(&r)
				roles = append(roles, role{path, meta.Kind, r.Name, r.Labels, r.Rules, r.AggregationRule})
			case "Role":
				var r rbacv1.Role
				decode(&r)
				roles = append(roles, role{path, meta.Kind, r.Name, r.Labels, r.Rules, nil})
			case "ClusterRoleBinding":
				var b rbacv1.ClusterRoleBinding
				decode(&b)
				bindings = append(bindings, binding{path, meta.Kind, b.Name, b.RoleRef, b.Subjects})
			case "RoleBinding":
				var b rbacv1.RoleBinding
				decode(&b)
				bindings = append(bindings, binding{path, meta.Kind, b.Name, b.RoleRef, b.Subjects})
			default:
				t.Errorf("%s: %s is no kind of RBAC that this test knows", path, meta.Kind)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return roles, bindings
}

// named finds one role.
func named(t *testing.T, roles []role, name string) role {
	t.Helper()
	i := slices.IndexFunc(roles, func(r role) bool { return r.name == name })
	if i < 0 {
		t.Fatalf("There is no role %s", name)
	}
	return roles[i]
}

// right is one verb on one resource, with its subresource if it has one.
type right struct {
	resource, name, verb string
}

func (r right) String() string { return r.verb + " " + resourceName(r.resource, r.name) }

func resourceName(resource, name string) string {
	if name == "" {
		return resource
	}
	return resource + " " + name
}

// rights is all that rules allow, one by one.
func rights(rules []rbacv1.PolicyRule) map[right]bool {
	out := map[right]bool{}
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				out[right{resource: url, verb: verb}] = true
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					if group != "" {
						resource = group + "/" + resource
					}
					for _, name := range names {
						out[right{resource, name, verb}] = true
					}
				}
			}
		}
	}
	return out
}
