// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const oneMember = "artifacts/install/overlays/one-member"

// Uninstalling EPIC removes everything from a cluster except the tenants' namespaces, and
// EPIC can be installed again: with one member, and then as shipped.
func TestUninstall(t *testing.T) {
	c := epic(t)
	if err := c.cleared(); err != nil {
		t.Fatal(err)
	}
	// Somebody has a token for longer than EPIC is there.
	robot := filepath.Join(t.TempDir(), "robot.kubeconfig")
	for _, args := range [][]string{
		{"create", "account", "left"},
		{"create", "kubeconfig", "left", "--service-account", "robot", "--duration", "24h", "-f", robot},
	} {
		if out, code := c.epicctl(t, "admin", append(args, "--as-group=system:masters")...); code != 0 {
			t.Fatalf("epicctl %v: %s", args, out)
		}
	}
	whoami := func() string {
		out, _ := (&cluster{kubeconfig: robot, kubectl: c.kubectl}).try("", "auth", "whoami", "--output=jsonpath={.status.userInfo.username}")
		return out
	}
	if name := whoami(); name != "system:serviceaccount:epic-left:robot" {
		t.Fatalf("the token is %s's", name)
	}
	t.Cleanup(func() { c.run(t, "delete", "namespace", "epic-left", "--ignore-not-found", "--timeout=1m") })
	if err := c.documented("Uninstall"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() string {
		if out := whoami(); !strings.Contains(out, "Unauthorized") && !strings.Contains(out, "must be logged in") {
			return "the token is still good: " + out
		}
		return ""
	})
	left := c.run(t, "get", "apiservices,clusterroles,clusterrolebindings,namespaces", "-o", "name") + "\n" +
		c.run(t, "get", "rolebindings", "--namespace=kube-system", "-o", "name")
	for line := range strings.Lines(left) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "epic") && line != "namespace/epic" && line != "namespace/epic-left" {
			t.Errorf("%s is left", line)
		}
	}
	// Discovery and the deletion of namespaces wait for nobody.
	c.run(t, "api-resources")
	c.run(t, "delete", "namespace", "epic-left", "--timeout=30s")
	// Once more, there is nothing to do.
	if err := c.documented("Uninstall"); err != nil {
		t.Error(err)
	}

	t.Run("one member", func(t *testing.T) { c.testOneMember(t) })
	if err := c.documented("Uninstall"); err != nil {
		t.Fatal(err)
	}
	if err := c.documented("Install"); err != nil {
		t.Fatal(err)
	}
	c.everything(t, c.account(t, "again"))
	c.audited(t)
}

// One server with its own etcd on a volume: it is away while it restarts, and
// has everything when it is back.
func (c *cluster) testOneMember(t *testing.T) {
	c.run(t, "apply", "-k", oneMember)
	if err := c.certificates(); err != nil {
		t.Fatal(err)
	}
	ready := func() {
		t.Helper()
		c.run(t, "rollout", "status", "--namespace", system, "--timeout=3m", "deployment/epic-apiserver")
		c.served(t)
	}
	ready()
	c.run(t, "apply", "-f", "artifacts/samples/10-epic.yaml")
	ns := c.account(t, "small")
	c.everything(t, ns)
	address := func() string {
		return c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "-o", "jsonpath={.items[*].spec.public-address}")
	}
	before := address()
	pod := c.pods(t, "epic-apiserver")[0].Name
	c.run(t, "delete", "pod", "--namespace", system, pod)
	ready()
	eventually(t, 30*time.Second, func() string {
		if out, err := c.try("", "get", "-n", ns, "loadbalancers.epic.acnodal.io"); err != nil {
			return out
		}
		return ""
	})
	if after := address(); after != before {
		t.Errorf("The addresses were %s and are %s", before, after)
	}
	c.audited(t)
}
