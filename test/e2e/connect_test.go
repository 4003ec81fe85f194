// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a tenant applies in their cluster: nothing in it is EPIC's own.
const shopGateway = `
apiVersion: v1
kind: Namespace
metadata: {name: e2e-shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: e2e-shop, name: till}
spec:
  selector: {matchLabels: {app: till}}
  template:
    metadata: {labels: {app: till}}
    spec:
      nodeSelector: {kubernetes.io/hostname: %s}
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: epic-e2e/web:dev, imagePullPolicy: IfNotPresent, args: ["-listen=:8080"]}
---
apiVersion: v1
kind: Service
metadata: {namespace: e2e-shop, name: till}
spec:
  selector: {app: till}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: e2e-shop, name: shop}
spec:
  gatewayClassName: epic
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: e2e-shop, name: shop}
spec:
  parentRefs: [{name: shop}]
  rules:
  - backendRefs: [{name: till, port: 80}]
`

// testConnected is a tenant's first hour: one manifest, an ordinary Gateway, and a request
// from outside reaches a pod through a tunnel. Nodes with manually created credentials get
// theirs from the connector, while requests continue. Then the platform team disconnects the
// cluster: every credential and every tunnel ends.
func (s *site) testConnected(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-C", root, "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	crds := filepath.Join(strings.TrimSpace(string(out)), "config/crd/experimental")
	s.run(t, "apply", "--server-side", "-k", crds)
	manifest := filepath.Join(t.TempDir(), "e2e.yaml")
	t.Cleanup(func() { s.disconnected(t, crds) })
	admin := func(args ...string) string {
		t.Helper()
		out, code := s.epicctl(t, "admin", append([]string{"--as-group=system:masters"}, args...)...)
		if code != 0 {
			t.Fatalf("epicctl %s exits with %d:\n%s", strings.Join(args, " "), code, out)
		}
		return out
	}
	s.under(t, func() {
		begin := time.Now()
		admin("connect", "--account", "tunnels", "--cluster", "e2e", "--group", "web", "-f", manifest)
		s.run(t, "apply", "-f", manifest)
		s.run(t, "-n", "epic-connector", "rollout", "status", "--timeout=3m", "deployment/epic-connector")
		s.run(t, "-n", "epic-client", "rollout", "status", "--timeout=3m", "daemonset/epic-node-client")
		t.Logf("Connector and nodes were up after %s", time.Since(begin).Round(time.Second))
	})
	node := "node.e2e." + s.internalIP(t, s.tenant)
	eventually(t, time.Minute, func() string {
		subjects := s.run(t, "get", "rolebinding", "-n", s.namespace, "epic-node-client.e2e", "--output=jsonpath={.subjects[*].name}")
		if subjects != node {
			return "the nodes are " + subjects + ", not " + node
		}
		return ""
	})
	wants(t, "the connector's Secrets", s.run(t, "get", "secret", "-n", "epic-connector", "--output=name"), "secret/epic-connector-authority")
	s.testClientMetrics(t)

	s.with(t, fmt.Sprintf(shopGateway, s.tenant), "apply", "-f", "-")
	s.run(t, "wait", "--for=condition=Programmed", "--timeout=3m", "-n", "e2e-shop", "gateways.gateway.networking.k8s.io/shop")
	address := s.run(t, "get", "-n", "e2e-shop", "gateways.gateway.networking.k8s.io", "shop", "--output=jsonpath={.status.addresses[0].value}")
	s.route(t, address)
	former := s.url
	s.url = "http://" + address + "/"
	defer func() { s.url = former }()
	eventually(t, time.Minute, func() string {
		answer, err := s.get()
		if err != nil {
			return err.Error()
		}
		wants(t, "the answer", answer, "till-", " "+address+":")
		return ""
	})
	s.testCertificates(t, address)
	s.testDisconnect(t, node, admin)
}

// tokenOf returns a kubectl that uses a token and nothing else.
func (s *site) tokenOf(t *testing.T, token string) func(args ...string) (string, error) {
	t.Helper()
	config := s.config(t)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	data, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": config.Host, "certificate-authority-data": config.CAData}}},
		"users":    []any{map[string]any{"name": "c", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "c"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), s.kubectl, append([]string{"--kubeconfig", file}, args...)...).CombinedOutput()
		return string(out), err
	}
}

