// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// everything fills an account's namespace with everything that a tenant may have.
func (c *cluster) everything(t *testing.T, ns string) {
	t.Helper()
	c.with(t, loadBalancer(ns, "plain"), "apply", "-f", "-")
	c.with(t, loadBalancer(ns, "busy", "  upstream-clusters: [acnodal-a, acnodal-b]"), "apply", "-f", "-")
	c.with(t, fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: RemoteEndpoint
metadata:
  namespace: %[1]s
  name: endpoint
  labels: {epic.acnodal.io/owning-loadbalancer: busy}
spec: {cluster: acnodal-a, address: 10.1.2.3, node-address: 192.168.1.16, port: {port: 8080, protocol: TCP}}
---
apiVersion: epic.acnodal.io/v1
kind: GWProxy
metadata:
  namespace: %[1]s
  name: proxy
  labels: {epic.acnodal.io/owning-lbservicegroup: web}
---
apiVersion: epic.acnodal.io/v1
kind: GWRoute
metadata: {namespace: %[1]s, name: route}
spec: {http: {parentRefs: [{name: proxy}], rules: [{backendRefs: [{name: slice, port: 8080}]}]}}
---
apiVersion: epic.acnodal.io/v1
kind: GWEndpointSlice
metadata: {namespace: %[1]s, name: slice}
spec: {addressType: IPv4, nodeAddresses: {}, endpoints: [{addresses: [10.1.1.1]}]}
`, ns), "apply", "-f", "-")
	c.run(t, "patch", "-n", ns, "loadbalancers.epic.acnodal.io", "busy", "--subresource=status", "--type=merge", "-p",
		`{"status":{"gue-tunnel-endpoints":{"192.168.1.16":{"epic-address":"192.168.1.40"}}}}`)
}

// TestNamespaceDeletion lets the real namespace controller delete a tenant with
// everything that it has, in whatever order it likes.
func TestNamespaceDeletion(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "leaving")
	c.everything(t, ns)

	// One by one, nothing goes that something depends on.
	wants(t, "deletion of a load balancer in use", c.refused(t, "", "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "busy"), "upstream-clusters")
	c.refused(t, "", "delete", "-n", ns, "lbservicegroups.epic.acnodal.io", "web")
	c.refused(t, "", "delete", "-n", ns, "accounts.epic.acnodal.io", "leaving")

	begin := time.Now()
	c.run(t, "delete", "namespace", ns, "--timeout=1m")
	t.Logf("The namespace was gone after %s", time.Since(begin).Round(time.Millisecond))
	if out := c.run(t, "get", "epic-all", "-A", "--ignore-not-found", "-o", "name"); strings.Contains(out, "leaving") {
		t.Errorf("What is left: %s", out)
	}
	c.audited(t)

	// The same name works again.
	c.everything(t, c.account(t, "leaving"))
}

// TestGarbageCollection lets the real garbage collector follow owner references
// inside the group and across groups.
func TestGarbageCollection(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "garbage")
	gone := func(t *testing.T, resource, name string) {
		t.Helper()
		eventually(t, time.Minute, func() string {
			return c.run(t, "get", "-n", ns, resource, name, "--ignore-not-found", "-o", "name")
		})
	}

	t.Run("remote endpoint of a load balancer", func(t *testing.T) {
		c.everything(t, ns)
		wants(t, "the remote endpoint", c.run(t, "get", "-n", ns, "remoteendpoints.epic.acnodal.io", "endpoint", "-o", "jsonpath={.metadata.ownerReferences}"), "LoadBalancer", "busy")
		c.run(t, "patch", "-n", ns, "loadbalancers.epic.acnodal.io", "busy", "--type=merge", "-p", `{"spec":{"upstream-clusters":[]}}`)
		c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "busy")
		gone(t, "remoteendpoints.epic.acnodal.io", "endpoint")
	})
	t.Run("load balancer of a config map", func(t *testing.T) {
		c.run(t, "create", "-n", ns, "configmap", "owner")
		uid := c.run(t, "get", "-n", ns, "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
		c.with(t, loadBalancer(ns, "owned"), "apply", "-f", "-")
		c.run(t, "patch", "-n", ns, "loadbalancers.epic.acnodal.io", "owned", "--type=merge", "-p",
			`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"`+uid+`"}]}}`)
		c.run(t, "delete", "-n", ns, "configmap", "owner")
		gone(t, "loadbalancers.epic.acnodal.io", "owned")
	})
	t.Run("config map of a load balancer, in the foreground", func(t *testing.T) {
		c.with(t, loadBalancer(ns, "owner"), "apply", "-f", "-")
		uid := c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "owner", "-o", "jsonpath={.metadata.uid}")
		c.with(t, fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: %s
  name: owned
  ownerReferences: [{apiVersion: epic.acnodal.io/v1, kind: LoadBalancer, name: owner, uid: %s, blockOwnerDeletion: true}]
`, ns, uid), "apply", "-f", "-")
		c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "owner", "--cascade=foreground", "--timeout=1m")
		if out := c.run(t, "get", "-n", ns, "configmap", "owned", "--ignore-not-found", "-o", "name"); out != "" {
			t.Errorf("The owner went first: %s", out)
		}
	})
	c.audited(t)
}

// TestResourceQuota holds on EPIC's kinds as on the cluster's own.
func TestResourceQuota(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "quota")
	c.run(t, "create", "quota", "-n", ns, "proxies", "--hard=count/loadbalancers.epic.acnodal.io=2")
	used := func(want string) {
		t.Helper()
		// The controller looks for new kinds every half minute.
		eventually(t, 2*time.Minute, func() string {
			if got := c.run(t, "get", "quota", "-n", ns, "proxies", "-o", `jsonpath={.status.used.count/loadbalancers\.epic\.acnodal\.io}`); got != want {
				return fmt.Sprintf("the quota says that %q are used, not %q", got, want)
			}
			return ""
		})
	}
	used("0")
	c.with(t, loadBalancer(ns, "a"), "apply", "-f", "-")
	c.with(t, loadBalancer(ns, "b"), "apply", "-f", "-")
	used("2")
	wants(t, "one too many", c.refused(t, loadBalancer(ns, "c"), "apply", "-f", "-"), "exceeded quota", "count/loadbalancers.epic.acnodal.io=2")
	// A refused write left nothing behind, and a deletion makes room.
	c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "a")
	eventually(t, 2*time.Minute, func() string {
		out, err := c.try(loadBalancer(ns, "c"), "apply", "-f", "-")
		if err != nil {
			return out
		}
		return ""
	})
	c.audited(t)
}
