// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apiserver/backup"
	"github.com/acnodal/epic/pkg/apiserver/options"
)

const snapshotLong = `Save all data to FILE, in etcd's snapshot format.

The data comes from the etcd of --etcd-servers, or from the embedded etcd in --data-dir,
whether its server is running or not. FILE is written atomically, and only its owner can
read it, because it contains secrets. An existing FILE is not replaced.`

func newSnapshotCommand() *cobra.Command {
	var (
		dataDir   string
		timeout   time.Duration
		transport storagebackend.TransportConfig
	)
	cmd := &cobra.Command{
		Use:     "snapshot FILE",
		Short:   "Save all data to a file",
		Long:    snapshotLong,
		Example: "  epic-apiserver snapshot epic.db --data-dir=.epic/data",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			cfg, stop, err := source(ctx, dataDir, transport)
			if err != nil {
				return err
			}
			defer stop()
			summary, err := backup.Save(ctx, cfg, args[0])
			if err != nil {
				return err
			}
			return printSummary(c.OutOrStdout(), "Saved "+args[0], summary)
		},
	}
	fs := cmd.Flags()
	addSourceFlags(fs, &dataDir, &transport, &timeout)
	return cmd
}

// addSourceFlags adds the flags that specify the etcd to save.
func addSourceFlags(fs *pflag.FlagSet, dataDir *string, transport *storagebackend.TransportConfig, timeout *time.Duration) {
	fs.StringVar(dataDir, "data-dir", "", "Save the embedded etcd under `DIR`")
	fs.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "Save the etcd at one of these `URLS`, separated by commas")
	fs.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "Verify etcd's certificates with the CA certificates in `FILE`")
	fs.StringVar(&transport.CertFile, "etcd-certfile", "", "Client certificate for etcd, in `FILE`")
	fs.StringVar(&transport.KeyFile, "etcd-keyfile", "", "Private key of --etcd-certfile, in `FILE`")
	fs.DurationVar(timeout, "timeout", 10*time.Minute, "Time after which to fail")
}

// source returns the client configuration of the etcd to save, and a function to call
// afterward.
func source(ctx context.Context, dataDir string, transport storagebackend.TransportConfig) (cfg clientv3.Config, stop func(), err error) {
	stop = func() {}
	switch {
	case dataDir == "" && len(transport.ServerList) == 0:
		return cfg, stop, errors.New("no etcd to save: set --etcd-servers, or --data-dir of an embedded etcd")
	case dataDir != "" && len(transport.ServerList) != 0:
		return cfg, stop, errors.New("--etcd-servers and --data-dir are both set: set one of them")
	case dataDir != "":
		return backup.HoldDataDir(ctx, dataDir)
	}
	if err := options.CheckEtcdFiles(transport); err != nil {
		return cfg, stop, err
	}
	cfg, err = options.EtcdClientConfig(transport)
	return cfg, stop, err
}

func printSummary(w io.Writer, what string, s *backup.Summary) error {
	_, err := fmt.Fprintf(w, "%s\n  revision  %d\n  keys      %d\n  size      %d bytes\n  sha256    %s\n", what, s.Revision, s.Keys, s.Bytes, s.SHA256)
	return err
}

func oneFile(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("specify one snapshot file, not %d arguments; see %q", len(args), c.CommandPath()+" --help")
}
