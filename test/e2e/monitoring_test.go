// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// prometheusAddress is where the tests' Prometheus listens.
const prometheusAddress = "127.0.0.1:19090"

// testMonitoring has a real Prometheus scrape every program as artifacts/monitoring
// configures it, and evaluate the rules.
func (s *site) testMonitoring(t *testing.T) {
	s.run(t, "create", "serviceaccount", "-n", "default", "prometheus")
	t.Cleanup(func() { s.run(t, "delete", "serviceaccount", "-n", "default", "prometheus") })
	token := s.run(t, "create", "token", "-n", "default", "prometheus")
	targets := s.targets(t, system, "epic-node")
	s.testMetricsAreGuarded(t, targets["epic-node"][0], token)
	s.run(t, "create", "clusterrolebinding", "prometheus", "--clusterrole=epic-metrics-reader", "--serviceaccount=default:prometheus")
	t.Cleanup(func() { s.run(t, "delete", "clusterrolebinding", "prometheus") })
	s.prometheus(t, targets, token)

	want := map[string]int{"epic-apiserver": 2, "epic-controller": 2, "epic-operator": 2, "epic-node": 1}
	eventually(t, time.Minute, func() string {
		for job, count := range want {
			if got := query(t, fmt.Sprintf(`count(up{job=%q} == 1) or vector(0)`, job)); got != fmt.Sprint(count) {
				return fmt.Sprintf("%s: %s targets are up, want %d", job, got, count)
			}
		}
		return ""
	})
	eventually(t, time.Minute, func() string {
		for _, metric := range ruleMetrics(t) {
			if got := query(t, fmt.Sprintf("count(%s) or vector(0)", metric)); got == "0" {
				return "no program serves " + metric
			}
		}
		return ""
	})
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	eventually(t, time.Minute, func() string {
		ask(t, "/api/v1/rules", &rules)
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Sprintf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
				if r.State == "firing" {
					return r.Name + " fires"
				}
			}
		}
		return ""
	})
}

