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

const restoreLong = `Create a new data directory from the snapshot FILE.

For a server with an embedded etcd, specify a new --data-dir and start the server with
it. For an etcd with several members, run this command once for each member, with the
member's --name and the same --initial-cluster and --initial-cluster-token, and start
each member with its new directory.

The revision of the data is increased and its history is removed, so clients that have
seen later revisions list objects again.

FILE may be - for standard input, to restore in a pod that has no other file.`

func newRestoreCommand() *cobra.Command {
	var (
		dataDir string
		member  backup.Member
	)
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Create a new data directory from a snapshot",
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
	fs.StringVar(&dataDir, "data-dir", "", "Directory `DIR` to create, which must be empty or not exist")
	fs.StringVar(&member.Name, "name", "", "`NAME` of the etcd member to create the directory for. Default: the embedded etcd")
	fs.StringVar(&member.InitialCluster, "initial-cluster", "", "All `MEMBERS`, as NAME=URL,...")
	fs.StringVar(&member.InitialClusterToken, "initial-cluster-token", "epic-restored", "`TOKEN` that distinguishes this cluster from the previous one")
	fs.StringSliceVar(&member.PeerURLs, "initial-advertise-peer-urls", nil, "`URLS` of the member, as in --initial-cluster")
	return cmd
}

// spool copies in to a file next to the data directory, which is on a volume if the rest
// of the file system is read-only. A snapshot's checksum is at its end, so it can't be
// read as a stream.
func spool(in io.Reader, dataDir string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(dataDir), "snapshot-")
	if err != nil {
		return "", fmt.Errorf("store the snapshot from standard input: %w", err)
	}
	if _, err = io.Copy(f, in); err == nil {
		err = f.Close()
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("store the snapshot from standard input: %w", err)
	}
	return f.Name(), nil
}

func checkMember(m backup.Member) error {
	if m.Name == "" {
		if m.InitialCluster != "" || len(m.PeerURLs) > 0 {
			return errors.New("--initial-cluster and --initial-advertise-peer-urls require --name: set it to the member's name")
		}
		return nil
	}
	if m.InitialCluster == "" || len(m.PeerURLs) == 0 {
		return errors.New("--name requires --initial-cluster and --initial-advertise-peer-urls: set both")
	}
	return nil
}
