// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-controller: it reads flags, runs
// package controller, and serves its metrics and health checks.
package app

import (
	"io"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	baseversion "k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-controller"

const long = `The EPIC controller: for every load balancer and gateway proxy it keeps one tunnel
for each pair of a tenant's node with an endpoint and a gateway node with a proxy,
and says in the conditions of all objects what is missing. It gives up gateway nodes
that are silent for too long.

In a cluster, several replicas stand by for one that leads:
  epic-controller --bind-address=:7445

Beside an API server that runs alone, which has no leases to lead by:
  epic-controller --kubeconfig=FILE --leader-elect=false

Which version this is:
  epic-controller version`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := cli.SignalContext()
	defer stop()
	return cli.Run(ctx, newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use:   program,
		Short: "Keep the tunnels of EPIC's proxies",
		Long:  long,
		Args:  cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.logs.Apply(); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			return run(klog.NewContext(c.Context(), klog.Background()), o)
		},
	}
	groups := o.flags()
	for _, name := range groups.Order {
		cmd.Flags().AddFlagSet(groups.FlagSets[name])
	}
	cliflag.SetUsageAndHelpFunc(cmd, groups, 0)
	cmd.AddCommand(cli.NewVersionCommand("kubernetes " + baseversion.DefaultKubeBinaryVersion))
	cli.Prepare(cmd)
	return cmd
}