// target is an address to scrape, with what Prometheus knows of its pod.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targets are what service discovery finds in namespaces: each port of each pod, by program.
func (s *site) targets(t *testing.T, namespaces ...string) map[string][]target {
	t.Helper()
	all := map[string][]target{}
	for _, ns := range namespaces {
		var list corev1.PodList
		if err := json.Unmarshal([]byte(s.run(t, "get", "pods", "-n", ns, "--field-selector=status.phase=Running", "--output=json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, pod := range list.Items {
			name := pod.Labels["app.kubernetes.io/name"]
			for _, c := range pod.Spec.Containers {
				for _, port := range c.Ports {
					all[name] = append(all[name], target{
						[]string{fmt.Sprintf("%s:%d", pod.Status.PodIP, port.ContainerPort)},
						map[string]string{
							"__meta_kubernetes_pod_label_app_kubernetes_io_name": name, "__meta_kubernetes_pod_container_port_name": port.Name,
							"__meta_kubernetes_pod_node_name": pod.Spec.NodeName, "__meta_kubernetes_pod_name": pod.Name,
						},
					})
				}
			}
		}
	}
	return all
}

// testMetricsAreGuarded requests metrics as a user without permission to read them.
func (s *site) testMetricsAreGuarded(t *testing.T, node target, token string) {
	t.Helper()
	for name, tc := range map[string]struct {
		token string
		code  int
	}{"nobody": {"", 401}, "a forged token": {token + "x", 401}, "somebody without the right": {token, 403}} {
		if code, _ := scrape(t, node, tc.token); code != tc.code {
			t.Errorf("%s: %d, want %d", name, code, tc.code)
		}
	}
}

// scrape requests metrics.
func scrape(t *testing.T, from target, token string) (code int, metrics string) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+from.Targets[0]+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// testClientMetrics reads the metrics of a client cluster's programs by the role that its
// manifest has, and not without it.
func (s *site) testClientMetrics(t *testing.T) {
	s.run(t, "create", "serviceaccount", "-n", "default", "prometheus")
	t.Cleanup(func() { s.run(t, "delete", "serviceaccount", "-n", "default", "prometheus") })
	token := s.run(t, "create", "token", "-n", "default", "prometheus")
	targets := s.targets(t, "epic-connector", "epic-client")
	programs := map[string]string{"epic-connector": "leader_election_master_status", "epic-node-client": "epic_node_tunnels"}
	metrics := func(program string) target {
		i := slices.IndexFunc(targets[program], func(at target) bool {
			return at.Labels["__meta_kubernetes_pod_container_port_name"] == "metrics"
		})
		if i < 0 {
			t.Fatalf("%s has no port for metrics: %v", program, targets[program])
		}
		return targets[program][i]
	}
	for program := range programs {
		s.testMetricsAreGuarded(t, metrics(program), token)
	}
	s.run(t, "create", "clusterrolebinding", "prometheus", "--clusterrole=epic-client-metrics-reader", "--serviceaccount=default:prometheus")
	t.Cleanup(func() { s.run(t, "delete", "clusterrolebinding", "prometheus") })
	for program, metric := range programs {
		// A refusal is remembered for ten seconds.
		eventually(t, time.Minute, func() string {
			if code, text := scrape(t, metrics(program), token); code != http.StatusOK || !strings.Contains(text, "\n"+metric) {
				return fmt.Sprintf("%s answers with %d, %.200s", program, code, text)
			}
			return ""
		})
	}
}

// prometheus runs one until the test ends. It runs outside the cluster, so it gets as
// static targets what service discovery would find, and its token in a file.
func (s *site) prometheus(t *testing.T, targets map[string][]target, token string) {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: install Debian's package prometheus")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	monitoring, err := filepath.Abs(filepath.Join(root, "artifacts/monitoring"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(monitoring, "scrape.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config["global"] = map[string]any{"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
	config["rule_files"] = []string{filepath.Join(monitoring, "rules.yaml")}
	for _, job := range config["scrape_configs"].([]any) {
		job := job.(map[string]any)
		delete(job, "kubernetes_sd_configs")
		job["authorization"] = map[string]any{"credentials_file": file}
		job["static_configs"] = slices.Concat(targets["epic-apiserver"], targets["epic-controller"], targets["epic-operator"], targets["epic-node"])
	}
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+prometheusAddress)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("Prometheus:\n%s", text)
		}
		_ = log.Close()
	})
	eventually(t, time.Minute, func() string {
		answer, err := http.Get("http://" + prometheusAddress + "/-/ready")
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return answer.Status
		}
		return ""
	})
}

// ask decodes a response of Prometheus.
func ask(t *testing.T, path string, into any) {
	t.Helper()
	answer, err := http.Get("http://" + prometheusAddress + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
}

// query returns the value of an expression that has one.
func query(t *testing.T, expression string) string {
	t.Helper()
	var result struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	ask(t, "/api/v1/query?query="+url.QueryEscape(expression), &result)
	if len(result.Data.Result) != 1 {
		t.Fatalf("%s has %d values", expression, len(result.Data.Result))
	}
	return fmt.Sprint(result.Data.Result[0].Value[1])
}

// ruleMetrics are EPIC's metrics in the rules that a healthy cluster with an external
// etcd has: those of the connector, of an embedded etcd and of BGP peers, and those that
// appear with their first event are not among them.
func ruleMetrics(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "artifacts/monitoring/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var expressions strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "record:") && !strings.Contains(line, "http") && !strings.Contains(line, "summary:") {
			expressions.WriteString(line)
		}
	}
	metrics := regexp.MustCompile(`\bepic_[a-z0-9_]+`).FindAllString(expressions.String(), -1)
	slices.Sort(metrics)
	return slices.DeleteFunc(slices.Compact(metrics), func(name string) bool {
		return strings.HasPrefix(name, "epic_connector_") || name == "epic_embedded_etcd_full" || name == "epic_node_bgp_session_up" || name == "epic_xds_refusals_total" || name == "epic_xds_set_to_acknowledged_seconds_bucket"
	})
}
