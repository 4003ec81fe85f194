// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/apiserver/backup"
)

const restoreLong = `Make a new data directory from the snapshot FILE.

For a server with an embedded etcd, name a new --data-dir and start the server
with it. For an etcd of several members, run this once for each member, with its
--name and the same --initial-cluster and --initial-cluster-token, and start
each member on the directory made for it.

The data's revision is raised and the history before it is gone, so
clients that have seen later revisions list again instead of continuing.

FILE may be - for standard input, to restore in a pod that has no other file.`

func newRestoreCommand() *cobra.Command {
	var (
		dataDir string
		member  backup.Member
	)
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Make a new data directory from a snapshot",
		Long:    restoreLong,
		Example: "  epic-apiserver restore epic.db --data-dir=.epic/restored",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkMember(member); err != nil {
				return err
			}
			file := args[0]
			if file == "-" {
				var err error
				if file, err = spool(c.InOrStdin(), dataDir); err != nil {
					return err
				}
				defer func() { _ = os.Remove(file) }()
			}
			summary, err := backup.Restore(file, dataDir, member)
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
	fs.StringVar(&member.InitialClusterToken, "initial-cluster-token", "epic-restored", "A `TOKEN` that distinguishes this cluster from the former one")
	fs.StringSliceVar(&member.PeerURLs, "initial-advertise-peer-urls", nil, "`URLS` of the member, as in --initial-cluster")
	return cmd
}

// spool keeps what in holds in a file next to the data directory, which is on a
// volume where the rest of the file system is read-only. A snapshot's checksum
// is at its end, so it can't be read as a stream.
func spool(in io.Reader, dataDir string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(dataDir), "snapshot-")
	if err != nil {
		return "", fmt.Errorf("keeping the snapshot of the standard input: %w", err)
	}
	if _, err = io.Copy(f, in); err == nil {
		err = f.Close()
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("keeping the snapshot of the standard input: %w", err)
	}
	return f.Name(), nil
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
