// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const reference = "docs/reference.md"

// sources returns the text of all Go files of the product, by folder.
func sources(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, top := range []string{"pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "generated") {
				return err
			}
			data, err := os.ReadFile(path)
			out[filepath.Dir(path)] += string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// found returns what an expression finds in all sources, in order.
func found(sources map[string]string, expression string) (out []string) {
	for _, text := range sources {
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
			out = append(out, match[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compare reports what is in one list and not in the other.
func compare(t *testing.T, what string, code, documented []string) {
	t.Helper()
	if len(code) == 0 {
		t.Errorf("There are no %s in the code: this test no longer finds them", what)
	}
	for _, name := range code {
		if !slices.Contains(documented, name) {
			t.Errorf("%s: the code has %s, and no page names it", what, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(code, name) {
			t.Errorf("%s: a page names %s, and the code does not have it", what, name)
		}
	}
}

// firstCells returns the code in the first cells of all tables' rows that matches.
func firstCells(t *testing.T, matching *regexp.Regexp, names ...string) (out []string) {
	t.Helper()
	for _, name := range names {
		for _, line := range strings.Split(read(t, name), "\n") {
			cells := strings.Split(line, "|")
			if len(cells) < 3 {
				continue
			}
			for _, span := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
				if matching.MatchString(span[1]) {
					out = append(out, span[1])
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tableOf returns the cells of the rows of all tables in one section of the reference. The
// cell 0 is what precedes the first bar.
func tableOf(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	_, text, ok := strings.Cut(read(t, reference), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", reference, section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestLabelsAreDocumented(t *testing.T) {
	var code []string
	for _, name := range found(sources(t), `LabelPrefix \+ "([a-z-]+)"`) {
		code = append(code, epic.LabelPrefix+name)
	}
	// The manifests alone use this one.
	const gateway = epic.LabelPrefix + "gateway"
	if !strings.Contains(read(t, "artifacts/install/node/daemonset.yaml"), gateway) {
		t.Errorf("The manifests do not use the label %s", gateway)
	}
	code = append(code, gateway, epic.PartOfLabel, epic.ComponentLabel)
	documented := firstCells(t, regexp.MustCompile(`^[a-z0-9.]+\.io/[a-z-]+[A-Z]*$`), reference)
	for i, name := range documented {
		// What follows a prefix is in capitals.
		documented[i] = strings.TrimRight(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	}
	compare(t, "labels, annotations and finalizers", code, documented)
	text := read(t, reference)
	for _, value := range []string{"`" + epic.EnvoyComponent + "`", "`" + epic.AccountNamespaceComponent + "`", epic.PartOfLabel + ": " + epic.ProductName, epic.ComponentLabel + ": " + epic.EnvoyComponent} {
		if !strings.Contains(text, value) {
			t.Errorf("%s does not have %s", reference, value)
		}
	}
}

var subsystemConstant = regexp.MustCompile(`(?m)^const (\w+) = "(\w+)"$`)

// metrics returns the names of all metrics that the code makes.
func metrics(sources map[string]string) (out []string) {
	full := regexp.MustCompile(`Namespace:\s*(?:epic\.MetricsNamespace|"epic"), Subsystem:\s*("?)(\w+)"?, Name:\s*"(\w+)"`)
	prefix := regexp.MustCompile(`(?m)^const prefix = "(epic_\w+)"$`)
	short := regexp.MustCompile(`(?:newMetric\([^"\n]*|Name:\s*prefix\s*\+\s*|NewDesc\(prefix\s*\+\s*|BuildFQName\(prefix\s*\+\s*)"(\w+)"`)
	counters := regexp.MustCompile(`(?:counters|counterOpts)\("(\w+)", "`)
	for _, text := range sources {
		constants := map[string]string{}
		for _, match := range subsystemConstant.FindAllStringSubmatch(text, -1) {
			constants[match[1]] = match[2]
		}
		for _, match := range full.FindAllStringSubmatch(text, -1) {
			subsystem := match[2]
			if match[1] == "" {
				subsystem = constants[subsystem]
			}
			out = append(out, epic.MetricsNamespace+"_"+subsystem+"_"+match[3])
		}
		for _, match := range counters.FindAllStringSubmatch(text, -1) {
			out = append(out, epic.MetricsNamespace+"_"+constants["subsystem"]+"_"+match[1])
		}
		if before := prefix.FindStringSubmatch(text); before != nil {
			for _, match := range short.FindAllStringSubmatch(text, -1) {
				out = append(out, before[1]+match[1])
			}
		}
	}
	out = append(out, found(sources, `NewDesc\(\s*"(epic_\w+)"`)...)
	// The program in the pods of proxies writes its metrics itself.
	for _, name := range found(sources, `\{"(\w+)", "(?:gauge|counter)", "`) {
		out = append(out, epic.MetricsNamespace+"_proxy_"+name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestMetricsAreDocumented(t *testing.T) {
	documented := firstCells(t, regexp.MustCompile(`^epic_[a-z0-9_]+$`), reference, "docs/dataplane.md", "docs/controller.md", "docs/operator.md", "docs/connector.md")
	// Programs of the data plane have such names too.
	documented = slices.DeleteFunc(documented, func(name string) bool {
		return strings.HasSuffix(name, "cap") || name == "epic_xdp" || name == "epic_client_guard"
	})
	compare(t, "metrics", metrics(sources(t)), documented)
}

// The events in the table are those that the code has constants for.
func TestEventsAreDocumented(t *testing.T) {
	code := found(sources(t), `\bEvent[A-Z]\w+\s+= (?:"|report\.Reason)(\w+)`)
	var documented []string
	for _, row := range tableOf(t, "Events") {
		if len(row) < 6 {
			continue // of another table
		}
		if span := codeSpan.FindAllStringSubmatch(row[1], -1); len(span) == 1 {
			documented = append(documented, span[0][1])
			if kind := strings.TrimSpace(row[2]); kind != "Normal" && kind != "Warning" {
				t.Errorf("The type of the event %s is %q", span[0][1], kind)
			}
		}
	}
	compare(t, "events", code, documented)
}

// The flags in the table are among those that the code defines.
func TestFlagsExist(t *testing.T) {
	defined := found(sources(t), `"([a-z][a-z0-9-]+)"`)
	flags := firstCells(t, regexp.MustCompile(`^--[a-z-]+$`), reference)
	if len(flags) < 20 {
		t.Errorf("There are %d flags in %s: this test no longer finds them", len(flags), reference)
	}
	for _, flag := range flags {
		if !slices.Contains(defined, strings.TrimPrefix(flag, "--")) {
			t.Errorf("%s: no program has the flag %s", reference, flag)
		}
	}
}

// What containers listen on is in the table of ports.
func TestPortsAreDocumented(t *testing.T) {
	text := read(t, reference)
	_, table, _ := strings.Cut(text, "\n## Ports\n")
	table, _, _ = strings.Cut(table, "\n## ")
	port := regexp.MustCompile(`(?:containerPort|hostPort): (\d+)|host: 127\.0\.0\.1, port: (\d+)`)
	n := 0
	err := filepath.WalkDir(filepath.Join(root, "artifacts", "install"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, match := range port.FindAllStringSubmatch(string(data), -1) {
			n++
			if number := match[1] + match[2]; !strings.Contains(table, "| "+number+"/TCP |") {
				t.Errorf("%s: port %s is not in the table of %s", path, number, reference)
			}
		}
		return err
	})
	if err != nil || n < 5 {
		t.Errorf("%d ports, %v", n, err)
	}
	if !strings.Contains(table, "| 6080/UDP |") || epic.DefaultTunnelPort != 6080 {
		t.Errorf("The tunnels' port %d is not in the table", epic.DefaultTunnelPort)
	}
}

// The kinds with their short names are those that the server serves.
func (e *environment) checkKinds(t *testing.T) {
	t.Helper()
	out, err := e.sh(t.Context(), "kubectl get --raw /apis/epic.acnodal.io/v1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var served struct {
		Resources []struct {
			Name, Kind string
			ShortNames []string
		}
	}
	if err := yaml.Unmarshal([]byte(out), &served); err != nil {
		t.Fatal(err)
	}
	var code, documented []string
	for _, r := range served.Resources {
		if !strings.Contains(r.Name, "/") {
			code = append(code, r.Kind+" "+r.Name+" "+strings.Join(r.ShortNames, " "))
		}
	}
	_, table, _ := strings.Cut(read(t, reference), "\n## Kinds\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, line := range strings.Split(table, "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.Contains(cells[2], "`") {
			plain := strings.NewReplacer("`", "", ",", "")
			documented = append(documented, strings.TrimSpace(cells[1])+" "+strings.TrimSpace(plain.Replace(cells[2]))+" "+strings.TrimSpace(plain.Replace(cells[3])))
		}
	}
	compare(t, "kinds", code, documented)
}
