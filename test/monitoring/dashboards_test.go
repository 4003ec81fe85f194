// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFolder = folder + "/dashboards"

// dashboard is what Grafana imports, as far as the dashboards use it: decoding refuses a
// field that is not here.
type dashboard struct {
	UID                  string      `json:"uid"`
	Title                string      `json:"title"`
	Description          string      `json:"description"`
	Tags                 []string    `json:"tags"`
	SchemaVersion        int         `json:"schemaVersion"`
	Version              int         `json:"version"`
	Editable             bool        `json:"editable"`
	GraphTooltip         int         `json:"graphTooltip"`
	Timezone             string      `json:"timezone"`
	Refresh              string      `json:"refresh"`
	Time                 timeRange   `json:"time"`
	FiscalYearStartMonth int         `json:"fiscalYearStartMonth"`
	Links                []link      `json:"links"`
	Annotations          annotations `json:"annotations"`
	Templating           templating  `json:"templating"`
	Panels               []panel     `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type annotations struct {
	List []any `json:"list"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	URL         string   `json:"url"`
	Tooltip     string   `json:"tooltip"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

type templating struct {
	List []variable `json:"list"`
}

type dataSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type variable struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Label       string          `json:"label"`
	Description string          `json:"description"`
	DataSource  *dataSource     `json:"datasource"`
	Definition  string          `json:"definition"`
	Query       json.RawMessage `json:"query"`
	Refresh     int             `json:"refresh"`
	Sort        int             `json:"sort"`
	Hide        int             `json:"hide"`
	Multi       bool            `json:"multi"`
	IncludeAll  bool            `json:"includeAll"`
	AllValue    string          `json:"allValue"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	DataSource  *dataSource `json:"datasource"`
	Grid        struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Collapsed   bool    `json:"collapsed"`
	Panels      []panel `json:"panels"`
	FieldConfig struct {
		Defaults struct {
			Unit       string         `json:"unit"`
			Min        *float64       `json:"min"`
			Max        *float64       `json:"max"`
			Decimals   *int           `json:"decimals"`
			Thresholds map[string]any `json:"thresholds"`
			Color      map[string]any `json:"color"`
			Custom     map[string]any `json:"custom"`
		} `json:"defaults"`
		Overrides []any `json:"overrides"`
	} `json:"fieldConfig"`
	Options map[string]any `json:"options"`
	Targets []target       `json:"targets"`
}

type target struct {
	RefID        string      `json:"refId"`
	DataSource   *dataSource `json:"datasource"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat"`
	Instant      bool        `json:"instant"`
	Range        bool        `json:"range"`
	Format       string      `json:"format"`
}

// units are those of Grafana that the dashboards use.
var units = []string{"none", "s", "ms", "bytes", "Bps", "reqps", "ops", "pps", "cps", "percentunit"}

// readDashboards returns the dashboards by the names of their files.
func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(dashboardFolder + "/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		var d dashboard
		decoder := json.NewDecoder(strings.NewReader(readFile(t, file)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// TestDashboards checks what Grafana needs, and what readers do: each panel has a title, a
// description and a unit, reads from the data source that the reader chooses, and overlaps
// no other.
func TestDashboards(t *testing.T) {
	uids := map[string]string{}
	for file, d := range readDashboards(t) {
		if other := uids[d.UID]; other != "" || "epic-"+strings.TrimSuffix(file, ".json") != d.UID {
			t.Errorf("%s: the UID is %q, and must be the file's name behind epic-; another with it: %q", file, d.UID, other)
		}
		uids[d.UID] = file
		if d.Title == "" || d.Description == "" || d.SchemaVersion < 36 || d.Version < 1 || !slices.Contains(d.Tags, "epic") {
			t.Errorf("%s: title %q, description %q, schema %d, version %d, tags %v", file, d.Title, d.Description, d.SchemaVersion, d.Version, d.Tags)
		}
		checkVariables(t, file, d.Templating.List)
		ids, titles, row := map[int]bool{}, map[string]bool{}, ""
		for i, p := range d.Panels {
			name := file + ": " + row + ": " + p.Title
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: the ID %d is not its own", name, p.ID)
			}
			ids[p.ID] = true
			for _, o := range d.Panels[:i] {
				if p.Grid.X < o.Grid.X+o.Grid.W && o.Grid.X < p.Grid.X+p.Grid.W && p.Grid.Y < o.Grid.Y+o.Grid.H && o.Grid.Y < p.Grid.Y+p.Grid.H {
					t.Errorf("%s: overlaps %s", name, o.Title)
				}
			}
			if p.Grid.W < 1 || p.Grid.H < 1 || p.Grid.X+p.Grid.W > 24 {
				t.Errorf("%s: its place is %+v", name, p.Grid)
			}
			if p.Type == "row" {
				row = p.Title
				continue
			}
			if titles[row+p.Title] {
				t.Errorf("%s: another panel of the row has this title", name)
			}
			titles[row+p.Title] = true
			checkPanel(t, name, &p)
		}
	}
}

// checkVariables wants the data source to be the first variable, and each variable to be
// used.
func checkVariables(t *testing.T, file string, list []variable) {
	t.Helper()
	text := readFile(t, dashboardFolder+"/"+file)
	for i, v := range list {
		name := file + ": variable " + v.Name
		if v.Label == "" || v.Description == "" {
			t.Errorf("%s: label %q, description %q", name, v.Label, v.Description)
		}
		if (i == 0) != (v.Type == "datasource" && v.Name == "datasource" && string(v.Query) == `"prometheus"`) {
			t.Errorf("%s: the first variable is the data source, and no other", name)
		}
		if i > 0 && (v.Type != "query" || v.DataSource == nil || v.DataSource.UID != "${datasource}" || !strings.Contains(string(v.Query), "label_values(")) {
			t.Errorf("%s: is no query of the data source", name)
		}
		if !regexp.MustCompile(`\$\{?` + v.Name + `\b`).MatchString(text) {
			t.Errorf("%s: no panel uses it", name)
		}
	}
}

func checkPanel(t *testing.T, name string, p *panel) {
	t.Helper()
	if p.Title == "" || p.Description == "" || !strings.HasSuffix(p.Description, ".") {
		t.Errorf("%s: description %q", name, p.Description)
	}
	if !slices.Contains([]string{"timeseries", "stat", "bargauge"}, p.Type) {
		t.Errorf("%s: panels of type %q are not used", name, p.Type)
	}
	if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
		t.Errorf("%s: unit %q is none of %v", name, p.FieldConfig.Defaults.Unit, units)
	}
	fromVariable := func(s *dataSource) bool { return s != nil && *s == dataSource{"prometheus", "${datasource}"} }
	if !fromVariable(p.DataSource) || len(p.Targets) == 0 {
		t.Errorf("%s: data source %v, %d queries", name, p.DataSource, len(p.Targets))
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] || !fromVariable(q.DataSource) || q.Instant == q.Range {
			t.Errorf("%s: query %q: data source %v, instant %t, range %t", name, q.RefID, q.DataSource, q.Instant, q.Range)
		}
		refs[q.RefID] = true
		if (p.Type == "timeseries" || len(p.Targets) > 1) && q.LegendFormat == "" {
			t.Errorf("%s: query %s has no legend", name, q.RefID)
		}
		for _, m := range regexp.MustCompile(`\b(job|instance)\s*(=~?|!=|!~)\s*"([^"]*)"`).FindAllStringSubmatch(q.Expr, -1) {
			if !regexp.MustCompile(`^\$[a-z]+$`).MatchString(m[3]) {
				t.Errorf("%s: %s is not a variable", name, m[0])
			}
		}
		// A rate over a fixed time is empty where scrapes are rarer.
		if regexp.MustCompile(`\[[0-9]`).MatchString(q.Expr) {
			t.Errorf("%s: the time of %q must be $__rate_interval", name, q.Expr)
		}
	}
}

