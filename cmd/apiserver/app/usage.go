// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// printUsage prints how a command is called, its subcommands and its flags, by
// groups, a line each.
func printUsage(w io.Writer, cmd *cobra.Command, groups cliflag.NamedFlagSets) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s [flags]\n", cmd.CommandPath())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n\nCommands:\n", cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-10s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	for _, name := range groups.Order {
		width := 0
		groups.FlagSets[name].VisitAll(func(f *pflag.Flag) { width = max(width, len(flagHead(f))) })
		fmt.Fprintf(&b, "\n%s:\n", strings.ToUpper(name[:1])+name[1:])
		groups.FlagSets[name].VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				_, text := pflag.UnquoteUsage(f)
				fmt.Fprintf(&b, "  %-*s  %s%s\n", width, flagHead(f), text, flagDefault(f))
			}
		})
	}
	b.WriteString("\nOther:\n  -h, --help  Show this\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// flagHead is the flag with the name of its value.
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

// flagDefault shows a default that is not the empty one of its type.
func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "0", "false", "0s", "<nil>":
		return ""
	}
	return " (" + strings.Trim(f.DefValue, "[]") + ")"
}
