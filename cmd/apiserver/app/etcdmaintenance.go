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

const etcdMaintenanceLong = `Reclaim space in the etcd of --etcd-servers: compact old revisions, defragment one
member after the other, the leader last, and make a full etcd accept writes again.

Run it if the API refuses writes because etcd's database has reached its quota, after
you have deleted objects or raised the quota, and if the database files are far larger
than the data in them. Specify an endpoint of every member. A member does not answer
requests while it is defragmented, for up to some seconds per GiB. Watches that lag
behind restart. Each turn starts when all members are healthy.

With --min-free, only members whose database file has at least this share of free space
are defragmented, and the history is kept, unless etcd is full. Use it to run the command
on a schedule, as in artifacts/install/etcd-maintenance.

An embedded etcd does not need this command: its server does it when etcd is full.`

func newEtcdMaintenanceCommand() *cobra.Command {
	var (
		timeout   time.Duration
		minFree   float64
		transport storagebackend.TransportConfig
	)
	cmd := &cobra.Command{
		Use:     "etcd-maintenance",
		Short:   "Compact and defragment etcd, and make a full etcd accept writes again",
		Long:    etcdMaintenanceLong,
		Example: "  epic-apiserver etcd-maintenance --etcd-servers=http://127.0.0.1:2379",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			if len(transport.ServerList) == 0 {
				return errors.New("no etcd to maintain: set --etcd-servers to an endpoint of every member")
			}
			if minFree < 0 || minFree >= 1 {
				return fmt.Errorf("--min-free=%g: specify a share from 0 to less than 1, such as 0.5", minFree)
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
					_, _ = fmt.Fprintf(out, "Skipped %s: less than %g %% of its %d bytes are free\n", m.Endpoint, 100*minFree, m.Before)
					return
				}
				_, _ = fmt.Fprintf(out, "Defragmented %s: %d bytes before, %d after\n", m.Endpoint, m.Before, m.After)
			})
			if err != nil {
				return err
			}
			if report.Disarmed {
				_, err = fmt.Fprintln(out, "etcd was full and accepts writes again")
			}
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "Maintain the etcd with members at these `URLS`, separated by commas")
	fs.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "Verify etcd's certificates with the CA certificates in `FILE`")
	fs.StringVar(&transport.CertFile, "etcd-certfile", "", "Client certificate for etcd, in `FILE`")
	fs.StringVar(&transport.KeyFile, "etcd-keyfile", "", "Private key of --etcd-certfile, in `FILE`")
	fs.Float64Var(&minFree, "min-free", 0, "Defragment only members whose database file has at least this `SHARE` of free space, and keep the history, unless etcd is full; 0 for all members, without the history")
	fs.DurationVar(&timeout, "timeout", 10*time.Minute, "Time after which to fail")
	return cmd
}