// TestTenantDashboard finds in each query of the tenant's dashboard the account's namespace
// in each selector: no panel shows another account.
func TestTenantDashboard(t *testing.T) {
	d := readDashboards(t)["tenant.json"]
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			for _, s := range selectors(q.Expr) {
				if !slices.Contains(s.matchers, `namespace="$namespace"`) {
					t.Errorf("%s: %s of %q is of all accounts", p.Title, s.metric, q.Expr)
				}
			}
		}
	}
}

// TestDashboardMetrics finds each metric of the dashboards, and each of its labels, in the
// documentation or among the recording rules.
func TestDashboardMetrics(t *testing.T) {
	known := catalog(t)
	check := func(name, expr string) {
		all := selectors(expr)
		if len(all) == 0 {
			t.Errorf("%s: %q has no metric: this test no longer finds them", name, expr)
		}
		for _, s := range all {
			labels, ok := known[s.metric]
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if !ok {
					labels, ok = known[strings.TrimSuffix(s.metric, suffix)]
				}
			}
			if !ok {
				t.Errorf("%s: no page has the metric %s", name, s.metric)
				continue
			}
			for _, label := range slices.Concat(s.labels(), grouping(expr)) {
				if !slices.Contains(labels, label) && !slices.Contains(everywhere, label) {
					t.Errorf("%s: no page has the label %s of the metric %s", name, label, s.metric)
				}
			}
		}
	}
	for file, d := range readDashboards(t) {
		for _, v := range d.Templating.List {
			if m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
				check(file+": variable "+v.Name, "sum by ("+m[2]+") ("+m[1]+")")
			} else if v.Type == "query" {
				t.Errorf("%s: variable %s: %q", file, v.Name, v.Definition)
			}
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				check(file+": "+p.Title, q.Expr)
			}
		}
	}
}

// TestDashboardQueries has promtool parse each query.
func TestDashboardQueries(t *testing.T) {
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, d := range readDashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				rules = append(rules, rule{"query", strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")})
			}
		}
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// TestDashboardObjects compares the ConfigMaps with the dashboards.
func TestDashboardObjects(t *testing.T) {
	for file, object := range map[string]struct {
		namespace  string
		dashboards []string
	}{
		"../../artifacts/install/monitoring/dashboards.yaml":        {"epic-system", []string{"platform", "tenant"}},
		"../../artifacts/install/monitoring-client/dashboards.yaml": {"epic-connector", []string{"client-cluster"}},
	} {
		var want bytes.Buffer
		want.WriteString("# SPDX-License-Identifier: Apache-2.0\n\n# Made of artifacts/monitoring/dashboards by \"go test ./test/monitoring -update\".\n")
		for i, name := range object.dashboards {
			if i > 0 {
				want.WriteString("---\n")
			}
			want.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: epic-dashboard-" + name + "\n  namespace: " + object.namespace +
				"\n  labels:\n    grafana_dashboard: \"1\"\n  annotations:\n    grafana_folder: EPIC\ndata:\n  epic-" + name + ".json: |\n")
			for line := range strings.Lines(readFile(t, dashboardFolder+"/"+name+".json")) {
				want.WriteString("    " + line)
			}
		}
		if *update {
			if err := os.WriteFile(file, want.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if readFile(t, file) != want.String() {
			t.Errorf("%s is not made of the dashboards: run \"go test ./test/monitoring -update\".", file)
		}
	}
}
