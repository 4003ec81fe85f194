// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// TestKubectl does what people do with kubectl all day.
func TestKubectl(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	lb := func(name, rest string) string {
		return object("LoadBalancer", "epic-one", name, "spec: {service-group: offered"+rest+"}")
	}

	t.Run("explain teaches", func(t *testing.T) {
		for path, want := range map[string]string{
			"loadbalancer.spec.public-address":         "public-address",
			"gwp.spec.gateway.listeners.hostname":      "hostname",
			"gwr.spec.http.rules.matches":              "matches",
			"epics.spec.eds-image":                     "stored but not used",
			"gwes.spec.endpoints.nodeName":             "nodeName",
			"lbsg.spec.endpoint-template.dnsName":      "dnsName",
			"sp.spec.public-pool.pool":                 "pool",
			"account.spec.proxyLimit":                  "proxyLimit",
			"rep.spec.node-address":                    "node-address",
			"lb.status.gue-tunnel-endpoints.tunnel-id": "tunnel-id",
		} {
			out := k.run(t, "explain", path, "--api-version=epic.acnodal.io/v1")
			wants(t, "explain "+path, out, "DESCRIPTION", want)
			if strings.Contains(out, "<empty>") {
				t.Errorf("explain %s says nothing:\n%s", path, out)
			}
		}
	})
	t.Run("tables", func(t *testing.T) {
		k.run(t, "patch", "-n", "epic-one", "lb", "first", "--subresource=status", "--type=merge", "-p",
			`{"status":{"gue-tunnel-endpoints":{"10.0.0.1":{"epic-address":"192.168.1.40"}}}}`)
		wants(t, "the table", k.run(t, "get", "lb", "-A"), "PUBLIC ADDRESS", "SERVICE GROUP", "SERVICE PREFIX", "TUNNELS", "AGE", "192.0.2.9", "offered")
		k.run(t, "get", "lb", "-A", "-o", "wide")
		all := k.run(t, "get", kind.CategoryAll, "-A")
		wants(t, "everything", all, "loadbalancer.epic.acnodal.io/first", "account.epic.acnodal.io/one", "serviceprefix.epic.acnodal.io/pool",
			"lbservicegroup.epic.acnodal.io/offered", "remoteendpoint.epic.acnodal.io/pod1", "epic.epic.acnodal.io/epic")
		// The singular name of a kind means that kind and no other.
		for _, name := range []string{"epic", "epics", "EPIC"} {
			if out := k.run(t, "get", name, "-n", "epic", "-o", "name"); out != "epic.epic.acnodal.io/epic\n" {
				t.Errorf("kubectl get %s finds:\n%s", name, out)
			}
		}
		wants(t, "the EPIC object by name", k.run(t, "get", "epic", "epic", "-n", "epic"), "LAST TUNNEL ID", "LAST GROUP ID")
		if out := k.run(t, "get", kind.CategoryTenant, "-A", "-o", "name"); strings.Contains(out, "serviceprefix") || strings.Contains(out, "epic.epic") {
			t.Errorf("a tenant's category has what tenants can't read:\n%s", out)
		}
	})
	t.Run("short names", func(t *testing.T) {
		for _, name := range []string{"sp", "sps", "lbsg", "lbsgs", "lb", "lbs", "rep", "reps", "gwp", "gwps", "gwr", "gwrs", "gwes", "gwess"} {
			k.run(t, "get", name, "-A")
		}
	})
	t.Run("field selectors", func(t *testing.T) {
		for selector, want := range map[string]bool{
			"status.epic-node=192.168.1.40": true, "status.epic-node=192.168.1.41": false, "status.tenant-node=10.0.0.1": true,
			"status.epic-node!=192.168.1.40": false, "spec.public-address=192.0.2.9": true, "spec.service-group=offered": true,
			"spec.service-group=other": false, "metadata.name=first": true,
		} {
			if got := strings.Contains(k.run(t, "get", "lb", "-A", "-o", "name", "--field-selector", selector), "first"); got != want {
				t.Errorf("%s selects it: %v, should be %v", selector, got, want)
			}
		}
		wants(t, "endpoints of a node", k.run(t, "get", "rep", "-A", "-o", "name", "--field-selector", "spec.node-address=10.0.0.1"), "pod1")
		wants(t, "an unknown field", k.refused(t, "", "get", "lb", "-A", "--field-selector", "spec.color=red"), "spec.color")
	})
	t.Run("server-side apply", func(t *testing.T) {
		k.apply(t, lb("applied", ", display-name: one"), "apply", "--server-side", "--field-manager=a", "-f", "-")
		wants(t, "another manager's change", k.refused(t, lb("applied", ", display-name: two"), "apply", "--server-side", "--field-manager=b", "-f", "-"), "conflict", ".spec.display-name")
		k.apply(t, lb("applied", ", display-name: two"), "apply", "--server-side", "--field-manager=b", "--force-conflicts", "-f", "-")
		out := k.run(t, "get", "-n", "epic-one", "lb", "applied", "-o", "yaml")
		wants(t, "the object", out, "display-name: two", "public-address: 192.0.2.", "service-id: 2")
	})
	t.Run("dry run assigns nothing", func(t *testing.T) {
		before := audit(t, k)
		out := k.apply(t, lb("dry", ""), "create", "--dry-run=server", "-o", "yaml", "-f", "-")
		wants(t, "the preview", out, "owning-account: one", "owning-serviceprefix: pool", "envoy-replica-count: 1")
		for _, never := range []string{"service-id:", "public-address:", "quota-place:"} {
			if strings.Contains(out, never) {
				t.Errorf("the preview promises %s\n%s", never, out)
			}
		}
		if after := audit(t, k); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("a dry run left something: %v before, %v after", before, after)
		}
	})
	t.Run("strict field validation", func(t *testing.T) {
		unknown := lb("strict", ", color: red")
		wants(t, "the answer", k.refused(t, unknown, "create", "--validate=strict", "-f", "-"), `unknown field "spec.color"`)
		k.apply(t, unknown, "create", "--validate=ignore", "-f", "-")
		if out := k.run(t, "get", "-n", "epic-one", "lb", "strict", "-o", "yaml"); strings.Contains(out, "color") {
			t.Errorf("the unknown field was kept:\n%s", out)
		}
	})
	t.Run("status is ignored in writes of the object", func(t *testing.T) {
		k.apply(t, object("LoadBalancer", "epic-one", "withstatus", "spec: {service-group: offered, gue-tunnel-endpoints: {10.0.0.9: {epic-endpoints: {192.168.1.40: {tunnel-id: 9}}}}}, status: {proxy-ifindex: 7}"), "create", "-f", "-")
		if out := k.run(t, "get", "-n", "epic-one", "lb", "withstatus", "-o", "yaml"); strings.Contains(out, "proxy-ifindex") || strings.Contains(out, "10.0.0.9") {
			t.Errorf("the client's status was kept:\n%s", out)
		}
	})
	t.Run("diff", func(t *testing.T) {
		if _, err := exec.LookPath("diff"); err != nil {
			t.Fatal("kubectl diff needs the program diff: install diffutils")
		}
		out, _, err := k.try(lb("applied", ", display-name: three"), "diff", "--server-side", "--force-conflicts", "--field-manager=b", "-f", "-")
		if err == nil || !strings.Contains(out, "+  display-name: three") || strings.Contains(out, "public-address") {
			t.Errorf("diff: %v\n%s", err, out)
		}
	})
	t.Run("pages", func(t *testing.T) {
		whole := k.run(t, "get", "lb", "-A", "-o", "name")
		if paged := k.run(t, "get", "lb", "-A", "-o", "name", "--chunk-size=1"); paged != whole {
			t.Errorf("in pages of 1:\n%s\nat once:\n%s", paged, whole)
		}
	})
	t.Run("wait and watch", func(t *testing.T) {
		done := make(chan error, 1)
		go func() {
			_, problems, err := k.try("", "wait", "-n", "epic-one", "lb/first", "--for=condition=Ready", "--timeout=30s")
			if err != nil {
				err = fmt.Errorf("%w: %s", err, problems)
			}
			done <- err
		}()
		time.Sleep(200 * time.Millisecond)
		k.run(t, "patch", "-n", "epic-one", "lb", "first", "--subresource=status", "--type=merge", "-p",
			`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Tested","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
		if err := <-done; err != nil {
			t.Errorf("wait: %v", err)
		}
		wants(t, "the table", k.run(t, "get", "-n", "epic-one", "lb", "first"), "True")
	})
	t.Run("edit, label, annotate, patch", func(t *testing.T) {
		k.run(t, "label", "-n", "epic-one", "lb", "first", "color=red")
		k.run(t, "annotate", "-n", "epic-one", "lb", "first", "note=x")
		k.run(t, "patch", "-n", "epic-one", "lb", "first", "--type=json", "-p", `[{"op":"add","path":"/spec/display-name","value":"x"}]`)
		k.run(t, "patch", "-n", "epic-one", "lb", "first", "--type=merge", "-p", `{"spec":{"upstream-clusters":[]}}`)
	})
	t.Run("deletion of collections", func(t *testing.T) {
		k.run(t, "delete", "rep", "--all", "-n", "epic-one")
		k.run(t, "delete", "lb", "--all", "-n", "epic-one")
		if out := k.run(t, "get", "lb", "-A", "-o", "name"); out != "" {
			t.Errorf("still there:\n%s", out)
		}
		k.run(t, "delete", "lbsg", "--all", "-A")
		k.run(t, "delete", "accounts", "--all", "-A")
		k.run(t, "delete", "sp", "--all", "-A")
	})
	cleanAudit(t, k)
}
