// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHelm installs EPIC by its charts with a real Helm: from a cluster without EPIC to the
// first request in five commands, upgraded and rolled back while requests continue, and
// uninstalled. It is a target of its own, because it installs EPIC in another way than all
// other tests.
func TestHelm(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	if err := c.cleared(); err != nil {
		t.Fatal(err)
	}
	nodes := strings.Fields(c.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}"))
	if len(nodes) < 2 {
		t.Fatal("The cluster has one node: the test needs two")
	}
	s := &site{cluster: c, gateway: nodes[0], tenant: nodes[1], namespace: "epic-demo"}
	env := s.helmEnv(t)
	if err := c.documented("Uninstall"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.explainHelm(t)
		}
		s.withoutHelm(t, env)
	})

	begin := time.Now()
	if err := c.documented("With Helm", env...); err != nil {
		t.Fatal(err)
	}
	t.Logf("The five commands took %s", time.Since(begin).Round(time.Second))
	s.run(t, "wait", "--for=condition=Programmed", "--timeout=3m", "-n", "default", "gateways.gateway.networking.k8s.io/shop")
	s.address = s.run(t, "get", "-n", "default", "gateways.gateway.networking.k8s.io", "shop", "--output=jsonpath={.status.addresses[0].value}")
	s.url = "http://" + s.address + "/"
	s.route(t, s.address)
	eventually(t, time.Minute, func() string {
		answer, err := s.get()
		if err != nil {
			return err.Error()
		}
		wants(t, "the answer", answer, "shop-", " "+s.address+":")
		return ""
	})
	t.Logf("The first request was answered %s after the first command", time.Since(begin).Round(time.Second))
	s.testClientMetrics(t)
	s.everything(t, s.account(t, "helm"))
	s.audited(t)

	before := s.helmSecrets(t)
	s.under(t, func() {
		begin := time.Now()
		if err := c.documented("Upgrade with Helm", append(env, "CHANGES=--set controller.replicas=1,apiserver.podAnnotations.round=two,operator.podAnnotations.round=two,node.podAnnotations.round=two")...); err != nil {
			t.Fatal(err)
		}
		t.Logf("The upgrade took %s", time.Since(begin).Round(time.Second))
	})
	if got := s.run(t, "get", "-n", system, "deployments", "epic-controller", "epic-apiserver", "--output=jsonpath={.items[*].spec.replicas} {.items[*].spec.template.metadata.annotations.round}"); got != "1 2 two" {
		t.Errorf("After the upgrade the Deployments are %q", got)
	}
	s.under(t, func() {
		begin := time.Now()
		s.helm(t, env, "rollback", "epic", "1", "--wait", "--timeout", "10m")
		t.Logf("The rollback took %s", time.Since(begin).Round(time.Second))
	})
	if got := s.run(t, "get", "-n", system, "deployments", "epic-controller", "epic-apiserver", "--output=jsonpath={.items[*].spec.replicas} {.items[*].spec.template.metadata.annotations.round}"); strings.TrimSpace(got) != "2 2" {
		t.Errorf("After the rollback the Deployments are %q", got)
	}
	if after := s.helmSecrets(t); after != before {
		t.Errorf("The certificates and keys were\n%s\nand are\n%s", before, after)
	}
	s.audited(t)
}

