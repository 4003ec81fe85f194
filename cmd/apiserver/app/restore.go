// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/apiserver/backup"
)

const restoreLong = `Make a new data directory from the snapshot FILE.

For a server with an embedded etcd, name a new --data-dir and start the server
with it. For an etcd of several members, run this once for each member, with its
--name and the same --initial-cluster and --initial-cluster-token, and start
each member on the directory made for it.

The data's revision is raised and the history before it is gone, so that
clients that have seen later revisions list anew instead of going on.`

func newRestoreCommand() *cobra.Command {
	var (
		dataDir string
		member  backup.Member
	)
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a new data directory from a snapshot",
		Long:  restoreLong,
		Args:  oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkMember(member); err != nil {
				return err
			}
			summary, err := backup.Restore(args[0], dataDir, member)
			if err != nil {
				return err
			}
			return printSummary(c.OutOrStdout(), "Restored "+args[0]+" into "+dataDir, summary)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&dataDir, "data-dir", "", "Make the directory `DIR`, which must be empty or missing")
	fs.StringVar(&member.Name, "name", "", "`NAME` of the etcd member to make the directory for; without it, the embedded etcd")
	fs.StringVar(&member.InitialCluster, "initial-cluster", "", "All `MEMBERS`, as NAME=URL,...")
	fs.StringVar(&member.InitialClusterToken, "initial-cluster-token", "epic-restored", "A `TOKEN` that tells this cluster from the one before")
	fs.StringSliceVar(&member.PeerURLs, "initial-advertise-peer-urls", nil, "`URLS` of the member, as in --initial-cluster")
	return cmd
}

func checkMember(m backup.Member) error {
	if m.Name == "" {
		if m.InitialCluster != "" || len(m.PeerURLs) > 0 {
			return errors.New("--initial-cluster and --initial-advertise-peer-urls belong to a member: give its --name too")
		}
		return nil
	}
	if m.InitialCluster == "" || len(m.PeerURLs) == 0 {
		return errors.New("--name makes the directory of a cluster's member: give --initial-cluster and --initial-advertise-peer-urls too")
	}
	return nil
}
