// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-node: it reads flags, opens the kernel's
// and the API's interfaces, and calls package node.
package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	cnicommand "github.com/acnodal/epic/cmd/node/cni"
	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-node"

const long = `EPIC's node program. It carries requests from EPIC's proxies through tunnels to tenants'
pods, and the responses back, with eBPF programs.

It requires root, or the capabilities NET_ADMIN, BPF and PERFMON, and a bpffs. Tunnels
keep working after it exits; "epic-node cleanup" removes them.`

const example = `  # On a gateway node
  epic-node gateway --kubeconfig=FILE --node-address=192.0.2.40

  # On a client node, which may be behind NAT and does not need an open port
  epic-node client --kubeconfig=FILE --namespace=epic-NAME --node-address=192.168.1.16

  # What it does now, and the packets of one tunnel
  epic-node status
  epic-node trace 2`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main(newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     program,
		Short:   "Carry packets between EPIC's proxies and tenants' pods",
		Long:    long,
		Example: example,
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("specify a role: gateway or client; %q lists all commands", c.CommandPath()+" --help")
		},
	}
	root.AddCommand(newGatewayCommand(), newClientCommand(), newCleanupCommand(), newStatusCommand(), newTraceCommand(), cli.NewVersionCommand(program), cnicommand.New())
	cli.Prepare(root, nil)
	return root
}

// logFlags adds the logging flags to a command, which applies them first.
func logFlags(cmd *cobra.Command, run func(context.Context) error) {
	logs := cli.NewLogs()
	logs.AddFlags(cmd.Flags())
	cmd.RunE = logs.Before(run)
}
