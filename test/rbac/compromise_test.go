// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/test/tools/testfunc"
)

// statement is a row of the tables in docs/roles.md that describe what an attacker can and
// cannot do: a sentence, and tests as FOLDER.NAME.
var statement = regexp.MustCompile(`^\| (.+) \| (` + "`[^|]+`" + `) \|$`)

// TestEveryStatementHasATest compares docs/roles.md with the tests that it names.
func TestEveryStatementHasATest(t *testing.T) {
	data, err := os.ReadFile("../../docs/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(data), "\n## What an attacker can do\n")
	if !found {
		t.Fatal("docs/roles.md does not have the section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	subjects := map[string]int{}
	subject := ""
	for line := range strings.Lines(section) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "### "); ok {
			subject = name
			subjects[subject] = 0
			continue
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") || strings.HasSuffix(line, "| test |") {
			continue
		}
		row := statement.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("This row names no test: %s", line)
			continue
		}
		subjects[subject]++
		for name := range strings.SplitSeq(row[2], ", ") {
			name = strings.Trim(name, "`")
			dot := strings.LastIndex(name, ".")
			if dot < 0 || !testfunc.Exists(t, filepath.Join("../..", name[:dot]), name[dot+1:]) {
				t.Errorf("%q names the test %s, which does not exist", row[1], name)
			}
		}
	}
	for _, want := range []string{"A gateway node", "A client node", "A tenant's administrator", "The controller", "The operator"} {
		if subjects[want] < 4 {
			t.Errorf("There are %d statements about %q", subjects[want], want)
		}
	}
}

// exactly compares the rights of a role with those that docs/roles.md states, each
// as "verb verb: resource resource"; resources of EPIC's group have no group here.
func exactly(t *testing.T, name string, stated ...string) {
	t.Helper()
	roles, _ := read(t, base)
	has := map[string]bool{}
	for have := range rights(named(t, roles, name).rules) {
		has[strings.ReplaceAll(have.String(), epic.GroupName+"/", "")] = true
	}
	for _, s := range stated {
		verbs, resources, _ := strings.Cut(s, ": ")
		for verb := range strings.FieldsSeq(verbs) {
			for resource := range strings.FieldsSeq(resources) {
				key := verb + " " + strings.ReplaceAll(resource, "=", " ")
				if !has[key] {
					t.Errorf("%s may not %s", name, key)
				}
				delete(has, key)
			}
		}
	}
	if len(has) > 0 {
		t.Errorf("%s also may %v", name, slices.Sorted(maps.Keys(has)))
	}
}

func TestGatewayNodeRights(t *testing.T) {
	exactly(t, "epic-node",
		"get list watch: epics serviceprefixes accounts loadbalancers remoteendpoints gwproxies gwroutes gwendpointslices",
		"get update patch: loadbalancers/status gwproxies/status gatewaynodes/status", "get patch: epics/status", "get create: gatewaynodes",
		"get: loadbalancers/tunnelkeys gwproxies/tunnelkeys", "get list watch: pods", "get: nodes")
}

func TestClientNodeRights(t *testing.T) {
	exactly(t, "epic-node-client",
		"get list watch: accounts loadbalancers remoteendpoints gwproxies gwroutes gwendpointslices",
		"get: loadbalancers/tunnelkeys gwproxies/tunnelkeys")
}

func TestControllerRights(t *testing.T) {
	all := "epics serviceprefixes accounts lbservicegroups loadbalancers remoteendpoints gwproxies gwroutes gwendpointslices"
	exactly(t, "epic-controller", "list watch: "+all+" gatewaynodes", "get: epics=epic", "delete: gatewaynodes",
		"patch: "+strings.ReplaceAll(all, " ", "/status ")+"/status", "get list watch: pods", "create patch: events")
}

func TestOperatorRights(t *testing.T) {
	exactly(t, "epic-operator",
		"list watch: epics serviceprefixes lbservicegroups loadbalancers remoteendpoints gwproxies gwroutes gwendpointslices gatewaynodes",
		"patch: loadbalancers/status gwproxies/status gwroutes/status",
		"list watch create update: apps/deployments policy/poddisruptionbudgets networking.k8s.io/networkpolicies configmaps",
		"list watch: pods secrets", "create: authentication.k8s.io/tokenreviews", "create patch: events")
}

// No shipped role but the controller's, the operator's and the nodes' writes a status,
// so nobody else decides where a proxy runs.
func TestWhoWritesStatus(t *testing.T) {
	roles, _ := read(t, base)
	for _, r := range roles {
		writes := false
		for have := range rights(r.rules) {
			writes = writes || strings.HasSuffix(have.resource, "/status") && !slices.Contains([]string{"get", "list", "watch"}, have.verb)
		}
		if want := r.name == "epic-controller" || r.name == "epic-operator" || r.name == "epic-node"; writes != want {
			t.Errorf("%s writes a status: %v", r.name, writes)
		}
	}
}
