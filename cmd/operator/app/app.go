// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-operator: it reads flags, connects package
// operator with the implementation that runs Envoys, and serves xDS, metrics and health
// checks.
package app

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-operator"

const long = `The EPIC operator. For every load balancer and gateway proxy, it runs Envoys, configures
them over xDS, and reports their state.

In a cluster, it runs Envoys as Deployments. On a host without Kubernetes, it runs them
as processes, each in a network namespace with its public address. They keep running
when the operator exits, and "epic-operator cleanup" stops them.`

const example = `  # In a cluster; every replica serves xDS, and one leads
  epic-operator --bind-address=:7448

  # On a gateway host without Kubernetes, next to epic-node gateway
  #   --proxies-file=/var/lib/epic-operator/proxies.yaml
  epic-operator --runner=processes --kubeconfig=epic.kubeconfig --node-address=192.0.2.40`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main(newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	o := newOptions()
	p := &cli.Program{
		Name: program, Short: "Run and configure the Envoys of EPIC's proxies", Long: long, Example: example,
		Flags: o.flags(), Logs: o.logs, Validate: o.validate,
		Run: func(ctx context.Context) error { return run(ctx, o) },
	}
	return p.Command(newCleanupCommand(), newValidatorCommand())
}
