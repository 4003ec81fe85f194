// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	l, err := parseList(phrases)
	if err != nil {
		t.Fatal(err)
	}
	l.Exceptions = nil
	for _, r := range l.Rules {
		one := &list{Rules: []*rule{r}}
		if len(one.check("a.md", []passage{{1, r.Bad}})) != 1 {
			t.Errorf("%q does not match its example %q", r.Avoid, r.Bad)
		}
		// The wording in place of one phrase must not be another.
		if found := l.check("a.md", []passage{{1, r.Good}}); len(found) > 0 {
			t.Errorf("the better wording %q of %q has phrases: %v", r.Good, r.Avoid, found)
		}
		// A line break is like a space.
		if len(one.check("a.md", []passage{{1, strings.ReplaceAll(r.Bad, " ", "\n")}})) != 1 {
			t.Errorf("%q does not match its example with line breaks", r.Avoid)
		}
	}
}

func TestParseListRefuses(t *testing.T) {
	const whole = "avoid: x, say: y, why: z, bad: x, good: y"
	for name, text := range map[string]string{
		"a rule without an example":   "rules: [{avoid: x, say: y, why: z}]",
		"an expression":               "rules: [{" + strings.Replace(whole, "avoid: x", `avoid: "("`, 1) + "}]",
		"an unknown field":            "rules: [{" + whole + ", or: q}]",
		"an exception without reason": "exceptions: [{file: a.md, text: x}]",
	} {
		if _, err := parseList([]byte(text)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := parseList([]byte("rules: [{" + whole + "}]")); err != nil {
		t.Error(err)
	}
}

func TestExceptions(t *testing.T) {
	l, err := parseList([]byte(`
rules: [{avoid: anew, say: again, why: archaic, bad: anew, good: again}]
exceptions:
- {file: a.go, text: must start anew, why: clients parse it}
- {file: b.go, text: begins anew, why: clients parse it}
`))
	if err != nil {
		t.Fatal(err)
	}
	text := []passage{{10, "it must\nstart anew, and\nbegins anew"}}
	found := l.check("a.go", text)
	if len(found) != 1 || found[0].line != 12 {
		t.Errorf("a.go: %v, want the second phrase alone", found)
	}
	if found := l.check("c.go", text); len(found) != 2 || found[0].line != 11 {
		t.Errorf("c.go: %v, want both", found)
	}
	if err := l.unused(); err == nil || !strings.Contains(err.Error(), "b.go") || strings.Contains(err.Error(), "a.go") {
		t.Errorf("unused exceptions: %v, want that of b.go", err)
	}
	if got, want := found[0].String(), `a.go:12: "anew": again (archaic)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
