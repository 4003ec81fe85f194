// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apiserver/nodeauthorizer"
)

const everything = "*"

// Verbs that hand out rights that their holder does not have.
var grantingVerbs = []string{"escalate", "bind", "impersonate"}

// bindsNodes is the one right of this sort that ships: the role of client nodes, in a
// namespace of an account.
var bindsNodes = right{rbacv1.GroupName + "/clusterroles", "epic-node-client", "bind"}

// Resources through which rights can be had that no rule grants: other
// people's credentials, and programs that run with other rights.
var powerful = []string{
	"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "nodes/proxy", "nodes/status",
	"pods/ephemeralcontainers",
	rbacv1.GroupName + "/clusterroles", rbacv1.GroupName + "/clusterrolebindings", rbacv1.GroupName + "/roles",
	"certificates.k8s.io/certificatesigningrequests/approval",
	"admissionregistration.k8s.io/mutatingwebhookconfigurations", "admissionregistration.k8s.io/validatingwebhookconfigurations",
	"apiregistration.k8s.io/apiservices",
}

// A subject that has a right on what is powerful all the same, and may only have this.
var powerfulAllowed = map[string][]right{
	"epic-kubeconfig-issuer": {{"serviceaccounts/token", "", "create"}},
	"epic-platform-admin":    {{"apiregistration.k8s.io/apiservices", "v1.epic.acnodal.io", "get"}},
	"epic-auditor":           {{"apiregistration.k8s.io/apiservices", "v1.epic.acnodal.io", "get"}},
	// Certificates of listeners, and its own authority.
	"epic-operator": {{"secrets", "", "list"}, {"secrets", "", "watch"}},
	// Certificates of a client cluster's Gateways, which the connector copies to the
	// account's namespace without reading what is there.
	"epic-connector-local": {{"secrets", "", "get"}, {"secrets", "", "list"}, {"secrets", "", "watch"}},
	// The credential that it renews, and the authority of its own certificate.
	"epic-connector-own": {
		{"secrets", "", "create"}, {"secrets", "epic-connector-credential", "patch"},
		{"secrets", "epic-connector-authority", "get"}, {"secrets", "epic-connector-authority", "update"},
	},
	// Tokens of its cluster's nodes and its own: the policies of connector-nodes.yaml say so.
	"epic-connector": {
		{"serviceaccounts/token", "", "create"}, bindsNodes,
		{"secrets", "", "create"}, {"secrets", "", "patch"}, {"secrets", "", "delete"}, {"secrets", "", "deletecollection"},
	},
	// Tokens of connectors, and each right of the role that it binds to them.
	"epic-connector-issuer": {
		{"serviceaccounts/token", "", "create"}, bindsNodes,
		{"secrets", "", "create"}, {"secrets", "", "patch"}, {"secrets", "", "delete"}, {"secrets", "", "deletecollection"},
	},
	// The certificates and keys that it makes, and the authority in the APIService.
	"epic-setup": {
		{"secrets", "", "create"}, {"apiregistration.k8s.io/apiservices", "v1.epic.acnodal.io", "get"}, {"apiregistration.k8s.io/apiservices", "v1.epic.acnodal.io", "patch"},
		{"secrets", "epic-ca", "get"}, {"secrets", "epic-ca", "update"}, {"secrets", "epic-apiserver-tls", "get"}, {"secrets", "epic-apiserver-tls", "update"},
		{"secrets", "epic-etcd-ca", "get"}, {"secrets", "epic-etcd-ca", "update"}, {"secrets", "epic-etcd-server-tls", "get"}, {"secrets", "epic-etcd-server-tls", "update"},
		{"secrets", "epic-etcd-peer-tls", "get"}, {"secrets", "epic-etcd-peer-tls", "update"}, {"secrets", "epic-apiserver-etcd-tls", "get"}, {"secrets", "epic-apiserver-etcd-tls", "update"},
		{"secrets", "epic-tunnel-keys", "get"}, {"secrets", "epic-tunnel-keys", "update"},
	},
	"epic-operator:own": {{"secrets", "", "create"}, {"secrets", "epic-proxy-authority", "get"}, {"secrets", "epic-proxy-authority", "update"}},
}

// Roles whose names begin so are the ones of this folder's own base.
var base = filepath.Join(shipped, "rbac")