// testDisconnect ends every credential of the cluster at once, and its tunnels soon after.
func (s *site) testDisconnect(t *testing.T, node string, admin func(args ...string) string) {
	as := map[string]func(args ...string) (string, error){}
	for _, account := range []string{"connector.e2e", node} {
		as[account] = s.tokenOf(t, s.run(t, "create", "token", "-n", s.namespace, account))
		if out, err := as[account]("get", "gwproxies", "-n", s.namespace); err != nil {
			t.Fatalf("%s: %v\n%s", account, err, out)
		}
	}
	proxy := s.run(t, "get", "gwproxies", "-n", s.namespace, "-l", "epic.acnodal.io/owning-cluster=e2e", "--output=jsonpath={.items[*].metadata.name}")
	tunnels := func() string {
		return s.run(t, "get", "gwproxies", "-n", s.namespace, proxy, "--output=jsonpath={.status.gue-tunnel-endpoints}")
	}
	if got := tunnels(); !strings.Contains(got, s.internalIP(t, s.tenant)) {
		t.Fatalf("The tunnels of %s are %s", proxy, got)
	}
	before, err := s.get()
	if err != nil {
		t.Fatalf("%s, %v", before, err)
	}
	out := admin("disconnect", "--account", "tunnels", "--cluster", "e2e")
	begin := time.Now()
	wants(t, "epicctl disconnect", out, "rolebinding/epic-node-client.e2e deleted", "rolebinding/epic-connector.e2e deleted", "serviceaccount/connector.e2e deleted", "serviceaccounts of nodes: 1 deleted")
	if !regexp.MustCompile(`gwendpointslices: \d+ deleted`).MatchString(out) {
		t.Errorf("epicctl disconnect deletes no slices:\n%s", out)
	}
	for account, kubectl := range as {
		for _, what := range []string{"gwproxies", "loadbalancers", "gwproxies/" + proxy + "/tunnelkeys"} {
			args := []string{"get", what, "-n", s.namespace}
			if strings.HasSuffix(what, "tunnelkeys") {
				args = []string{"get", "--raw", "/apis/epic.acnodal.io/v1/namespaces/" + s.namespace + "/" + what}
			}
			if out, err := kubectl(args...); err == nil || !strings.Contains(out, "orbidden") && !strings.Contains(out, "nauthorized") {
				t.Errorf("%s after epicctl disconnect: kubectl %s: %v\n%s", account, strings.Join(args, " "), err, out)
			}
		}
	}
	t.Logf("Both credentials were refused %s after epicctl disconnect", time.Since(begin).Round(time.Millisecond))
	eventually(t, 30*time.Second, func() string {
		if answer, err := s.get(); err == nil {
			return "a request still reaches the cluster: " + answer
		}
		return ""
	})
	t.Logf("No request reached the cluster after %s", time.Since(begin).Round(time.Millisecond))
	wants(t, "the gateway's address", s.run(t, "get", "gwproxies", "-n", s.namespace, proxy, "--output=jsonpath={.spec.public-address}"), strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"))
	admin("disconnect", "--account", "tunnels", "--cluster", "e2e", "--purge")
	if out := s.run(t, "get", "gwproxies,gwroutes,gwendpointslices", "-n", s.namespace, "-l", "epic.acnodal.io/owning-cluster=e2e", "--output=name"); out != "" {
		t.Errorf("After --purge there is\n%s", out)
	}
	purged := time.Now()
	eventually(t, time.Minute, func() string {
		// The remaining tunnel belongs to the load balancer that was created manually.
		if gateway := s.status(t, "epic-node", "epic-node"); len(gateway.Tunnels) != 1 {
			return fmt.Sprintf("the gateway node has %d tunnels", len(gateway.Tunnels))
		}
		return ""
	})
	t.Logf("The gateway node had removed its tunnel %s after epicctl disconnect --purge", time.Since(purged).Round(time.Millisecond))
}

// disconnected removes what the tenant applied, except the node program, which is removed
// as documented.
func (s *site) disconnected(t *testing.T, crds string) {
	t.Helper()
	if t.Failed() {
		for _, args := range [][]string{
			{"get", "pods", "-A", "-o", "wide"},
			{"get", "events", "-n", "epic-connector"},
			{"get", "events", "-n", "epic-client"},
			{"logs", "-n", "epic-connector", "deployment/epic-connector", "--all-pods", "--prefix", "--tail=60"},
			{"logs", "-n", "epic-client", "daemonset/epic-node-client", "--tail=40"},
			{"get", "gateways,httproutes", "-A", "-o", "yaml"},
			{"get", "gwproxies,gwroutes,gwendpointslices", "-n", s.namespace, "-o", "yaml"},
		} {
			out, err := s.try("", args...)
			t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// A connector that was disconnected can't release its Gateways, and holds new ones.
	s.run(t, "delete", "namespace", "epic-connector", "--ignore-not-found", "--timeout=2m")
	for _, held := range [][]string{{"-n", "e2e-shop", "gateways.gateway.networking.k8s.io/shop"}, {"gatewayclasses.gateway.networking.k8s.io/epic"}} {
		patch := append([]string{"patch", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`}, held...)
		if out, err := s.try("", patch...); err != nil && !strings.Contains(out, "NotFound") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	s.run(t, "delete", "namespace", "e2e-shop", "--ignore-not-found", "--timeout=2m")
	s.run(t, "delete", "clusterrole/epic-connector-local", "clusterrolebinding/epic-connector-local", "clusterrole/epic-client-metrics-reader", "clusterrolebinding/epic-node-client:auth-delegator", "--ignore-not-found")
	s.run(t, "delete", "-k", crds, "--ignore-not-found", "--timeout=2m")
}
