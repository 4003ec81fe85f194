// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// wellReasons are the reasons of conditions that are met, or that nobody has to do
// anything about.
var wellReasons = map[string]bool{
	"Ready": true, "Assigned": true, "NotNeeded": true, "Up": true, "Resolved": true, "Usable": true, "AllReady": true, "Available": true,
	"Accepted": true, "Referenced": true, "Known": true, "Programmed": true,
}

// Every reason that a program of EPIC gives has a fix.
func TestEveryReasonHasAFix(t *testing.T) {
	found := 0
	for _, file := range []string{
		"../controller/reasons.go", "../endpoints/problem.go", "../operator/report/doc.go", "../operator/events.go", "../operator/deployments/trouble.go",
		"../envoy/translate/problem.go", "../envoy/translate/route.go", "../envoy/translate/validity.go", "../envoy/template/template.go",
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if !strings.HasPrefix(name.Name, "Reason") || i >= len(spec.Values) {
					continue
				}
				literal, ok := spec.Values[i].(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					continue
				}
				reason, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				if fixes[reason] == "" && !wellReasons[reason] {
					t.Errorf("%s: the reason %s has no fix", file, reason)
				}
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("Only %d reasons were found", found)
	}
	for reason, fix := range fixes {
		if sentence(fix) != fix {
			t.Errorf("The fix of %s is no sentence: %s", reason, fix)
		}
	}
}
