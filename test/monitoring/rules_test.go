// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/test/tools/need"
)

var update = flag.Bool("update", false, "write the PrometheusRule again from the rules")

const (
	folder     = "../../artifacts/monitoring"
	rulesFile  = folder + "/rules.yaml"
	ruleObject = "../../artifacts/install/monitoring/prometheusrule.yaml"
	// clientRuleObject is that of client clusters.
	clientRuleObject = "../../artifacts/install/monitoring-client/prometheusrule.yaml"
	repository       = "https://github.com/acnodal/epic/blob/main/"
)

type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []struct {
			Record      string            `json:"record"`
			Alert       string            `json:"alert"`
			Expr        string            `json:"expr"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readRules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	if err := yaml.Unmarshal([]byte(readFile(t, rulesFile)), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// promtool runs promtool, without which the test is skipped where that is allowed.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.Program(t, "promtool", "prometheus"), args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtool(t *testing.T) {
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
}

// TestEveryAlertIsTested finds each alert in promtool's tests, in which it fires and clears.
func TestEveryAlertIsTested(t *testing.T) {
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Alert string           `json:"alertname"`
				Fired []map[string]any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, folder+"/rules_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires, clears := map[string]bool{}, map[string]bool{}
	for _, one := range tests.Tests {
		for _, a := range one.Alerts {
			fires[a.Alert] = fires[a.Alert] || len(a.Fired) > 0
			clears[a.Alert] = clears[a.Alert] || len(a.Fired) == 0
		}
	}
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" && (!fires[r.Alert] || !clears[r.Alert]) {
				t.Errorf("rules_test.yaml: %s fires: %t, clears: %t", r.Alert, fires[r.Alert], clears[r.Alert])
			}
		}
	}
}

// TestRunbook compares alerts with the sections of the runbook.
func TestRunbook(t *testing.T) {
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (Epic\w+)$`).FindAllStringSubmatch(readFile(t, "../../docs/runbook.md"), -1) {
		sections = append(sections, m[1])
	}
	var alerts []string
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			alerts = append(alerts, r.Alert)
			if want := repository + "docs/runbook.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s: the runbook is at %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: a summary or a description is missing", r.Alert)
			}
			if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			}
		}
	}
	if !slices.Equal(alerts, sections) {
		t.Errorf("docs/runbook.md has the sections\n%v\nfor the alerts\n%v", sections, alerts)
	}
}

// TestRunbookSections finds in each section what the alert means, what it does to whom, how
// to find the cause, and what to do, in this order.
func TestRunbookSections(t *testing.T) {
	parts := []string{"Meaning", "Impact", "Diagnosis", "Fix"}
	for _, section := range strings.Split(readFile(t, "../../docs/runbook.md"), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^\*\*(\w+)\.\*\* (.+)$`).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
			if len(m[2]) < 15 {
				t.Errorf("docs/runbook.md: %s: the part %s has only %q", name, m[1], m[2])
			}
		}
		if !slices.Equal(found, parts) {
			t.Errorf("docs/runbook.md: %s has the parts %v, want %v", name, found, parts)
		}
	}
}

// TestMetricsExist finds each of EPIC's metrics that a rule uses in the documentation,
// which is compared with what the programs serve.
func TestMetricsExist(t *testing.T) {
	var docs strings.Builder
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		docs.WriteString(readFile(t, page))
	}
	metric := regexp.MustCompile(`\bepic_[a-z0-9_]+`)
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			for _, name := range metric.FindAllString(r.Expr, -1) {
				if name := strings.TrimSuffix(name, "_bucket"); !strings.Contains(docs.String(), "`"+name+"`") {
					t.Errorf("%s%s: no program documents the metric %s", r.Alert, r.Record, name)
				}
			}
		}
	}
}

// TestRuleObject compares the PrometheusRules with the rules: the gateway cluster has those
// of its programs, a client cluster those of the connector.
func TestRuleObject(t *testing.T) {
	rules := readFile(t, rulesFile)
	rules = rules[strings.Index(rules, "groups:"):]
	connector := strings.Index(rules, "- name: epic-connector\n")
	if connector < 0 || strings.Contains(rules[connector+1:], "\n- name:") {
		t.Fatal("The connector's group is not the last of the rules")
	}
	for file, object := range map[string]struct{ name, namespace, groups string }{
		ruleObject:       {"epic", "epic-system", strings.TrimSuffix(rules[:connector], "\n")},
		clientRuleObject: {"epic-client", "epic-connector", "groups:\n" + rules[connector:]},
	} {
		var want bytes.Buffer
		want.WriteString("# SPDX-License-Identifier: Apache-2.0\n\n# Made of artifacts/monitoring/rules.yaml by \"go test ./test/monitoring -update\".\n" +
			"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: " + object.name + "\n  namespace: " + object.namespace + "\nspec:\n")
		for line := range strings.Lines(object.groups) {
			if line != "\n" {
				want.WriteString("  ")
			}
			want.WriteString(line)
		}
		if *update {
			if err := os.WriteFile(file, want.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if readFile(t, file) != want.String() {
			t.Errorf("%s is not made of the rules: run \"go test ./test/monitoring -update\".", file)
		}
	}
}
