// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-controller: it reads flags, runs
// package controller, and serves its metrics and health checks.
package app

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-controller"

const long = `The EPIC controller. For every load balancer and gateway proxy, it maintains one tunnel
for each pair of a client node with an endpoint and a gateway node with a proxy. It sets
status conditions on every kind, and evicts gateway nodes that stop sending heartbeats.`

const example = `  # In a cluster; of several replicas one leads and the others stand by
  epic-controller --bind-address=:7445

  # Next to a standalone API server, which has no leases for leader election
  epic-controller --kubeconfig=.epic/kubeconfig --leader-elect=false`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main(newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	o := newOptions()
	p := &cli.Program{
		Name: program, Short: "Maintain the tunnels of EPIC's proxies", Long: long, Example: example,
		Flags: o.flags(), Logs: o.logs, Validate: o.validate,
		Run: func(ctx context.Context) error { return run(ctx, o) },
	}
	return p.Command()
}
