// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/buildinfo"
)

// Prepare sets properties that a program's root command and its subcommands share: errors
// are reported in one line that names the command's help, and each command shows its own
// help. It adds the flags in groups to their commands.
func Prepare(root *cobra.Command, groups FlagGroups) {
	for cmd, set := range groups {
		for _, name := range set.Order {
			cmd.Flags().AddFlagSet(set.FlagSets[name])
		}
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	setHelp(root, groups)
	prepare(root)
}

func prepare(cmd *cobra.Command) {
	cmd.SilenceErrors = true
	cmd.SilenceUsage = true
	cmd.DisableFlagsInUseLine = true
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; %q lists the flags", err, c.CommandPath()+" --help")
	})
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// NoArguments rejects arguments that are neither flags nor commands.
func NoArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is not a command or a flag; %q lists both", args[0], c.CommandPath()+" --help")
}

// NewVersionCommand returns a command that prints the program's release, a line for each
// library, such as "etcd 3.7.3", and the Go toolchain's version.
func NewVersionCommand(program string, libraries ...string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the program's release and the versions of the libraries and the toolchain\nthat it was built with.",
		Example: "  " + program + " version",
		Args:    NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			lines := append([]string{c.Root().Name() + " " + buildinfo.Release()}, libraries...)
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s\n%s %s/%s\n", strings.Join(lines, "\n"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
