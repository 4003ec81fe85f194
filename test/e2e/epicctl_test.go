// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// epicctl runs epicctl as a user and returns its output and exit code.
func (c *cluster) epicctl(t *testing.T, as string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "bin/epicctl"), append([]string{"--kubeconfig", c.kubeconfig, "--as", as}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestEpicctl is the platform team's work, with the rights of epic-platform-admin
// and no others.
func TestEpicctl(t *testing.T) {
	c := epic(t)
	c.platform(t)
	ops := func(code int, args ...string) string {
		t.Helper()
		out, got := c.epicctl(t, "ops", args...)
		if got != code {
			t.Fatalf("epicctl %s exits with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
		}
		return out
	}

	// Nobody has rights yet, and learns which are wanted.
	out := ops(1, "create", "account", "shop")
	wants(t, "create account without rights", out, "you may not", "epic-platform-admin")
	for _, args := range [][]string{{"get", "accounts"}, {"describe", "account", "shop"}, {"audit"}, {"delete", "account", "shop"}} {
		wants(t, "epicctl "+args[0]+" without rights", ops(1, args...), "you may not", "epic-")
	}
	if out, err := c.try("", "get", "namespace", "epic-shop"); err == nil {
		t.Errorf("It made the namespace all the same:\n%s", out)
	}

	// Half the rights make half an account, and say so.
	c.with(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-half}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-half}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-half}
subjects: [{kind: User, name: half}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-ops}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: epic-platform-admin}
subjects: [{kind: User, name: ops}]
`, "apply", "-f", "-")
	t.Cleanup(func() {
		c.run(t, "delete", "clusterrole/e2e-half", "clusterrolebinding/e2e-half", "clusterrolebinding/e2e-ops")
		c.run(t, "delete", "namespace", "epic-shop", "--ignore-not-found", "--timeout=1m")
	})
	for user, verb := range map[string]string{"half": "create", "ops": "delete"} {
		eventually(t, 15*time.Second, func() string {
			out, err := c.try("", "--as", user, "auth", "can-i", verb, "namespaces")
			if err != nil {
				return user + " may not: " + out
			}
			return ""
		})
	}
	out, code := c.epicctl(t, "half", "create", "account", "shop", "--admin-user", "jane")
	if code != 1 {
		t.Errorf("With half the rights, the exit code is %d", code)
	}
	wants(t, "create account with half the rights", out, "namespace/epic-shop created", "you may not", "epic-platform-admin")

	// The same command completes it; once more, it changes nothing.
	create := []string{"create", "account", "shop", "--admin-user", "jane", "--view-group", "auditors", "--proxy-limit", "7"}
	out = ops(0, create...)
	wants(t, "the second attempt", out, "namespace/epic-shop unchanged", "shop created")
	out = ops(0, create...)
	if strings.Contains(out, "created") || strings.Contains(out, "configured") || !strings.Contains(out, "unchanged") {
		t.Errorf("The third time, it says:\n%s", out)
	}
	// It may take a moment until the servers know the namespace and the bindings.
	eventually(t, 15*time.Second, func() string {
		out, err := c.try(serviceGroup("epic-shop")+"---"+loadBalancer("epic-shop", "till"), "apply", "-f", "-")
		if err != nil {
			return out
		}
		return ""
	})
	wants(t, "jane's work", c.run(t, "--as=jane", "get", "-n", "epic-shop", "loadbalancers.epic.acnodal.io"), "till")
	wants(t, "the auditors' view", c.run(t, "--as=joe", "--as-group=auditors", "get", "-n", "epic-shop", "loadbalancers.epic.acnodal.io"), "till")

	// Both see what they may use, and what runs for them.
	for _, who := range [][]string{{"--as=jane"}, {"--as=joe", "--as-group=auditors"}} {
		c.run(t, append(slices.Clone(who), "get", "-n", "epic", "lbservicegroups.epic.acnodal.io")...)
		c.run(t, append(slices.Clone(who), "get", "-n", "epic-shop", "pods,events")...)
	}

	wants(t, "get accounts", ops(0, "get", "accounts"), "shop", "1/7")
	wants(t, "get accounts -o json", ops(0, "get", "accounts", "-o", "json"), `"proxyLimit": 7`)
	wants(t, "describe account", ops(0, "describe", "account", "shop"), "jane", "auditors", "7")
	wants(t, "audit", ops(0, "audit"), "agree")
	wants(t, "status", ops(0, "status"), "etcd", "controller", "claims")

	// Tokens are another role's business.
	kubeconfig := filepath.Join(t.TempDir(), "shop.kubeconfig")
	issue := []string{"create", "kubeconfig", "shop", "--service-account", "deployer", "-f", kubeconfig}
	wants(t, "create kubeconfig without rights", ops(1, issue...), "epic-kubeconfig-issuer", "epic-shop")
	c.run(t, "create", "rolebinding", "-n", "epic-shop", "issuer", "--clusterrole=epic-kubeconfig-issuer", "--user=ops")
	ops(0, append(create, "--service-account", "epic-shop/deployer")...)
	eventually(t, 15*time.Second, func() string {
		if out, code := c.epicctl(t, "ops", issue...); code != 0 {
			return out
		}
		return ""
	})
	info, err := os.Stat(kubeconfig)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("The kubeconfig is %v, %v", info.Mode(), err)
	}
	tenant := &cluster{kubeconfig: kubeconfig, kubectl: c.kubectl}
	eventually(t, 15*time.Second, func() string {
		// Its namespace is the account's.
		if out, err := tenant.try("", "get", "loadbalancers.epic.acnodal.io", "till"); err != nil {
			return out
		}
		return ""
	})
	wants(t, "the tenant abroad", tenant.refused(t, "", "get", "-n", "epic", "epics.epic.acnodal.io"), "forbidden")

	// An account in use does not go by accident.
	wants(t, "delete account in use", ops(1, "delete", "account", "shop"), "--cascade")
	wants(t, "the load balancer", c.run(t, "get", "-n", "epic-shop", "loadbalancers.epic.acnodal.io", "-o", "name"), "till")
	wants(t, "delete account --dry-run", ops(0, "delete", "account", "shop", "--cascade", "--dry-run"), "dry run")
	ops(0, "delete", "account", "shop", "--cascade")
	if out, err := c.try("", "get", "namespace", "epic-shop"); err == nil {
		t.Errorf("The namespace is still there:\n%s", out)
	}
	ops(0, "delete", "account", "shop", "--cascade")
	c.audited(t)
}
