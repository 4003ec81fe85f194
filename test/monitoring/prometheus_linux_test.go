// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/test/tools/freeport"
)

// Time passes faster in the rules that the test's Prometheus has: a minute is a second. A
// condition has to last for longest at most, and a day without an audit is noDay. A day without
// a snapshot stays one: etcd has the time of the last one. Rules are evaluated, and programs
// scraped, every second. All else is as it ships.
const (
	longest = 10 * time.Second
	noDay   = "> 25"
	// noDayAtLeast is less than that, because audits take some seconds to follow each other.
	noDayAtLeast = 15 * time.Second
)

var (
	minutes = regexp.MustCompile(`(\[|offset )(\d+)m\b`)
	// untouched is a time that the test's Prometheus does not shorten.
	untouched = regexp.MustCompile(`\[\d+[^s\d]|offset \d+[^s\d]|\b\d{5,}\b`)
)

// faster shortens the times of the expression of a rule.
func faster(alert, expr string) (string, error) {
	out := minutes.ReplaceAllString(expr, "${1}${2}s")
	switch alert {
	case "EpicClaimsNotAudited":
		out = strings.Replace(out, "> 86400", noDay, 1)
	case "EpicSnapshotOld":
		return out, nil
	}
	if left := untouched.FindString(out); left != "" {
		return "", fmt.Errorf("%q in %q is none of the times that the test knows how to shorten", left, expr)
	}
	return out, nil
}

// fasterRules shortens the times of the rules that ship.
func fasterRules(shipped []byte) ([]byte, error) {
	var file map[string][]struct {
		Name  string           `json:"name"`
		Rules []map[string]any `json:"rules"`
	}
	if err := yaml.UnmarshalStrict(shipped, &file); err != nil {
		return nil, err
	}
	for _, g := range file["groups"] {
		for _, r := range g.Rules {
			alert, _ := r["alert"].(string)
			text, _ := r["expr"].(string)
			expr, err := faster(alert, text)
			if err != nil {
				return nil, err
			}
			r["expr"] = expr
			if text, ok := r["for"].(string); ok {
				d, err := time.ParseDuration(text)
				if err != nil {
					return nil, err
				}
				r["for"] = min(d/60, longest).String()
			}
		}
	}
	return yaml.Marshal(file)
}

// discovery is what Prometheus knows of the pods. Debian's has no discovery by the Kubernetes API,
// so files tell it the same: the targets of the role pod, with their labels.
type discovery struct {
	mu   sync.Mutex
	pods []podTarget
	jobs []discoveringJob
}

// podTarget is a port of a pod.
type podTarget struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discoveringJob is a scrape job that finds pods in namespaces, or in all.
type discoveringJob struct {
	file       string
	namespaces []string
}

var noName = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// add registers a pod's port with Prometheus.
func (d *discovery) add(p *corev1.Pod, address string) error {
	labels := map[string]string{
		"__meta_kubernetes_namespace": p.Namespace, "__meta_kubernetes_pod_name": p.Name, "__meta_kubernetes_pod_node_name": p.Spec.NodeName,
		"__meta_kubernetes_pod_container_port_name": p.Spec.Containers[0].Ports[0].Name,
	}
	for name, value := range p.Labels {
		labels["__meta_kubernetes_pod_label_"+noName.ReplaceAllString(name, "_")] = value
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pods = append(d.pods, podTarget{[]string{address}, labels})
	return d.write()
}

// remove unregisters a pod from Prometheus.
func (d *discovery) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pods = slices.DeleteFunc(d.pods, func(t podTarget) bool { return t.Labels["__meta_kubernetes_pod_name"] == name })
	return d.write()
}

