// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-node: it reads flags, opens the kernel's
// and the API's interfaces, and calls package node.
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
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // so that --logging-format=json works
	"k8s.io/klog/v2"

	cnicommand "github.com/acnodal/epic/cmd/node/cni"
)

const program = "epic-node"

const long = `The EPIC node program: it carries requests of EPIC's proxies through tunnels to the
tenants' pods, and the answers back, with eBPF programs that it loads and fills.

On a gateway node:
  epic-node gateway --kubeconfig=FILE --node-address=192.0.2.40

On a tenant's node, which may be behind NAT and needs no open port:
  epic-node client --kubeconfig=FILE --namespace=epic-NAME --node-address=192.168.1.16

What it does now, and one tunnel's packets:
  epic-node status
  epic-node trace 2

It needs root, or the capabilities NET_ADMIN, BPF and PERFMON, and a bpffs.
When it ends, tunnels go on; "cleanup" takes everything away.`

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
	root := &cobra.Command{
		Use:   program,
		Short: "Carry packets between EPIC's proxies and tenants' pods",
		Long:  long,
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say which role: gateway or client; %q lists all commands", c.CommandPath()+" --help")
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newGatewayCommand(), newClientCommand(), newCleanupCommand(), newStatusCommand(), newTraceCommand(), newVersionCommand(), cnicommand.New())
	for _, cmd := range append(root.Commands(), root) {
		cmd.SilenceErrors = true
		cmd.SilenceUsage = true
		cmd.DisableFlagsInUseLine = true
		cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
			return fmt.Errorf("%w; %q lists the flags", err, c.CommandPath()+" --help")
		})
	}
	return root
}

// logFlags adds the flags on logs to a command, which applies them first.
func logFlags(cmd *cobra.Command, run func(*cobra.Command) error) {
	o := logsapi.NewLoggingConfiguration()
	gate := featuregate.NewFeatureGate()
	utilruntime.Must(logsapi.AddFeatureGates(gate))
	logsapi.AddFlags(o, cmd.Flags())
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		if err := logsapi.ValidateAndApply(o, gate); err != nil {
			return fmt.Errorf("--logging-format and the other flags on logs: %w", err)
		}
		return run(c)
	}
}

// noArguments refuses what is neither a flag nor a command.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is no command and no flag; %q lists both", args[0], c.CommandPath()+" --help")
}
