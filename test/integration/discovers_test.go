// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

// TestKubectlDiscovers runs the commands by which people find out what a server has, and
// what of it they can use.
func TestKubectlDiscovers(t *testing.T) {
	t.Parallel()
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")

	version, problems, err := k.try("", "version", "-o", "json")
	if err != nil || problems != "" {
		t.Errorf("version: %v\n%s", err, problems)
	}
	wants(t, "version", version, `"serverVersion"`, `"gitVersion": "v1.`, "+epic-")
	wants(t, "api-versions", k.run(t, "api-versions"), "epic.acnodal.io/v1")
	resources := k.run(t, "api-resources", "--api-group=epic.acnodal.io", "--no-headers", "-o", "name")
	for _, name := range []string{"epics", "serviceprefixes", "accounts", "lbservicegroups", "loadbalancers", "remoteendpoints", "gwproxies", "gwroutes", "gwendpointslices", "gatewaynodes"} {
		wants(t, "api-resources", resources, name+".epic.acnodal.io\n")
		// The types of the Gateway API are found as well as ours.
		out := k.run(t, "explain", name, "--recursive")
		if strings.Contains(out, "<empty>") || !strings.Contains(out, "FIELDS:") {
			t.Errorf("explain %s:\n%s", name, out)
		}
	}
	wants(t, "explain", k.run(t, "explain", "gwroutes.spec.http.rules.filters.requestRedirect.port"), "port")
	wants(t, "describe", k.run(t, "describe", "-n", "epic-one", "lb", "first"), "Service - Group:", "192.0.2.9", "Events:")
	wants(t, "describe", k.run(t, "describe", "-n", "epic", "sp", "pool"), "192.0.2.8-192.0.2.15")

	// Whatever is applied is applied again without a change, in both ways.
	for _, way := range [][]string{{"apply"}, {"apply", "--server-side", "--force-conflicts"}} {
		k.apply(t, tenants, append(way, "-f", "-")...)
		before := k.run(t, "get", "epic-all", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
		k.apply(t, tenants, append(way, "-f", "-")...)
		if after := k.run(t, "get", "epic-all", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}"); after != before {
			t.Errorf("%v again writes: %s, then %s", way, before, after)
		}
		if out, problems, err := k.try(tenants, "diff", "-f", "-"); err != nil || out != "" {
			t.Errorf("diff after %v: %v\n%s%s", way, err, out, problems)
		}
	}
	wants(t, "waiting", k.run(t, "wait", "-n", "epic-one", "lb/first", "--for=jsonpath={.spec.public-address}=192.0.2.9", "--timeout=30s"), "condition met")
	k.run(t, "patch", "-n", "epic-one", "lb", "first", "--type=merge", "-p", `{"spec":{"upstream-clusters":null}}`)
	k.run(t, "delete", "rep,lb", "--all", "-n", "epic-one")
	wants(t, "waiting", k.run(t, "wait", "-n", "epic-one", "lb/first", "--for=delete", "--timeout=30s"))
}
