// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-apiserver: it reads flags, calls the
// packages under pkg/apiserver, and prints what came of it.
package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apiserver/options"
)

const program = "epic-apiserver"

func init() {
	// It replaces the one that the storage of the generic server sets, which
	// logs each failed attempt to reach etcd as a warning.
	grpclog.SetLoggerV2(grpcLogger{})
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// Main runs the program and returns its exit code. An error is one message on
// stderr: no usage, no stack.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx := genericapiserver.SetupSignalContext()
	if err := execute(ctx, args, stdout, stderr); err != nil {
		logs.FlushLogs()
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return 1
	}
	logs.FlushLogs()
	return 0
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root, err := newRootCommand() //nolint:contextcheck // cobra carries the context
	if err != nil {
		return err
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(klog.NewContext(ctx, klog.Background()))
}

// newRootCommand returns the program. Without the name of a command it serves.
func newRootCommand() (*cobra.Command, error) {
	o, err := options.NewOptions(compatibility.DefaultComponentGlobalsRegistry)
	if err != nil {
		return nil, err
	}
	// Both commands set the same options, and only one of them runs.
	groups := o.Flags()
	root := newServeCommand(program, o, groups)
	serve := newServeCommand("serve", o, groups)
	root.AddCommand(serve, newSnapshotCommand(), newRestoreCommand(), newNodeKubeconfigCommand(), newVersionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, cmd := range append(root.Commands(), root) {
		cmd.SilenceErrors = true
		cmd.SilenceUsage = true
		cmd.DisableFlagsInUseLine = true
		cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
			return fmt.Errorf("%w; %q lists the flags", err, c.CommandPath()+" --help")
		})
	}
	return root, nil
}

// gate is the feature gate of the logs' own alpha options.
func gate() featuregate.FeatureGate { return utilfeature.DefaultFeatureGate }
