// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// selector is a metric of a query with its matchers.
type selector struct {
	metric   string
	matchers []string
}

// labels are those of the matchers.
func (s selector) labels() (out []string) {
	for _, m := range s.matchers {
		out = append(out, regexp.MustCompile(`^\w+`).FindString(m))
	}
	return out
}

var (
	// groupingClause has the labels of an aggregation or of a join.
	groupingClause = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right) ?\(([^()]*)\)`)
	// selectorPattern is a name that is no function, with matchers or without.
	selectorPattern = regexp.MustCompile(`\b([a-zA-Z_][a-zA-Z0-9_:]*)\s*(\{[^}]*\}|\(|)`)
	matcherPattern  = regexp.MustCompile(`\w+\s*(?:=~|!~|!=|=)\s*"[^"]*"`)
	// words of the language are no metrics.
	words = []string{"and", "or", "unless", "bool", "offset", "by", "on", "sum", "max", "min", "count", "topk"}
)

// selectors finds the metrics of a query. Promtool has parsed it, so only names have to be
// told from functions, labels and words of the language.
func selectors(expr string) (out []selector) {
	expr = groupingClause.ReplaceAllString(expr, "")
	expr = regexp.MustCompile(`\[[^]]*\]`).ReplaceAllString(expr, "")
	for _, m := range selectorPattern.FindAllStringSubmatch(expr, -1) {
		if m[2] == "(" || slices.Contains(words, m[1]) {
			continue
		}
		out = append(out, selector{m[1], matcherPattern.FindAllString(m[2], -1)})
	}
	return out
}

// grouping are the labels of a query's aggregations.
func grouping(expr string) (out []string) {
	for _, m := range groupingClause.FindAllStringSubmatch(expr, -1) {
		out = append(out, strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

// everywhere are the labels that scraping adds, and that of histograms.
var everywhere = []string{"job", "instance", "node", "pod", "namespace", "le"}

// catalog returns the labels of each metric that the documentation or a recording rule has.
func catalog(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	metric, code := regexp.MustCompile("^`([a-z][a-zA-Z0-9_]+)`$"), regexp.MustCompile("`([a-z_]+)`")
	for _, page := range []string{"reference", "dataplane", "controller", "operator", "connector", "monitoring"} {
		for line := range strings.Lines(readFile(t, "../../docs/"+page+".md")) {
			cells := strings.Split(line, "|")
			if len(cells) < 4 {
				continue
			}
			m := metric.FindStringSubmatch(strings.TrimSpace(cells[1]))
			if m == nil {
				continue
			}
			labels := []string{}
			for _, span := range code.FindAllStringSubmatch(strings.Join(cells[2:], "|"), -1) {
				labels = append(labels, span[1])
			}
			known[m[1]] = labels
		}
	}
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				known[r.Record] = grouping(r.Expr)
			}
		}
	}
	// Prometheus has one itself.
	known["ALERTS"] = []string{"alertname", "alertstate"}
	return known
}

func TestSelectors(t *testing.T) {
	for expr, want := range map[string][]selector{
		`up`:                                 {{"up", nil}},
		`sum by (a, b) (rate(x_total[5m]))`:  {{"x_total", nil}},
		`sum(a{b="c",d=~"e.+|f"} == bool 0)`: {{"a", []string{`b="c"`, `d=~"e.+|f"`}}},
		`topk(10, max by (n) (rec:orded{i="$node"}) / on (n) sum by (n) (b offset 15m)) or vector(0)`: {{"rec:orded", []string{`i="$node"`}}, {"b", nil}},
	} {
		if got := selectors(expr); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	if got, want := grouping(`sum by (a, b) (c) / on () d`), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
