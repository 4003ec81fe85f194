// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-apiserver: it reads flags, calls the packages in
// pkg/apiserver, and prints the results.
package app

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/acnodal/epic/pkg/apiserver/options"
	"github.com/acnodal/epic/pkg/cli"
)

const program = "epic-apiserver"

func init() {
	// This replaces the logger set by the storage of the generic server, which logs each
	// failed attempt to reach etcd as a warning.
	grpclog.SetLoggerV2(grpcLogger{})
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx := genericapiserver.SetupSignalContext()
	root, err := newRootCommand()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return 1
	}
	return cli.Run(ctx, root, args, stdout, stderr)
}

// newRootCommand returns the root command. Without a subcommand, it serves.
func newRootCommand() (*cobra.Command, error) {
	o, err := options.NewOptions(compatibility.DefaultComponentGlobalsRegistry)
	if err != nil {
		return nil, err
	}
	// Both commands set the same options, and only one of them runs.
	groups := o.Flags()
	root := newServeCommand(program, program, o)
	serve := newServeCommand("serve", program+" serve", o)
	root.AddCommand(serve, newSnapshotCommand(), newBackupCommand(), newRestoreCommand(), newEtcdMaintenanceCommand(), newNodeKubeconfigCommand(), newSetupCommand(), newVersionCommand())
	cli.Prepare(root, cli.FlagGroups{root: groups, serve: groups})
	return root, nil
}
