// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// battlefield makes two tenants who have the same, of whom one attacks the other.
func (c *cluster) battlefield(t *testing.T) *battlefield {
	t.Helper()
	b := &battlefield{cluster: c, own: c.account(t, "mallory"), victim: c.account(t, "victim"), served: c.discover(t)}
	b.account = "mallory"
	nodes := strings.Fields(c.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}"))
	b.node = c.internalIP(t, nodes[0])
	b.service = c.run(t, "get", "service", "-n", "default", "kubernetes", "--output=jsonpath={.spec.clusterIP}")
	b.pod = c.pods(t, "epic-apiserver")[0].Status.PodIP

	// The victim's pool has an address that is not in use.
	c.with(t, `
apiVersion: epic.acnodal.io/v1
kind: ServicePrefix
metadata: {namespace: epic, name: victims}
spec:
  public-pool: {pool: 10.210.0.2-10.210.0.250, subnet: 10.210.0.0/24, aggregation: default}
`, "apply", "-f", "-")
	t.Cleanup(func() {
		// It goes when nothing of the namespace is left.
		c.run(t, "delete", "namespace", b.victim, "--timeout=2m")
		c.run(t, "delete", "serviceprefixes.epic.acnodal.io", "-n", "epic", "victims")
	})
	c.with(t, strings.NewReplacer("name: web", "name: hidden", "owning-serviceprefix: e2e", "owning-serviceprefix: victims").Replace(serviceGroup(b.victim)), "apply", "-f", "-")
	c.with(t, strings.Replace(loadBalancer(b.victim, "secret", "  public-address: 10.200.77.77", "  upstream-clusters: [acnodal-a]"), "name: secret", "name: secret", 1), "apply", "-f", "-")
	for _, namespace := range []string{b.own, b.victim} {
		c.everything(t, namespace)
		// A load balancer whose tunnels end on another client node.
		c.with(t, loadBalancer(namespace, "elsewhere", "  upstream-clusters: [acnodal-a]"), "apply", "-f", "-")
		c.run(t, "patch", "-n", namespace, "loadbalancers.epic.acnodal.io", "elsewhere", "--subresource=status", "--type=merge", "-p",
			`{"status":{"gue-tunnel-endpoints":{"192.168.1.99":{"epic-address":"192.168.1.40"}}}}`)
	}
	// What another gateway node reports.
	c.with(t, "{apiVersion: epic.acnodal.io/v1, kind: GatewayNode, metadata: {namespace: epic, name: 192.168.1.40}}", "apply", "-f", "-")
	t.Cleanup(func() {
		c.run(t, "delete", "gatewaynodes.epic.acnodal.io", "-n", "epic", "192.168.1.40", "--ignore-not-found")
	})
	c.serviceCIDR(t)
	for name, labels := range map[string]map[string]string{
		"local":     {"app.kubernetes.io/part-of": "epic", "app.kubernetes.io/component": "envoy-deployment", "epic.acnodal.io/owning-loadbalancer": "busy"},
		"elsewhere": {"app.kubernetes.io/part-of": "epic", "app.kubernetes.io/component": "envoy-deployment", "epic.acnodal.io/owning-loadbalancer": "busy"},
		"bystander": {"app": "bystander"},
	} {
		on := nodes[0]
		if name == "elsewhere" {
			on = nodes[len(nodes)-1]
		}
		c.with(t, placed(b.victim, name, on, "default", labels), "apply", "-f", "-")
	}
	// The controller has set what it sets.
	b.quiet(t)
	return b
}

