// SPDX-License-Identifier: Apache-2.0

// Package clitest checks command lines in tests.
package clitest

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// CheckHelp runs --help of every command of a program, and fails the test if a help text
// does not show the command's own usage, an example that begins with the command, and its
// own flags, or if it shows flags that the command does not accept.
func CheckHelp(t *testing.T, root *cobra.Command) {
	t.Helper()
	for _, path := range paths(root, nil) {
		t.Run(strings.Join(append([]string{"help"}, path...), " "), func(t *testing.T) {
			var out bytes.Buffer
			root.SetOut(&out)
			root.SetErr(&out)
			root.SetArgs(append(slices.Clone(path), "--help"))
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			command, _, err := root.Find(path)
			if err != nil {
				t.Fatal(err)
			}
			checkHelp(t, command, out.String())
		})
	}
}

// paths returns the words that lead to each command.
func paths(c *cobra.Command, to []string) [][]string {
	out := [][]string{to}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			out = append(out, paths(sub, append(slices.Clone(to), sub.Name()))...)
		}
	}
	return out
}

func checkHelp(t *testing.T, c *cobra.Command, help string) {
	t.Helper()
	if !strings.Contains(help, "\n  "+c.CommandPath()) {
		t.Errorf("The help does not show how %q is called", c.CommandPath())
	}
	if c.Short == "" || strings.HasSuffix(c.Short, ".") {
		t.Errorf("The short description is %q, want one without a period", c.Short)
	}
	if !hasExample(c) {
		t.Errorf("The command has no example that begins with %q:\n%s", c.CommandPath(), c.Example)
	}
	if c.Example != "" && !strings.Contains(help, c.Example) {
		t.Error("The help does not show the example")
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && !strings.Contains(help, "\n  "+sub.Name()+" ") {
			t.Errorf("The help does not list the command %q", sub.Name())
		}
	}
	taken := map[string]bool{"help": true}
	note := func(f *pflag.Flag) { taken[f.Name] = !f.Hidden }
	c.LocalFlags().VisitAll(note)
	c.InheritedFlags().VisitAll(note)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != f.Shorthand && !slices.Contains(shownFlags(help), f.Name) {
			t.Errorf("The help does not list --%s", f.Name)
		}
	})
	for _, name := range shownFlags(help) {
		if !taken[name] {
			t.Errorf("The help lists --%s, which the command does not take", name)
		}
	}
	if t.Failed() {
		t.Logf("The help is:\n%s", help)
	}
}

// hasExample reports whether a line of the command's example calls it. A command that
// only contains others shows their examples.
func hasExample(c *cobra.Command) bool {
	if len(c.Commands()) > 0 && c.Example == "" && c.Parent() != nil {
		return slices.ContainsFunc(c.Commands(), hasExample)
	}
	for _, line := range strings.Split(c.Example, "\n") {
		if strings.HasPrefix(line, "  "+c.CommandPath()) {
			return true
		}
	}
	return false
}

// flagLine matches the line of a flag, with the optional shorthand.
var flagLine = regexp.MustCompile(`(?m)^  (?:-[a-zA-Z], |    )?--([a-z0-9][a-z0-9-]*)`)

// shownFlags returns the names of the flags with a line in a help text.
func shownFlags(help string) (names []string) {
	for _, match := range flagLine.FindAllStringSubmatch(help, -1) {
		names = append(names, match[1])
	}
	return names
}