// TestNoRoleGrantsWithoutBound is for all that ships, not only for the roles
// that people bind.
func TestNoRoleGrantsWithoutBound(t *testing.T) {
	roles, _ := read(t, shipped)
	if len(roles) == 0 {
		t.Fatal("No role was found")
	}
	for _, r := range roles {
		t.Run(r.name, func(t *testing.T) {
			if r.aggregation != nil {
				t.Error("It takes up the rules of other roles, which nobody can read here")
			}
			for have := range rights(r.rules) {
				for _, part := range []string{have.resource, have.name, have.verb} {
					if strings.Contains(part, everything) {
						t.Errorf("It has a wildcard: %s", have)
					}
				}
				if slices.Contains(grantingVerbs, have.verb) && (have != bindsNodes || !slices.Contains(powerfulAllowed[r.name], have)) {
					t.Errorf("It may hand out rights that it lacks: %s", have)
				}
				readsPolicies := strings.HasPrefix(have.resource, "admissionregistration.k8s.io/") && slices.Contains([]string{"get", "list", "watch"}, have.verb)
				if slices.Contains(powerful, have.resource) && !readsPolicies && !slices.Contains(powerfulAllowed[r.name], have) {
					t.Errorf("It may do what leads to other rights: %s", have)
				}
			}
		})
	}
}

// TestNoBindingForEverybody looks for what would open the API to strangers.
func TestNoBindingForEverybody(t *testing.T) {
	_, bindings := read(t, shipped)
	for _, b := range bindings {
		for _, s := range b.subjects {
			if s.Kind != rbacv1.ServiceAccountKind {
				t.Errorf("%s: %s %s names the %s %s: people are bound by the platform team, not by a manifest", b.file, b.kind, b.name, s.Kind, s.Name)
			}
		}
		if slices.Contains([]string{"cluster-admin", "admin", "edit"}, b.ref.Name) {
			t.Errorf("%s: %s %s binds %s, which is more than any part of EPIC needs", b.file, b.kind, b.name, b.ref.Name)
		}
	}
}

// shownToTenants is what tenants may read of Kubernetes' own objects: the proxies that
// run for them, and why one does not start.
var shownToTenants = []string{"pods", "pods/log", "events", "events.k8s.io/events"}

// TestTenantsSeeWhatTheyUse requires what a tenant needs to publish a service and to
// find out why one is not served.
func TestTenantsSeeWhatTheyUse(t *testing.T) {
	roles, _ := read(t, base)
	for _, name := range []string{"epic-tenant-admin", "epic-tenant-viewer"} {
		has := rights(named(t, roles, name).rules)
		for _, resource := range shownToTenants {
			for _, verb := range []string{"get", "list", "watch"} {
				if want := (right{resource, "", verb}); !has[want] && (resource != "pods/log" || verb == "get") {
					t.Errorf("%s may not %s", name, want)
				}
			}
		}
	}
	for have := range rights(named(t, roles, "epic-offered-viewer").rules) {
		if resource, _, _ := strings.Cut(have.resource, "/status"); resource != epic.GroupName+"/lbservicegroups" || !slices.Contains([]string{"get", "list", "watch"}, have.verb) {
			t.Errorf("epic-offered-viewer may %s", have)
		}
	}
}

// TestTenantsReachOnlyTheirOwn describes what a tenant's roles may at most do.
func TestTenantsReachOnlyTheirOwn(t *testing.T) {
	roles, _ := read(t, base)
	for _, name := range []string{"epic-tenant-admin", "epic-tenant-viewer", "epic-node-client"} {
		for have := range rights(named(t, roles, name).rules) {
			resource, own := strings.CutPrefix(have.resource, epic.GroupName+"/")
			resource, subresource, _ := strings.Cut(resource, "/")
			writes := !slices.Contains([]string{"get", "list", "watch"}, have.verb)
			if slices.Contains(shownToTenants, have.resource) && !writes && name != "epic-node-client" {
				continue
			}
			switch {
			case !own:
				t.Errorf("%s reaches beyond EPIC's own objects: %s", name, have)
			case resource == "epics" || resource == "serviceprefixes" || resource == "gatewaynodes":
				t.Errorf("%s reaches the platform team's objects: %s", name, have)
			case writes && name != "epic-tenant-admin":
				t.Errorf("%s writes: %s", name, have)
			case writes && subresource != "":
				t.Errorf("%s writes what the system owns: %s", name, have)
			case subresource == "tunnelkeys" && name != "epic-node-client":
				t.Errorf("%s reads the keys of tunnels, which are for nodes: %s", name, have)
			case writes && (resource == "accounts" || resource == "lbservicegroups"):
				t.Errorf("%s grants itself more: %s", name, have)
			}
		}
	}
}