// helmEnv has the variables that docs/install.md names, with images that the cluster has.
func (s *site) helmEnv(t *testing.T) []string {
	t.Helper()
	s.webImage(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(root, "hack/tools/helm"), "-trimpath", "-o", filepath.Join(root, "bin/helm"), "helm.sh/helm/v4/cmd/helm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sample, err := os.ReadFile(filepath.Join(root, "artifacts/samples/quickstart/shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("registry.k8s.io/e2e-test-images/agnhost:2.53", web, "[netexec, --http-port=8080]", `["-listen=:8080"]`).Replace(string(sample))
	dir := t.TempDir()
	shop, crds := filepath.Join(dir, "shop.yaml"), filepath.Join(dir, "gateway-api.yaml")
	if err := os.WriteFile(shop, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	module, err := exec.CommandContext(t.Context(), "go", "list", "-C", root, "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	built := s.run(t, "kustomize", filepath.Join(strings.TrimSpace(string(module)), "config/crd/experimental"))
	if err := os.WriteFile(crds, []byte(built), 0o600); err != nil {
		t.Fatal(err)
	}
	services := strings.Split(s.run(t, "get", "service", "kubernetes", "-n", "default", "--output=jsonpath={.spec.clusterIP}"), ".")
	home := filepath.Join(dir, "helm")
	return []string{
		"GATEWAYS=" + s.gateway, fmt.Sprintf("SERVICES=%s.%s.0.0/16", services[0], services[1]), "GATEWAY_API=" + crds, "SHOP=" + shop,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
		"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH"),
	}
}

// helm runs Helm.
func (s *site) helm(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "bin/helm"), append(args, "--kubeconfig", s.kubeconfig)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// helmSecrets are the certificates and the keys, which neither an upgrade nor a rollback
// replaces.
func (s *site) helmSecrets(t *testing.T) string {
	t.Helper()
	return s.run(t, "get", "secrets", "-n", system, "epic-ca", "epic-etcd-ca", "epic-apiserver-tls", "epic-etcd-peer-tls", "epic-tunnel-keys",
		"--output=custom-columns=NAME:.metadata.name,UID:.metadata.uid,VERSION:.metadata.resourceVersion")
}

// withoutHelm uninstalls the charts as it is documented, checks what is left, and installs
// EPIC in the other way again.
func (s *site) withoutHelm(t *testing.T, env []string) {
	t.Helper()
	variable := func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
	if out, err := s.try("", "delete", "-f", variable("SHOP"), "--ignore-not-found", "--timeout=2m"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.try("", "delete", "gwproxies,gwroutes,gwendpointslices", "-n", s.namespace, "--all", "--timeout=1m"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	s.run(t, "delete", "lbservicegroups,accounts", "-n", s.namespace, "--all", "--timeout=1m")
	for _, step := range []string{"Uninstall with Helm", "Remove client nodes", "Remove gateway nodes"} {
		if err := s.documented(step, env...); err != nil {
			t.Errorf("%v", err)
		}
	}
	left := s.run(t, "get", "apiservices,clusterroles,clusterrolebindings", "-o", "name") + "\n" +
		s.run(t, "get", "rolebindings", "--namespace=kube-system", "-o", "name")
	for line := range strings.Lines(left) {
		if strings.Contains(line, "epic") {
			t.Errorf("%s is left", strings.TrimSpace(line))
		}
	}
	if got := s.run(t, "get", "secret", "-n", system, "epic-ca", "epic-tunnel-keys", "--output=name"); !strings.Contains(got, "epic-tunnel-keys") {
		t.Errorf("The keys are not kept: %s", got)
	}
	s.run(t, "delete", "namespace", system, "epic-node", "epic-connector", "epic-client", s.namespace, "--ignore-not-found", "--timeout=3m")
	s.run(t, "delete", "-f", variable("GATEWAY_API"), "--ignore-not-found", "--timeout=2m")
	if err := s.documented("Install"); err != nil {
		t.Fatal(err)
	}
}

func (s *site) explainHelm(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "jobs,events", "-n", system},
		{"logs", "-n", system, "-l", "app.kubernetes.io/name=epic-setup", "--tail=40"},
		{"logs", "-n", system, "deployment/epic-apiserver", "--tail=20"},
		{"logs", "-n", "epic-connector", "deployment/epic-connector", "--all-pods", "--prefix", "--tail=40"},
		{"get", "gateways,httproutes", "-A", "-o", "yaml"},
	} {
		out, err := s.try("", args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
