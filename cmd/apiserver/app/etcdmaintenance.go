// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apiserver/etcdmaintenance"
	"github.com/acnodal/epic/pkg/apiserver/options"
)

const etcdMaintenanceLong = `Return space to the etcd of --etcd-servers: forget old revisions, defragment one
member after the other, the leader last, and let a full etcd take writes again.

Run it when the API refuses writes since etcd's database has reached its quota, after
objects were deleted or the quota was raised, and when the database files have grown
far beyond what is in use. Name an endpoint of every member. A member answers nothing
while it is defragmented, up to some seconds for each GiB. Watches that lag behind
start again.

An embedded etcd needs none of this: its server does it when it is full.`

func newEtcdMaintenanceCommand() *cobra.Command {
	var (
		timeout   time.Duration
		transport storagebackend.TransportConfig
	)
	cmd := &cobra.Command{
		Use:     "etcd-maintenance",
		Short:   "Compact and defragment etcd, and let a full one take writes again",
		Long:    etcdMaintenanceLong,
		Example: "  epic-apiserver etcd-maintenance --etcd-servers=http://127.0.0.1:2379",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			if len(transport.ServerList) == 0 {
				return errors.New("no etcd to maintain: name an endpoint of every member with --etcd-servers")
			}
			if err := options.CheckEtcdFiles(transport); err != nil {
				return err
			}
			cfg, err := options.EtcdClientConfig(transport)
			if err != nil {
				return err
			}
			client, err := clientv3.New(cfg)
			if err != nil {
				return fmt.Errorf("--etcd-servers: %w", err)
			}
			defer client.Close() //nolint:errcheck // nothing is left to send
			out := c.OutOrStdout()
			report, err := etcdmaintenance.Run(ctx, client, func(m etcdmaintenance.Member) {
				_, _ = fmt.Fprintf(out, "Defragmented %s: %d bytes before, %d after\n", m.Endpoint, m.Before, m.After)
			})
			if err != nil {
				return err
			}
			if report.Disarmed {
				_, err = fmt.Fprintln(out, "etcd was full and takes writes again")
			}
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "Maintain the etcd with members at these `URLS`, separated by commas")
	fs.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "Verify etcd's certificates with the authorities in `FILE`")
	fs.StringVar(&transport.CertFile, "etcd-certfile", "", "Show etcd the client certificate in `FILE`")
	fs.StringVar(&transport.KeyFile, "etcd-keyfile", "", "The key of --etcd-certfile is in `FILE`")
	fs.DurationVar(&timeout, "timeout", 10*time.Minute, "Give up after this long")
	return cmd
}
