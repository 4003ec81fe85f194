// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

const (
	// spaceInterval is the time between two checks of whether the database is full.
	spaceInterval = 2 * time.Second
	// spaceTimeout limits one attempt to make room.
	spaceTimeout = 10 * time.Minute
)

var full = metrics.NewGauge(&metrics.GaugeOpts{
	Namespace: "epic", Subsystem: "embedded_etcd", Name: "full",
	Help:           "1 while the embedded etcd rejects writes because its database has reached its quota.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(full) }

// isFull reports whether the member rejects writes because its database is full.
func (s *Server) isFull() bool {
	for _, alarm := range s.etcd.Server.Alarms() {
		if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// watchSpace makes a full member accept writes again once there is room: old revisions
// count toward its quota, and so do free pages in the database file. It only defragments
// a full member: a member does not serve requests during that time, and a full one
// accepts no writes anyway.
func (s *Server) watchSpace(ctx context.Context) {
	logger := klog.FromContext(ctx)
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	told := false
	for {
		if !s.isFull() {
			full.Set(0)
			told = false
		} else {
			full.Set(1)
			// An attempt that finds no room may succeed the next time, without a deletion
			// in between: pages that a reader still uses are not free yet.
			room, err := s.makeRoom(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				logger.Error(err, "The embedded etcd is full, and reclaiming space failed", "dataDir", s.dataDir)
			case room:
				full.Set(0)
				logger.Info("The embedded etcd was full and accepts writes again", "dataDir", s.dataDir, "bytes", s.etcd.Server.Backend().Size())
				told = false
			case !told:
				told = true
				logger.Error(nil, "The embedded etcd is full and rejects writes; delete objects, or restart with a larger --embedded-etcd-quota-bytes", "dataDir", s.dataDir, "quotaBytes", s.etcd.Server.Cfg.QuotaBackendBytes, "bytesInUse", s.etcd.Server.Backend().SizeInUse())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// commit updates the size in use of the database. Pages that a transaction frees count as
// in use until a later one commits, and a backend without writes, such as a full one,
// commits nothing.
func commit(b backend.Backend) {
	for range 2 {
		tx := b.BatchTx()
		tx.LockOutsideApply()
		// The bucket exists: this call only counts as a write.
		tx.UnsafeCreateBucket(schema.Meta)
		tx.Unlock()
		b.ForceCommit()
	}
}

// makeRoom compacts old revisions, defragments if necessary, and re-enables writes if
// that freed enough space.
func (s *Server) makeRoom(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, spaceTimeout)
	defer cancel()
	server := s.etcd.Server
	// Require a little less than the quota: otherwise, the next few writes would fill it
	// again.
	enough := server.Cfg.QuotaBackendBytes / 20 * 19
	if server.Backend().Size() > enough {
		_, err := server.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: server.KV().Rev(), Physical: true})
		if err != nil && !errors.Is(err, mvcc.ErrCompacted) {
			return false, fmt.Errorf("compact old revisions: %w", err)
		}
		commit(server.Backend())
		if server.Backend().SizeInUse() > enough {
			return false, nil
		}
		if err := server.Backend().Defrag(); err != nil {
			return false, fmt.Errorf("defragment: %w", err)
		}
	}
	for _, alarm := range server.Alarms() {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		_, err := server.Alarm(ctx, &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_DEACTIVATE, MemberID: alarm.MemberID, Alarm: alarm.Alarm})
		if err != nil {
			return false, fmt.Errorf("disarm the alarm: %w", err)
		}
	}
	return true, nil
}
