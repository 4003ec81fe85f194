// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// DefaultInterval is the time between two snapshots of a schedule.
	DefaultInterval = 6 * time.Hour
	// MinInterval is the minimum interval of a schedule.
	MinInterval = time.Minute
	// retryInterval is the delay after a failure, if it is shorter than the schedule's
	// interval.
	retryInterval = 10 * time.Minute
	// saveTimeout limits the time for one snapshot.
	saveTimeout = 10 * time.Minute
)

// Schedule saves snapshots at an interval, in the process of a server.
type Schedule struct {
	Folder
	Interval time.Duration
	// Etcd is the client configuration to reach etcd.
	Etcd clientv3.Config

	clock clock.Clock
}

// Run saves snapshots until ctx ends. The time of the next snapshot follows from the
// newest file, so a restart does not change it.
func (s Schedule) Run(ctx context.Context) {
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	for wait := s.due(); ; {
		if wait > 0 {
			select {
			case <-ctx.Done():
			case <-s.clock.After(wait):
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err := s.save(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			wait = min(retryInterval, s.Interval)
			klog.FromContext(ctx).Error(err, "Can't save a scheduled snapshot", "dir", s.Dir, "again", wait)
			continue
		}
		wait = s.Interval
	}
}

// due returns the delay before the first snapshot.
func (s Schedule) due() time.Duration {
	all, err := s.List()
	if err != nil || len(all) == 0 {
		return 0
	}
	age := s.clock.Since(all[0].Time)
	if age < 0 {
		// The clock was wrong then, or is now.
		return 0
	}
	return max(0, s.Interval-age)
}

func (s Schedule) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	saved, summary, err := s.SaveAndRecord(ctx, s.Etcd, s.clock.Now())
	if err != nil {
		return err
	}
	klog.FromContext(ctx).V(1).Info("Saved a scheduled snapshot", "file", saved.File, "revision", summary.Revision, "bytes", summary.Bytes, "sha256", summary.SHA256)
	return nil
}

// SaveAndRecord saves a snapshot and writes its record. If the record can't be written,
// for example because etcd is full, the snapshot is still valid; SaveAndRecord logs the
// error.
func (f Folder) SaveAndRecord(ctx context.Context, cfg clientv3.Config, now time.Time) (*Saved, *Summary, error) {
	saved, summary, err := f.Save(ctx, cfg, now)
	if err != nil {
		return nil, nil, err
	}
	client, err := clientv3.New(cfg)
	if err == nil {
		defer client.Close() //nolint:errcheck // nothing is left to send
		err = f.WriteRecord(ctx, client, saved, summary)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Saved a snapshot, but its age can't be reported", "file", saved.File)
	}
	return saved, summary, nil
}
