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
start again. A turn begins when all members are healthy.

With --min-free, only members are defragmented whose database file has at least this
share of free space, and history stays, unless etcd is full. So it can run by a
schedule, as in artifacts/install/etcd-maintenance.

An embedded etcd needs none of this: its server does it when it is full.`

func newEtcdMaintenanceCommand() *cobra.Command {
	var (
		timeout   time.Duration
		minFree   float64
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
			if minFree < 0 || minFree >= 1 {
				return fmt.Errorf("--min-free=%g: give a share from 0 to less than 1, such as 0.5", minFree)
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
			report, err := etcdmaintenance.Run(ctx, client, etcdmaintenance.Options{MinFree: minFree}, func(m etcdmaintenance.Member) {
				if m.Skipped {
					_, _ = fmt.Fprintf(out, "Left %s as it is: %d bytes, of which less than %g are free\n", m.Endpoint, m.Before, minFree)
					return
				}
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
	fs.Float64Var(&minFree, "min-free", 0, "Defragment only members whose database file has at least this `SHARE` of free space, and forget no history, unless etcd is full; 0 for all members and all history")
	fs.DurationVar(&timeout, "timeout", 10*time.Minute, "Give up after this long")
	return cmd
}
