// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKubectl is a day's work with kubectl, through the aggregator.
func TestKubectl(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "kubectl")
	dir := t.TempDir()
	file := filepath.Join(dir, "lb.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	wants(t, "api-resources", c.run(t, "api-resources", "--api-group=epic.acnodal.io"), "loadbalancers", "gwendpointslices", "accounts")
	wants(t, "explain", c.run(t, "explain", "loadbalancers.epic.acnodal.io.spec.public-ports"), "FIELDS:", "targetPort")
	wants(t, "explain --recursive", c.run(t, "explain", "--recursive", "loadbalancers.epic.acnodal.io"), "gue-tunnel-endpoints", "public-address")

	write(loadBalancer(ns, "one"))
	wants(t, "diff of a new object", c.refused(t, "", "diff", "-f", file), "+  name: one")
	wants(t, "apply", c.run(t, "apply", "-f", file), "created")
	wants(t, "apply again", c.run(t, "apply", "-f", file), "unchanged")
	c.run(t, "diff", "-f", file)
	wants(t, "get", c.run(t, "get", "loadbalancers.epic.acnodal.io", "-n", ns, "-o", "wide"), "one", "10.200.")
	wants(t, "get by a field", c.run(t, "get", "loadbalancers.epic.acnodal.io", "-A", "--field-selector=metadata.name=one"), "one")

	write(loadBalancer(ns, "one", "  display-name: changed"))
	wants(t, "diff", c.refused(t, "", "diff", "-f", file), "+  display-name: changed")
	wants(t, "apply of a change", c.run(t, "apply", "-f", file), "configured")

	ssa := loadBalancer(ns, "two")
	wants(t, "server-side apply", c.with(t, ssa, "apply", "--server-side", "--field-manager=team", "-f", "-"), "serverside-applied")
	wants(t, "a conflict", c.refused(t, strings.Replace(ssa, "8080", "9090", 1), "apply", "--server-side", "--field-manager=other", "-f", "-"), "conflict", `"team"`)
	wants(t, "managed fields", c.run(t, "get", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "-o", "yaml", "--show-managed-fields"), "manager: team")

	c.run(t, "patch", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "--type=merge", "-p", `{"spec":{"display-name":"merged"}}`)
	c.run(t, "patch", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "--type=json", "-p", `[{"op":"replace","path":"/spec/display-name","value":"json"}]`)
	wants(t, "the patched object", c.run(t, "get", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "-o", "jsonpath={.spec.display-name}"), "json")
	c.run(t, "label", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "team=blue")
	c.run(t, "annotate", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "note=x")
	wants(t, "get by label", c.run(t, "get", "loadbalancers.epic.acnodal.io", "-n", ns, "-l", "team=blue", "-o", "name"), "two")
	wants(t, "describe", c.run(t, "describe", "loadbalancers.epic.acnodal.io", "two", "-n", ns), "Service - Group")

	wants(t, "a mistake", c.refused(t, strings.Replace(ssa, "service-group", "service-gruop", 1), "apply", "-f", "-"), `unknown field "spec.service-gruop"`)
	wants(t, "a dry run", c.with(t, loadBalancer(ns, "three"), "apply", "--dry-run=server", "-f", "-"), "created (server dry run)")

	// wait and watch see what happens in the meantime.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watched, waited := make(chan string, 1), make(chan error, 1)
	go func() {
		out, _ := c.tryContext(ctx, "", "get", "loadbalancers.epic.acnodal.io", "-n", ns, "--watch", "--output-watch-events", "--request-timeout=8s")
		watched <- out
	}()
	go func() {
		_, err := c.tryContext(ctx, "", "wait", "loadbalancers.epic.acnodal.io/two", "-n", ns, "--for=jsonpath={.spec.display-name}=awaited", "--timeout=30s")
		waited <- err
	}()
	time.Sleep(2 * time.Second)
	c.run(t, "patch", "loadbalancers.epic.acnodal.io", "two", "-n", ns, "--type=merge", "-p", `{"spec":{"display-name":"awaited"}}`)
	if err := <-waited; err != nil {
		t.Errorf("kubectl wait: %v", err)
	}
	c.run(t, "delete", "loadbalancers.epic.acnodal.io", "two", "-n", ns)
	c.run(t, "wait", "loadbalancers.epic.acnodal.io/two", "-n", ns, "--for=delete", "--timeout=30s")
	wants(t, "the watch", <-watched, "ADDED", "MODIFIED", "DELETED")

	c.run(t, "delete", "-f", file)
	c.audited(t)
}
