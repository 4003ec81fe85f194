// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
)

// SignalContext returns a context that ends with the first SIGINT or SIGTERM. A second
// signal ends the program immediately.
func SignalContext() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Main runs a program's root command until a signal ends it, and returns the exit code.
func Main(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := SignalContext()
	defer stop()
	return Run(ctx, root, args, stdout, stderr)
}

// Run runs a program's root command and returns the exit code. It prints an error as one
// message on stderr, without usage or stack trace.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(klog.NewContext(ctx, klog.Background()))
	logs.FlushLogs()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
		return 1
	}
	return 0
}
