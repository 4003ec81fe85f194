// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// platform makes what all accounts need: addresses. The EPIC object is there from
// the installation.
func (c *cluster) platform(t *testing.T) {
	t.Helper()
	c.with(t, `
apiVersion: epic.acnodal.io/v1
kind: ServicePrefix
metadata: {namespace: epic, name: e2e}
spec:
  public-pool: {pool: 10.200.0.2-10.200.255.250, subnet: 10.200.0.0/16, aggregation: default}
`, "apply", "-f", "-")
}

// account makes a tenant's namespace with its account and a group. After the test
// it goes, while the next ones run.
func (c *cluster) account(t *testing.T, name string) (namespace string) {
	t.Helper()
	c.platform(t)
	namespace = "epic-" + name
	// That of an earlier test may be on its way out.
	if phase, err := c.try("", "get", "namespace", namespace, "--output=jsonpath={.status.phase}"); err == nil && strings.TrimSpace(phase) == "Terminating" {
		c.run(t, "wait", "--for=delete", "namespace/"+namespace, "--timeout=5m")
	}
	c.with(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %s}
`, namespace), "apply", "-f", "-")
	t.Cleanup(func() {
		c.run(t, "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
		c.leaving = append(c.leaving, "namespace/"+namespace)
	})
	manifest := fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: Account
metadata: {namespace: %[1]s, name: %[2]s}
spec: {proxyLimit: 1000}
---`, namespace, name) + serviceGroup(namespace)
	// A namespace that was just made may not be known to every server yet.
	eventually(t, 10*time.Second, func() string {
		out, err := c.try(manifest, "apply", "-f", "-")
		if err != nil {
			return out
		}
		return ""
	})
	return namespace
}

// cleared waits until the namespaces of tests that ended are gone.
func (c *cluster) cleared() error {
	if len(c.leaving) == 0 {
		return nil
	}
	out, err := c.try("", append([]string{"wait", "--for=delete", "--timeout=2m"}, c.leaving...)...)
	c.leaving = nil
	if err != nil {
		return fmt.Errorf("tenants' namespaces do not go: %w\n%s", err, out)
	}
	return nil
}

func serviceGroup(namespace string) string {
	return fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata:
  namespace: %s
  name: web
  labels: {epic.acnodal.io/owning-serviceprefix: e2e}
spec: {can-be-shared: true, envoy-replica-count: 1}
`, namespace)
}

func loadBalancer(namespace, name string, extra ...string) string {
	return fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: LoadBalancer
metadata: {namespace: %s, name: %s}
spec:
  service-group: web
  public-ports: [{port: 8888, protocol: TCP, targetPort: 8080, nodePort: 30390}]
%s`, namespace, name, strings.Join(extra, "\n"))
}
