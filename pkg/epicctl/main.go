// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// Exit codes.
const (
	// ExitOK indicates success, or that everything is healthy.
	ExitOK = 0
	// ExitFailure indicates a failure, or that something is not healthy.
	ExitFailure = 1
	// ExitUsage indicates an invalid command line. Nothing was done.
	ExitUsage = 2
)

const (
	program = "epicctl"
	// pluginName is the binary's name as a plugin of kubectl, and completionName the name
	// under which kubectl requests completions from a plugin.
	pluginName     = "kubectl-epic"
	completionName = "kubectl_complete-epic"
)

// Main runs the program with the process's arguments, including its name, and returns its
// exit code.
func Main(ctx context.Context, args []string, streams genericclioptions.IOStreams) int {
	name := program
	if len(args) > 0 {
		name = strings.TrimSuffix(filepath.Base(args[0]), ".exe")
		args = args[1:]
	}
	if name == completionName {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	return execute(ctx, NewCommand(streams), name, args, streams) //nolint:contextcheck // commands get it from cobra
}

func execute(ctx context.Context, root *cobra.Command, name string, args []string, streams genericclioptions.IOStreams) int {
	if strings.HasPrefix(name, pluginName) || name == completionName {
		// Show the command that the user typed in help texts and errors.
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl epic"}
	}
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	err := root.ExecuteContext(ctx)
	var found *unhealthyError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &found):
		// The report that was printed is sufficient.
		return ExitFailure
	}
	fmt.Fprintf(streams.ErrOut, "error: %v\n", err)
	if isUsage(err) {
		return ExitUsage
	}
	return ExitFailure
}

// NewCommand returns the whole command line.
func NewCommand(streams genericclioptions.IOStreams) *cobra.Command {
	return newRoot(newTool(streams))
}

func newRoot(t *tool) *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "Manage EPIC's accounts, and report problems",
		Long: "Manage EPIC's accounts, and report problems.\n\n" +
			"It does what kubectl could do with the same permissions and uses the same kubeconfig and\n" +
			"flags. It is also the kubectl plugin \"epic\".",
		Example: "  # Check the installation\n" +
			"  epicctl status\n\n" +
			"  # The first tenant\n" +
			"  epicctl create account acme --admin-user jane@acme.example",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; %q lists the commands", args[0], c.CommandPath()+" --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	t.flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		group("create", "Create an account, a kubeconfig for one, a service group, or addresses",
			newCreateAccount(t), newCreateGroup(t), newCreateKubeconfig(t), newCreatePrefix(t)),
		group("delete", "Delete an account", newDeleteAccount(t)),
		group("get", "List accounts with their usage", newGetAccounts(t)),
		group("describe", "Show the details of an account", newDescribeAccount(t)),
		newAudit(t),
		newConfig(t),
		newConnect(t),
		newDashboard(t),
		newDisconnect(t),
		newStatus(t),
		newVersion(t),
	)
	prepare(root)
	completeFlags(t, root)
	return root
}

// group returns a command that only contains others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name())
	}
	out := &cobra.Command{
		Use:   name,
		Short: short,
		Args: func(c *cobra.Command, args []string) error {
			last := len(names) - 1
			way := "it takes " + names[last]
			if last > 0 {
				way = fmt.Sprintf("it accepts %s or %s", strings.Join(names[:last], ", "), names[last])
			}
			if len(args) > 0 {
				return usagef("%q does not support %q: %s", c.CommandPath(), args[0], way)
			}
			return usagef("%q requires a resource: %s", c.CommandPath(), way)
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	out.AddCommand(commands...)
	return out
}

// prepare sets properties that all commands share.
func prepare(c *cobra.Command) {
	c.SilenceErrors = true
	c.SilenceUsage = true
	c.DisableFlagsInUseLine = true
	c.DisableAutoGenTag = true
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; %q lists the flags", err, c.CommandPath()+" --help")
	})
	for _, sub := range c.Commands() {
		prepare(sub)
	}
}

// exactly requires the named arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("%q takes no arguments, but got %q", c.CommandPath(), args[0])
		}
		return usagef("%q takes %s, but got %d arguments: write %s", c.CommandPath(), strings.Join(names, " and "), len(args), c.UseLine())
	}
}
