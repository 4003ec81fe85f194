// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

const (
	// spaceInterval is the time between two looks whether the database is full.
	spaceInterval = 2 * time.Second
	// spaceTimeout bounds one attempt to make room.
	spaceTimeout = 10 * time.Minute
)

var full = metrics.NewGauge(&metrics.GaugeOpts{
	Namespace: "epic", Subsystem: "embedded_etcd", Name: "full",
	Help:           "1 while the embedded etcd takes no writes, since its database has reached its quota.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(full) }

// isFull says whether the member refuses writes for want of space.
func (s *Server) isFull() bool {
	for _, alarm := range s.etcd.Server.Alarms() {
		if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// watchSpace makes a full member take writes again once there is room: old revisions
// count for its quota, and so do pages that are free inside the database file. It
// defragments only then. A healthy member would answer nothing meanwhile, and a full
// one takes no writes anyway.
func (s *Server) watchSpace(ctx context.Context) {
	logger := klog.FromContext(ctx)
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	told, tried := false, int64(0)
	for {
		switch revision := s.etcd.Server.KV().Rev(); {
		case !s.isFull():
			full.Set(0)
			told, tried = false, 0
		case revision != tried:
			full.Set(1)
			// Without a deletion the next attempt finds what this one did.
			tried = revision
			room, err := s.makeRoom(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				logger.Error(err, "The embedded etcd is full, and making room failed", "dataDir", s.dataDir)
				tried = 0
			case room:
				full.Set(0)
				logger.Info("The embedded etcd was full and takes writes again", "dataDir", s.dataDir, "bytes", s.etcd.Server.Backend().Size())
				told, tried = false, 0
			case !told:
				told = true
				logger.Error(nil, "The embedded etcd is full and takes no writes; delete objects, or restart with a larger --embedded-etcd-quota-bytes", "dataDir", s.dataDir, "quotaBytes", s.etcd.Server.Cfg.QuotaBackendBytes, "bytesInUse", s.etcd.Server.Backend().SizeInUse())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// makeRoom forgets old revisions, defragments if it must, and ends the refusal of
// writes if enough room came of it.
func (s *Server) makeRoom(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, spaceTimeout)
	defer cancel()
	server := s.etcd.Server
	// A little less than the quota: the next few writes would fill it again.
	enough := server.Cfg.QuotaBackendBytes / 20 * 19
	if server.Backend().Size() > enough {
		_, err := server.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: server.KV().Rev(), Physical: true})
		if err != nil && !errors.Is(err, mvcc.ErrCompacted) {
			return false, fmt.Errorf("forget old revisions: %w", err)
		}
		// What the compaction freed counts when it is committed.
		server.Backend().ForceCommit()
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
