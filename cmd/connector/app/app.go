// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-connector: it reads flags, runs package
// connector, and serves its metrics and health checks.
package app

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-connector"

const long = `The EPIC connector. It runs in a client cluster and publishes the cluster's Gateways of
the controller epic.acnodal.io/gateway, their routes, and its Services of the class
epic.acnodal.io/lb in EPIC. Their statuses show where they are published and what is
wrong with them.`

const example = `  # In a client cluster, with the kubeconfig of an EPIC account
  epic-connector --epic-kubeconfig=/etc/epic/kubeconfig --cluster=paris --service-group=gateways

  # On a laptop, for a cluster of its own
  epic-connector --kubeconfig=$HOME/.kube/config --epic-kubeconfig=root.kubeconfig --cluster=laptop --leader-elect=false`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main(newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	o := newOptions()
	p := &cli.Program{
		Name: program, Short: "Publish a client cluster's Gateways and Services in EPIC", Long: long, Example: example,
		Flags: o.flags(), Logs: o.logs, Validate: o.validate,
		Run: func(ctx context.Context) error { return run(ctx, o) },
	}
	return p.Command()
}