// write writes the files of the jobs. The lock is held.
func (d *discovery) write() error {
	for _, job := range d.jobs {
		found := []podTarget{}
		for _, t := range d.pods {
			if len(job.namespaces) == 0 || slices.Contains(job.namespaces, t.Labels["__meta_kubernetes_namespace"]) {
				found = append(found, t)
			}
		}
		text, err := json.Marshal(found)
		if err == nil {
			err = privatefile.Write(job.file, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scrapeConfig is the one that ships, with files in place of the Kubernetes API.
func (s *site) scrapeConfig() []byte {
	s.Helper()
	var config map[string]any
	s.must(yaml.Unmarshal([]byte(readFile(s.T, folder+"/scrape.yaml")), &config))
	config["global"] = map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
	config["rule_files"] = []string{s.in("rules.yaml")}
	jobs, _ := config["scrape_configs"].([]any)
	for _, each := range jobs {
		job, _ := each.(map[string]any)
		if _, ok := job["authorization"]; ok {
			job["authorization"] = map[string]any{"credentials_file": s.in("prometheus.token")}
		}
		var found []struct {
			Role       string `json:"role"`
			Namespaces struct {
				Names []string `json:"names"`
			} `json:"namespaces"`
		}
		text, err := yaml.Marshal(job["kubernetes_sd_configs"])
		s.must(err)
		s.must(yaml.UnmarshalStrict(text, &found))
		if len(found) != 1 || found[0].Role != "pod" {
			s.Fatalf("the job %v discovers %s", job["job_name"], text)
		}
		delete(job, "kubernetes_sd_configs")
		file := s.in(fmt.Sprintf("%v.json", job["job_name"]))
		job["file_sd_configs"] = []any{map[string]any{"files": []string{file}}}
		s.found.jobs = append(s.found.jobs, discoveringJob{file, found[0].Namespaces.Names})
	}
	s.must(s.found.write())
	out, err := yaml.Marshal(config)
	s.must(err)
	return out
}

// startPrometheus starts it with the right to read metrics, as docs/monitoring.md describes it.
func (s *site) startPrometheus() {
	s.Helper()
	token := s.token("monitoring", "prometheus", "")
	s.bind("", "epic-metrics-reader", "monitoring", "prometheus")
	s.must(os.WriteFile(s.in("prometheus.token"), []byte(token), 0o600))
	rules, err := fasterRules([]byte(readFile(s.T, rulesFile)))
	s.must(err)
	s.must(os.WriteFile(s.in("rules.yaml"), rules, 0o600))
	s.must(os.WriteFile(s.in("prometheus.yaml"), s.scrapeConfig(), 0o600))
	address := freeport.Address(s)
	s.prometheus = "http://" + address
	path, err := exec.LookPath("prometheus")
	s.must(err)
	s.start("prometheus", path, nil, "--config.file="+s.in("prometheus.yaml"), "--storage.tsdb.path="+s.in("tsdb"), "--web.listen-address="+address)
}

// ask sends a query to Prometheus's API and decodes the data of the response.
func (s *site) ask(path string, query url.Values, data any) error {
	client := &http.Client{Timeout: 10 * time.Second}
	text, err := get(s.Context(), client, s.prometheus+"/api/v1/"+path+"?"+query.Encode())
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), &struct {
		Data any `json:"data"`
	}{data})
}

// series is one that Prometheus returns.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query returns what an expression yields now.
func (s *site) query(expr string) ([]series, error) {
	var data struct {
		Result []series `json:"result"`
	}
	err := s.ask("query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// firing returns the alerts that fire now, with how often each does.
func (s *site) firing() (map[string]int, error) {
	all, err := s.query(`count by (alertname) (ALERTS{alertstate="firing"})`)
	out := map[string]int{}
	for _, one := range all {
		text, _ := one.Value[1].(string)
		out[one.Metric["alertname"]], _ = strconv.Atoi(text)
	}
	return out, err
}

// quiet waits until none of the alerts fires; of all alerts, if none is named.
func (s *site) quiet(what string, alerts ...string) {
	s.Helper()
	s.until(what, func() error {
		now, err := s.firing()
		if err != nil {
			return err
		}
		var still []string
		for name := range now {
			if len(alerts) == 0 || slices.Contains(alerts, name) {
				still = append(still, name)
			}
		}
		if len(still) > 0 {
			return fmt.Errorf("%s fires", strings.Join(still, ", "))
		}
		return nil
	})
}

// allUp waits until Prometheus scrapes every program.
func (s *site) allUp() {
	s.Helper()
	s.until("Prometheus scrapes every program", func() error {
		all, err := s.query("up")
		if err != nil {
			return err
		}
		jobs := map[string]int{}
		for _, one := range all {
			if one.Value[1] != "1" {
				return fmt.Errorf("%v can't be scraped", one.Metric)
			}
			jobs[one.Metric["job"]]++
		}
		for job, want := range map[string]int{
			"epic-apiserver": 2, "epic-controller": 1, "epic-operator": 1, "epic-node": 1, "epic-proxy": 2, "epic-connector": 1, "epic-node-client": 1,
		} {
			if jobs[job] != want {
				err = errors.Join(err, fmt.Errorf("%d of the job %s are scraped, want %d", jobs[job], job, want))
			}
		}
		return err
	})
}
