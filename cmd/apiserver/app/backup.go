// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apiserver/backup"
	"github.com/acnodal/epic/pkg/apiserver/options"
)

const backupLong = `Save all data to a new file in --backup-dir, and remove the oldest files there. Use this
command in schedules, such as the CronJob of artifacts/install/backup. A server with
--backup-dir saves snapshots itself.

A file gets its final name after its digest and its revision have been verified. Only
then are older files removed, so a failure never deletes a snapshot. The time of the
last snapshot is stored in etcd, and the servers report it as
epic_backup_last_success_timestamp_seconds.`

func newBackupCommand() *cobra.Command {
	var (
		folder    = backup.Folder{Keep: backup.DefaultKeep, Prefix: options.DefaultEtcdPrefix}
		dataDir   string
		timeout   time.Duration
		transport storagebackend.TransportConfig
	)
	cmd := &cobra.Command{
		Use:     "backup",
		Short:   "Save all data to a directory that keeps the newest snapshots",
		Long:    backupLong,
		Example: "  epic-apiserver backup --backup-dir=/backup --etcd-servers=http://127.0.0.1:2379",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			cfg, stop, err := source(ctx, dataDir, transport)
			if err != nil {
				return err
			}
			defer stop()
			saved, summary, err := folder.SaveAndRecord(ctx, cfg, time.Now())
			if err != nil {
				return err
			}
			return printSummary(c.OutOrStdout(), "Saved "+saved.File, summary)
		},
	}
	fs := cmd.Flags()
	// The subcommands read the directory.
	cmd.PersistentFlags().StringVar(&folder.Dir, "backup-dir", "", "Directory `DIR` of the snapshots, which must contain nothing else")
	fs.IntVar(&folder.Keep, "backup-keep", folder.Keep, "Number of newest `SNAPSHOTS` to keep")
	fs.StringVar(&folder.Prefix, "etcd-prefix", folder.Prefix, "`KEY` prefix of EPIC's data")
	addSourceFlags(fs, &dataDir, &transport, &timeout)
	cmd.AddCommand(newBackupListCommand(&folder), newBackupPrintCommand(&folder), newBackupVerifyCommand())
	return cmd
}

func newBackupListCommand(folder *backup.Folder) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the snapshots of --backup-dir, the newest first",
		Example: "  epic-apiserver backup list --backup-dir=/backup",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if folder.Dir == "" {
				return backup.ErrNoDir
			}
			all, err := folder.List()
			if err != nil {
				return err
			}
			for _, s := range all {
				info, err := os.Stat(s.File)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s  %d bytes\n", filepath.Base(s.File), info.Size()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newBackupPrintCommand(folder *backup.Folder) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:     "print [NAME]",
		Short:   "Write a snapshot of --backup-dir to standard output, the newest without NAME",
		Example: "  epic-apiserver backup print --backup-dir=/backup >epic.db",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if folder.Dir == "" {
				return backup.ErrNoDir
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			saved, err := folder.Find(name)
			if err != nil {
				return err
			}
			if wait {
				if _, err := bufio.NewReader(c.InOrStdin()).ReadString('\n'); err != nil {
					return fmt.Errorf("wait for a line: %w", err)
				}
			}
			file, err := os.Open(saved.File)
			if err != nil {
				return err
			}
			defer file.Close() //nolint:errcheck // it was only read
			_, err = io.Copy(c.OutOrStdout(), file)
			return err
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "First wait for a line on standard input, which the reader sends when it is ready")
	return cmd
}

func newBackupVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify FILE",
		Short:   "Verify a snapshot and describe its contents",
		Example: "  epic-apiserver backup verify epic.db",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			summary, err := backup.Inspect(args[0])
			if err != nil {
				return err
			}
			return printSummary(c.OutOrStdout(), "Verified "+args[0], summary)
		},
	}
}