// serviceCIDR tells EPIC the cluster's service network, until the test ends.
func (c *cluster) serviceCIDR(t *testing.T) {
	t.Helper()
	before := c.run(t, "get", "epics.epic.acnodal.io", "-n", "epic", "epic", "-o", "jsonpath={.spec.service-cidr}")
	address := c.run(t, "get", "service", "-n", "default", "kubernetes", "--output=jsonpath={.spec.clusterIP}")
	set := func(cidr string) {
		c.run(t, "patch", "epics.epic.acnodal.io", "-n", "epic", "epic", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"service-cidr":%q}}`, cidr))
	}
	// The first address of the service network is the kube-apiserver's.
	set(strings.TrimSuffix(address, ".1") + ".0/16")
	t.Cleanup(func() { set(before) })
}

// placed is a pod that was scheduled and need not run.
func placed(namespace, name, node, serviceAccount string, labels map[string]string) string {
	data, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": labels},
		"spec": map[string]any{
			"nodeName": node, "serviceAccountName": serviceAccount, "terminationGracePeriodSeconds": 0,
			"containers": []any{map[string]any{"name": "idle", "image": "epic-e2e/none:dev", "imagePullPolicy": "Never"}},
		},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// quiet waits until the controllers have nothing more to write.
func (b *battlefield) quiet(t *testing.T) {
	t.Helper()
	var before map[string]string
	eventually(t, bindingDelay, func() string {
		now := b.guarded(t)
		same := len(before) > 0 && fmt.Sprint(now) == fmt.Sprint(before)
		before = now
		if !same {
			return "the objects still change"
		}
		return ""
	})
}

// attackers returns everybody who attacks.
func (b *battlefield) attackers(t *testing.T) []*attacker {
	t.Helper()
	account := func(namespace, name, role string) *attacker {
		return &attacker{config: b.serviceAccount(t, namespace, name, role), user: "system:serviceaccount:" + namespace + ":" + name}
	}
	admin := account(b.own, "mallory", "epic-tenant-admin")
	admin.name, admin.attempts, admin.matrix = "tenant admin", tenantAttempts(), tenantMay(true)
	viewer := account(b.own, "viewer", "epic-tenant-viewer")
	viewer.name, viewer.attempts, viewer.matrix = "tenant viewer", viewerAttempts(), tenantMay(false)
	client := account(b.own, "node.192.168.1.16", "epic-node-client")
	client.name, client.attempts, client.matrix = "client node", clientNodeAttempts(), clientNodeMay

	gateway := b.gatewayNode(t)

	forged := rest.AnonymousClientConfig(b.config(t))
	forged.Host, forged.QPS = "https://127.0.0.1:"+b.forward(t, "service/epic-apiserver", 443), -1
	forged.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	stranger := &attacker{name: "forged front proxy", config: forged, direct: true, attempts: frontProxyAttempts()}

	past := rest.CopyConfig(admin.config)
	past.Host, past.TLSClientConfig = forged.Host, forged.TLSClientConfig
	direct := &attacker{name: "tenant past the kube-apiserver", config: past, user: admin.user, direct: true, attempts: tenantDirectAttempts()}

	b.run(t, "create", "role", "-n", b.own, "impersonator", "--verb=impersonate", "--resource=serviceaccounts")
	b.run(t, "create", "rolebinding", "-n", b.own, "impersonator-impersonates", "--role=impersonator", "--serviceaccount="+b.own+":impersonator")
	impersonator := account(b.own, "impersonator", "epic-tenant-admin")
	impersonator.name, impersonator.attempts = "impersonator", impersonatorAttempts()

	return []*attacker{admin, viewer, client, gateway, stranger, direct, impersonator}
}

// gatewayNode has the credentials of the node program on the first node.
func (b *battlefield) gatewayNode(t *testing.T) *attacker {
	t.Helper()
	// No node has the label of gateway nodes, so the program itself does not run.
	b.run(t, "apply", "-k", "artifacts/install/node")
	t.Cleanup(func() {
		b.run(t, "delete", "-k", "artifacts/install/node", "--ignore-not-found", "--wait=false")
		b.leaving = append(b.leaving, "namespace/epic-node")
	})
	nodes := strings.Fields(b.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}"))
	b.with(t, placed("epic-node", "rogue", nodes[0], "epic-node", nil), "apply", "-f", "-")
	config := rest.AnonymousClientConfig(b.config(t))
	config.QPS = -1
	config.BearerToken = b.run(t, "create", "token", "-n", "epic-node", "epic-node", "--bound-object-kind=Pod", "--bound-object-name=rogue")
	b.tokens = append(b.tokens, config.BearerToken)
	b.ready(t.Context(), t, config, "VICTIM/loadbalancers")
	return &attacker{
		name: "gateway node", config: config, user: "system:serviceaccount:epic-node:epic-node",
		attempts: gatewayNodeAttempts(), matrix: gatewayNodeMay,
	}
}

var reads = []string{"get", "list", "watch"}

// tenantMay is what the roles of tenants grant.
func tenantMay(writes bool) func(right) bool {
	return func(r right) bool {
		read := slices.Contains(reads, r.verb)
		if r.namespace == "EPIC" {
			// The groups that are offered to every account.
			return r.resource == "lbservicegroups" && read
		}
		if r.namespace != "OWN" {
			return false
		}
		own := tenants[r.resource]
		if r.subresource == "status" {
			return r.verb == "get" && (own || r.resource == "accounts" || r.resource == "lbservicegroups")
		}
		if r.subresource != "" {
			return false
		}
		return read && (own || r.resource == "accounts" || r.resource == "lbservicegroups") || own && writes
	}
}

// clientNodeMay is what the role epic-node-client grants.
func clientNodeMay(r right) bool {
	if r.namespace != "OWN" {
		return false
	}
	if r.subresource != "" {
		return r.subresource == "tunnelkeys" && r.verb == "get"
	}
	return slices.Contains(reads, r.verb) && (tenants[r.resource] || r.resource == "accounts")
}

// gatewayNodeMay is what the role epic-node grants. What it may write of these, its
// own attempts are about.
func gatewayNodeMay(r right) bool {
	switch r.subresource {
	case "":
		if r.resource == "gatewaynodes" {
			return r.verb == "get" || r.verb == "create"
		}
		return slices.Contains(reads, r.verb) && r.resource != "lbservicegroups"
	case "tunnelkeys":
		return r.verb == "get"
	case "status":
		return r.resource == "loadbalancers" || r.resource == "gwproxies" || r.resource == "epics" || r.resource == "gatewaynodes"
	}
	return false
}