// TestNodesWriteOnlyStatus bounds what a stolen node can change: statuses, and its own
// object among the gateway nodes, which it creates.
func TestNodesWriteOnlyStatus(t *testing.T) {
	roles, _ := read(t, base)
	allowed := []string{epic.GroupName + "/loadbalancers/status", epic.GroupName + "/gwproxies/status", epic.GroupName + "/epics/status", epic.GroupName + "/gatewaynodes/status"}
	for have := range rights(named(t, roles, "epic-node").rules) {
		if have.resource == epic.GroupName+"/gatewaynodes" && have.verb == "create" {
			continue
		}
		if !slices.Contains([]string{"get", "list", "watch"}, have.verb) && !slices.Contains(allowed, have.resource) {
			t.Errorf("A node may %s", have)
		}
	}
}

// TestAuditorsWriteNothing keeps the word of the role's name.
func TestAuditorsWriteNothing(t *testing.T) {
	roles, _ := read(t, base)
	for have := range rights(named(t, roles, "epic-auditor").rules) {
		if !slices.Contains([]string{"get", "list", "watch"}, have.verb) {
			t.Errorf("An auditor may %s", have)
		}
	}
}

// TestWhoBindsHasWhatTheyBind: RBAC lets nobody grant what they do not have, so
// the platform's administrator must have each right of a tenant.
func TestWhoBindsHasWhatTheyBind(t *testing.T) {
	roles, _ := read(t, base)
	has := rights(named(t, roles, "epic-platform-admin").rules)
	for _, name := range []string{"epic-tenant-admin", "epic-tenant-viewer", "epic-offered-viewer", "epic-node-client"} {
		for need := range rights(named(t, roles, name).rules) {
			if !has[need] {
				t.Errorf("The platform's administrator can't bind %s: it may not %s", name, need)
			}
		}
	}
	// And who makes the kubeconfigs of nodes binds these.
	issuer := rights(named(t, roles, "epic-kubeconfig-issuer").rules)
	for need := range rights(named(t, roles, "epic-node-client").rules) {
		if !issuer[need] {
			t.Errorf("The issuer of kubeconfigs can't bind epic-node-client: it may not %s", need)
		}
	}
	// And who connects clusters binds the connector's.
	issuer = rights(named(t, roles, "epic-connector-issuer").rules)
	for need := range rights(named(t, roles, "epic-connector").rules) {
		if !issuer[need] {
			t.Errorf("The issuer of connectors can't bind epic-connector: it may not %s", need)
		}
	}
	has = rights(named(t, roles, "epic-tenant-admin").rules)
	for need := range rights(named(t, roles, "epic-tenant-viewer").rules) {
		if !has[need] {
			t.Errorf("epic-tenant-viewer may %s, and epic-tenant-admin may not", need)
		}
	}
}

// TestKustomizationIsComplete: a role that it does not list is never installed.
func TestKustomizationIsComplete(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(base, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(base, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "kustomization.yaml" && !slices.Contains(kustomization.Resources, name) {
			t.Errorf("kustomization.yaml does not list %s", name)
		}
	}
	if len(kustomization.Resources) != len(files)-1 {
		t.Errorf("kustomization.yaml lists %d files, and there are %d", len(kustomization.Resources), len(files)-1)
	}
}

// TestFinalizersAndKeys says who may have what is nobody's by default.
func TestFinalizersAndKeys(t *testing.T) {
	roles, _ := read(t, base)
	for subresource, allowed := range map[string][]string{
		"finalizers": {"epic-platform-admin"},
		"tunnelkeys": {"epic-node", "epic-node-client", "epic-platform-admin", "epic-kubeconfig-issuer"},
	} {
		for _, r := range roles {
			has := false
			for have := range rights(r.rules) {
				has = has || strings.HasSuffix(have.resource, "/"+subresource)
			}
			if has != slices.Contains(allowed, r.name) {
				t.Errorf("%s has %s: %v", r.name, subresource, has)
			}
		}
	}
}

// TestStandaloneAllowsTheSame compares the roles of nodes with what a server that
// has no RBAC allows them, of EPIC's own.
func TestStandaloneAllowsTheSame(t *testing.T) {
	roles, _ := read(t, base)
	for name, rules := range map[string]nodeauthorizer.Rules{"epic-node": nodeauthorizer.Gateway, "epic-node-client": nodeauthorizer.Tenant} {
		alone := map[right]bool{}
		for resource, verbs := range rules {
			for _, verb := range verbs {
				alone[right{epic.GroupName + "/" + resource, "", verb}] = true
			}
		}
		granted := rights(named(t, roles, name).rules)
		for have := range granted {
			if strings.HasPrefix(have.resource, epic.GroupName) && !alone[have] {
				t.Errorf("%s may %s, and a node of a standalone server may not", name, have)
			}
		}
		for have := range alone {
			if !granted[have] {
				t.Errorf("A node of a standalone server may %s, and %s may not", have, name)
			}
		}
	}
}
