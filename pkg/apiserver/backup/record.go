// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// reportInterval is how often a server reads the record.
const reportInterval = time.Minute

var (
	lastTime = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "backup", Name: "last_success_timestamp_seconds",
		Help:           "Time of the last scheduled snapshot, in seconds since 1970; 0 if there was none.",
		StabilityLevel: metrics.ALPHA,
	})
	lastBytes = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "backup", Name: "last_size_bytes",
		Help:           "Size of the last scheduled snapshot.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(lastTime, lastBytes) }

// Record describes the last scheduled snapshot. It is a key in etcd, so every server can
// report it, regardless of which program took the snapshot.
type Record struct {
	// Time is when the snapshot was taken, in seconds since 1970.
	Time int64 `json:"time"`
	// Revision is the last etcd revision in the snapshot.
	Revision int64 `json:"revision"`
	// Bytes is the size of the snapshot.
	Bytes int64 `json:"bytes"`
}

func schemaKey(prefix string) string { return path.Join("/", prefix) + claims.SchemaKeySuffix }

// recordKey returns the key of the record. It is not under any resource's prefix, because
// no resource name starts with a dot.
func recordKey(prefix string) string { return path.Join("/", prefix) + "/.backup/last" }

// WriteRecord writes the record of a snapshot.
func (f Folder) WriteRecord(ctx context.Context, kv clientv3.KV, saved *Saved, summary *Summary) error {
	text, err := json.Marshal(Record{Time: saved.Time.Unix(), Revision: summary.Revision, Bytes: summary.Bytes})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// An etcd that has lost its data must stay empty, or no server would start with it.
	done, err := kv.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(schemaKey(f.Prefix)), ">", 0)).
		Then(clientv3.OpPut(recordKey(f.Prefix), string(text))).Commit()
	if err == nil && !done.Succeeded {
		err = errNoData
	}
	if err != nil {
		return fmt.Errorf("record the snapshot in etcd: %w", clientv3.ContextError(ctx, err))
	}
	return nil
}

// ReadRecord returns the record of the last scheduled snapshot, or nil if there was none.
func ReadRecord(ctx context.Context, kv clientv3.KV, prefix string) (*Record, error) {
	got, err := kv.Get(ctx, recordKey(prefix))
	if err != nil {
		return nil, fmt.Errorf("read the record of the last snapshot: %w", err)
	}
	if len(got.Kvs) == 0 {
		return nil, nil
	}
	r := &Record{}
	if err := json.Unmarshal(got.Kvs[0].Value, r); err != nil {
		return nil, fmt.Errorf("the record of the last snapshot, key %s of etcd: %w", recordKey(prefix), err)
	}
	return r, nil
}

// Report sets the metrics from the record until ctx ends. They keep their values while
// etcd does not respond.
func Report(ctx context.Context, kv clientv3.KV, prefix string) {
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for {
		if err := report(ctx, kv, prefix); err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			klog.FromContext(ctx).V(2).Info("Can't report the last snapshot", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func report(ctx context.Context, kv clientv3.KV, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := ReadRecord(ctx, kv, prefix)
	if err != nil {
		return err
	}
	if r == nil {
		r = &Record{}
	}
	lastTime.Set(float64(r.Time))
	lastBytes.Set(float64(r.Bytes))
	return nil
}
