// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

var update = flag.Bool("update", false, "write the table anew; read what changed before you commit it")

const golden = "testdata/roles.txt"

// columns are the verbs of resources, in the order of the table.
var columns = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// TestGolden compares what every shipped role may do with the table that was
// last read and agreed to.
func TestGolden(t *testing.T) {
	roles, _ := read(t, shipped)
	slices.SortFunc(roles, func(a, b role) int { return strings.Compare(a.name+a.file, b.name+b.file) })
	var out bytes.Buffer
	out.WriteString("What each shipped role may do. What is not here, it may not.\n" +
		"go test ./test/rbac -update writes this table.\n")
	for _, r := range roles {
		table(&out, r)
	}
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("The roles are not those of %s. If they are meant to be these, run \"go test ./test/rbac -update\" and read the difference.\n%s", golden, difference(string(want), out.String()))
	}
}

func table(out *bytes.Buffer, r role) {
	fmt.Fprintf(out, "\n%s %s\n", r.kind, r.name)
	for _, key := range slices.Sorted(maps.Keys(r.labels)) {
		if to, ok := strings.CutPrefix(key, "rbac.authorization.k8s.io/aggregate-to-"); ok && r.labels[key] == "true" {
			fmt.Fprintf(out, "also part of %s\n", to)
		}
	}
	verbs := map[string]map[string]bool{}
	for have := range rights(r.rules) {
		key := resourceName(have.resource, have.name)
		if verbs[key] == nil {
			verbs[key] = map[string]bool{}
		}
		verbs[key][have.verb] = true
	}
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "resource\t%s\n", strings.Join(columns, "\t"))
	for _, resource := range slices.Sorted(maps.Keys(verbs)) {
		fmt.Fprint(w, resource)
		for i, verb := range columns {
			mark := "-"
			if verbs[resource][verb] {
				mark = "yes"
			}
			delete(verbs[resource], verb)
			end := ""
			if i == len(columns)-1 {
				end = strings.Join(append([]string{""}, slices.Sorted(maps.Keys(verbs[resource]))...), " ")
			}
			fmt.Fprintf(w, "\t%s%s", mark, end)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// difference shows lines that only one of two texts has.
func difference(want, got string) string {
	var b strings.Builder
	only := func(mark, a, other string) {
		section := ""
		have := map[string]bool{}
		for line := range strings.Lines(other) {
			if strings.HasPrefix(line, "ClusterRole ") || strings.HasPrefix(line, "Role ") {
				section = line
			}
			have[section+strings.Join(strings.Fields(line), " ")] = true
		}
		section = ""
		for line := range strings.Lines(a) {
			if strings.HasPrefix(line, "ClusterRole ") || strings.HasPrefix(line, "Role ") {
				section = line
			}
			if !have[section+strings.Join(strings.Fields(line), " ")] {
				fmt.Fprintf(&b, "%s %s: %s", mark, strings.TrimSpace(section), line)
			}
		}
	}
	only("-", want, got)
	only("+", got, want)
	return b.String()
}
