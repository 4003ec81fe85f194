// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apiserver/backup"
)

// BackupOptions configures the snapshots that the server saves on a schedule.
type BackupOptions struct {
	// Dir is the directory for snapshots. If it is empty, none are saved.
	Dir string
	// Interval is the time between two snapshots.
	Interval time.Duration
	// Keep is the number of snapshots to keep.
	Keep int
}

// NewBackupOptions returns the defaults.
func NewBackupOptions() *BackupOptions {
	return &BackupOptions{Interval: backup.DefaultInterval, Keep: backup.DefaultKeep}
}

// AddFlags adds the flags.
func (o *BackupOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Dir, "backup-dir", o.Dir, "Save snapshots of etcd in the directory `DIR`, which must contain nothing else")
	fs.DurationVar(&o.Interval, "backup-interval", o.Interval, "Time between two snapshots")
	fs.IntVar(&o.Keep, "backup-keep", o.Keep, "Number of `SNAPSHOTS` to keep; older ones are deleted")
}

// Validate checks the values.
func (o *BackupOptions) Validate() []error {
	var errs []error
	if o.Interval < backup.MinInterval {
		errs = append(errs, fmt.Errorf("--backup-interval is %s: set at least %s, or no --backup-dir to save no snapshots", o.Interval, backup.MinInterval))
	}
	if o.Keep < 1 {
		errs = append(errs, fmt.Errorf("--backup-keep is %d: set at least 1", o.Keep))
	}
	return errs
}

// schedule returns the schedule for snapshots of an etcd, or nil if --backup-dir is empty.
func (o *BackupOptions) schedule(transport storagebackend.TransportConfig, prefix string) (*backup.Schedule, error) {
	if o.Dir == "" {
		return nil, nil
	}
	cfg, err := EtcdClientConfig(transport)
	if err != nil {
		return nil, err
	}
	return &backup.Schedule{Folder: backup.Folder{Dir: o.Dir, Keep: o.Keep, Prefix: prefix}, Interval: o.Interval, Etcd: cfg}, nil
}

// addBackups saves snapshots while the server runs, and reports the age of the last one,
// which another program may have saved.
func (s *Server) addBackups(c *genericapiserver.RecommendedConfig) error {
	storage := s.options.Etcd.StorageConfig
	schedule, err := s.options.Backup.schedule(storage.Transport, storage.Prefix)
	if err != nil {
		return err
	}
	return c.AddPostStartHook("backup", func(hook genericapiserver.PostStartHookContext) error {
		go backup.Report(hook, s.claims.KV(), storage.Prefix)
		if schedule != nil {
			go schedule.Run(hook)
		}
		return nil
	})
}
