// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// FlagGroups holds the grouped flags of commands that have many. Other commands show
// their flags in one list.
type FlagGroups map[*cobra.Command]cliflag.NamedFlagSets

// setHelp makes every command of a tree show its own help. Commands inherit the function
// from the root, so it checks for which command it is called.
func setHelp(root *cobra.Command, groups FlagGroups) {
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		set, grouped := groups[c]
		if !grouped {
			set.FlagSet("flags").AddFlagSet(c.LocalFlags())
		}
		_ = printHelp(c.OutOrStdout(), c, set) // like cobra
	})
}

// printHelp prints a command's description, usage, examples, subcommands, and its flags
// by groups.
func printHelp(w io.Writer, cmd *cobra.Command, groups cliflag.NamedFlagSets) error {
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n", text)
	if cmd.Runnable() {
		fmt.Fprintf(&b, "  %s [flags]\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		width := 0
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				width = max(width, len(sub.Name()))
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s  %s\n", width, sub.Name(), sub.Short)
			}
		}
	}
	for _, name := range groups.Order {
		printFlags(&b, strings.ToUpper(name[:1])+name[1:], groups.FlagSets[name])
	}
	b.WriteString("\nOther:\n  -h, --help  Show this\n")
	_, err := io.WriteString(w, b.String())
	return err
}

const (
	// maxText is the maximum length of a help text on the line of its flag. Longer ones,
	// which Kubernetes' libraries have, are printed below it.
	maxText = 90
	// maxLine is the maximum length of their lines.
	maxLine = 100
	// textIndent exceeds the indent of a flag.
	textIndent = "        "
)

func printFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	shown := func(do func(f *pflag.Flag, text string)) {
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				_, text := pflag.UnquoteUsage(f)
				do(f, text+flagDefault(f))
			}
		})
	}
	width, some := 0, false
	shown(func(f *pflag.Flag, text string) {
		some = true
		if fitsLine(text) {
			width = max(width, len(flagHead(f)))
		}
	})
	if !some {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	shown(func(f *pflag.Flag, text string) {
		if fitsLine(text) {
			fmt.Fprintf(b, "  %-*s  %s\n", width, flagHead(f), text)
			return
		}
		fmt.Fprintf(b, "  %s\n", flagHead(f))
		for _, line := range breakLines(text, maxLine-len(textIndent)) {
			b.WriteString(textIndent + line + "\n")
		}
	})
}

func fitsLine(text string) bool { return len(text) <= maxText && !strings.Contains(text, "\n") }

// breakLines wraps a text between words, so no line is longer than width unless a single
// word is.
func breakLines(text string, width int) (lines []string) {
	for paragraph := range strings.Lines(text) {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len(line)+1+len(word) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// flagHead returns the flag with the name of its value.
func flagHead(f *pflag.Flag) string {
	head := "--" + f.Name
	if f.Shorthand != "" {
		head = "-" + f.Shorthand + ", " + head
		if f.Shorthand == f.Name {
			head = "-" + f.Name
		}
	}
	value, _ := pflag.UnquoteUsage(f)
	if value != "" {
		head += " " + strings.ToUpper(value)
	}
	return head
}

// flagDefault returns a default that is not the zero value of its type.
func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "0", "false", "0s", "<nil>":
		return ""
	}
	return " (" + strings.Trim(f.DefValue, "[]") + ")"
}
