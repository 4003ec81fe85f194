// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apiserver/options"
	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli"
)

const serveLong = `The EPIC API server. It serves epic.acnodal.io/v1 from etcd, as an aggregated API behind
a kube-apiserver, or standalone.`

// serveExample contains %[1]s in place of the command.
const serveExample = `  # Alone, on this machine, with nothing else installed
  %[1]s --standalone --data-dir=DIR --kubeconfig-out=FILE

  # In a cluster, with an etcd of three members
  %[1]s --etcd-servers=https://etcd-0:2379,https://etcd-1:2379,https://etcd-2:2379 \
    --etcd-cafile=FILE --etcd-certfile=FILE --etcd-keyfile=FILE \
    --tls-cert-file=FILE --tls-private-key-file=FILE`

// newServeCommand returns the command that serves, for the root and for "serve".
func newServeCommand(use, command string, o *options.Options) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   "Serve the API (the default)",
		Long:    serveLong,
		Example: fmt.Sprintf(serveExample, command),
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Complete(c.Flags()); err != nil {
				return err
			}
			if err := cli.ApplyLogs(o.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return serve(klog.NewContext(c.Context(), klog.Background()), o)
		},
	}
}

// serve runs a server until the context ends.
func serve(ctx context.Context, o *options.Options) error {
	logger := klog.FromContext(ctx)
	if info, ok := debug.ReadBuildInfo(); ok {
		logger.V(1).Info("Starting", "program", program, "version", buildinfo.Release(), "go", info.GoVersion)
	}
	server, err := o.NewServer(ctx)
	if err != nil {
		return err
	}
	if err := server.Run(ctx); err != nil {
		return err
	}
	logger.Info("Stopped")
	return nil
}
