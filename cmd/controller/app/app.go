// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-controller: it reads flags, runs
// package controller, and serves its metrics and health checks.
package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // so that --logging-format=json works
	"k8s.io/klog/v2"
)

const program = "epic-controller"

const long = `The EPIC controller: for every load balancer and gateway proxy it keeps one tunnel
for each pair of a tenant's node with an endpoint and a gateway node with a proxy,
and says in conditions what is missing.

In a cluster, several replicas stand by for one that leads:
  epic-controller --bind-address=:7445

Beside an API server that runs alone, which has no leases to lead by:
  epic-controller --kubeconfig=FILE --leader-elect=false

Which version this is:
  epic-controller version`

// Main runs the program and returns its exit code. An error is one message on
// stderr: no usage, no stack.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	defer context.AfterFunc(ctx, stop)()
	defer stop()
	root := newCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(klog.NewContext(ctx, klog.Background()))
	logs.FlushLogs()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	o := newOptions()
	gate := featuregate.NewFeatureGate()
	utilruntime.Must(logsapi.AddFeatureGates(gate))
	cmd := &cobra.Command{
		Use:   program,
		Short: "Keep the tunnels of EPIC's proxies",
		Long:  long,
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := logsapi.ValidateAndApply(o.logs, gate); err != nil {
				return fmt.Errorf("--logging-format and the other flags on logs: %w", err)
			}
			if err := o.validate(); err != nil {
				return err
			}
			return run(klog.NewContext(c.Context(), klog.Background()), o)
		},
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
	}
	groups := o.flags()
	for _, name := range groups.Order {
		cmd.Flags().AddFlagSet(groups.FlagSets[name])
	}
	cliflag.SetUsageAndHelpFunc(cmd, groups, 0)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newVersionCommand())
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; %q lists the flags", err, c.CommandPath()+" --help")
	})
	return cmd
}

// noArguments refuses what is neither a flag nor a command.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is no command and no flag; %q lists both", args[0], c.CommandPath()+" --help")
}
