// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/addresspool"
)

// A restored snapshot lacks everything that was assigned after it was taken: IDs and
// addresses that are free in it may have been in use until the restore, and packets and
// clients may still refer to them. The restore therefore marks the schema key, and no
// server writes until one of them has advanced every cursor and removed the mark.

const (
	// restoredMark is the suffix that a restore appends to the schema version.
	restoredMark = " restored"

	// SchemaKeySuffix is the end of the schema key under every etcd prefix.
	SchemaKeySuffix = "/.claims/schema"

	// restoreAdvance is the number of IDs that a restore skips in each range. A hundred million IDs
	// last for more than a day at a thousand per second, and allow for 21 restores in one
	// turn through all IDs.
	restoreAdvance = 100_000_000
)

// MarkRestored returns the value of a schema key for data that comes from a snapshot.
func MarkRestored(schema string) string {
	return strings.TrimSuffix(schema, restoredMark) + restoredMark
}

// restored is the content of the key that the last restore left, and its revision.
type restored struct {
	mod int64
	// At is when the restored data was put into use, in seconds since 1970.
	At int64 `json:"at"`
	// Base is the initial position of cursors that do not exist.
	Base uint64 `json:"base"`
	// Pools are the pools in the snapshot.
	Pools []restoredPool `json:"pools"`
}

// restoredPool is a pool of addresses. All of its free addresses cool down after a
// restore, except those from Unused on: they were never assigned, neither when the
// snapshot was taken nor, as far as can be determined, afterward.
type restoredPool struct {
	From   netip.Addr `json:"from"`
	To     netip.Addr `json:"to"`
	Unused uint64     `json:"unused"`
}

// cools reports whether an address cools down because of the restore, and until when.
func (r *restored) cools(a netip.Addr, now time.Time, period time.Duration) (time.Time, bool) {
	if r == nil || period <= 0 {
		return time.Time{}, false
	}
	until := time.Unix(r.At, 0).Add(period + time.Second)
	if !now.Before(until) {
		return time.Time{}, false
	}
	for _, p := range r.Pools {
		if pool := addresspool.Between(p.From, p.To); pool.Contains(a) {
			return until, poolSize(addresspool.Between(p.From, a))-1 < p.Unused
		}
	}
	return time.Time{}, false
}

func (r *restored) base() uint64 {
	if r == nil {
		return 0
	}
	return r.Base
}

func (r *restored) revision() int64 {
	if r == nil {
		return 0
	}
	return r.mod
}

// restoredCondition returns a condition that makes a write fail if it was planned before
// a restore was put into use.
func (b *Backend) restoredCondition(r *restored) condition {
	return unchanged(b.layout.restored(), r.revision(), func(kvs []keyValue) error {
		if len(kvs) > 0 {
			if err := b.learnRestored([]byte(kvs[0].value), kvs[0].mod); err != nil {
				return err
			}
		}
		b.allocator.Forget()
		return &staleError{what: "the data was restored from a snapshot", spent: true}
	})
}

// loadRestored reads the state that the last restore left.
func (b *Backend) loadRestored(ctx context.Context) error {
	resp, err := b.client.Get(ctx, b.layout.restored())
	if err != nil {
		return fmt.Errorf("read what the last restore left: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return nil
	}
	return b.learnRestored(resp.Kvs[0].Value, resp.Kvs[0].ModRevision)
}

func (b *Backend) learnRestored(value []byte, mod int64) error {
	r := &restored{mod: mod}
	if err := json.Unmarshal(value, r); err != nil {
		return fmt.Errorf("read what the last restore left: %w", err)
	}
	b.restored.Store(r)
	return nil
}

// finishRestore advances all cursors of restored data and allows writes. It removes the
// mark last, so an interrupted call is repeated from the start. Two servers may call it
// concurrently: the second only advances further.
func (b *Backend) finishRestore(ctx context.Context, marked string) error {
	schema := b.layout.schema()
	cursors, err := b.client.Get(ctx, b.layout.root+"cursor/", clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("finish the restore: %w", err)
	}
	pools, err := newPlan(b, true, true).Pools(ctx)
	if err != nil {
		return fmt.Errorf("finish the restore: %w", err)
	}
	if err := b.loadRestored(ctx); err != nil {
		return err
	}
	advance := func(key string, mod int64, to uint64) error {
		_, err := b.client.Txn(ctx).
			If(clientv3.Compare(clientv3.Value(schema), "=", marked), clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
			Then(clientv3.OpPut(key, formatPosition(to))).
			Commit()
		return err
	}
	mods, positions := map[string]int64{}, map[string]uint64{}
	for _, kv := range cursors.Kvs {
		key := string(kv.Key)
		position, err := parsePosition(kv.Value)
		if err != nil {
			return fmt.Errorf("finish the restore: cursor %s: %w", key, err)
		}
		mods[key], positions[key] = kv.ModRevision, position
		if strings.HasPrefix(key, b.layout.root+"cursor/address/") {
			continue
		}
		if err := advance(key, kv.ModRevision, position+restoreAdvance); err != nil {
			return fmt.Errorf("finish the restore: %w", err)
		}
	}
	next := restored{At: b.clock.Now().Unix(), Base: b.restored.Load().base() + restoreAdvance}
	for _, p := range pools {
		space := poolSpace(p.Pool)
		key := b.layout.cursor(space)
		unused := positions[key]
		if unused < space.size {
			// Half of the addresses that were never assigned in the snapshot may have
			// been assigned since.
			unused += min((space.size-unused+1)/2, restoreAdvance)
			if err := advance(key, mods[key], unused); err != nil {
				return fmt.Errorf("finish the restore: %w", err)
			}
		} else {
			unused = space.size
		}
		next.Pools = append(next.Pools, restoredPool{From: p.From(), To: p.To(), Unused: unused})
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	resp, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value(schema), "=", marked)).
		Then(clientv3.OpPut(b.layout.restored(), string(value)), clientv3.OpPut(schema, SchemaVersion)).
		Commit()
	if err != nil {
		return fmt.Errorf("finish the restore: %w", err)
	}
	if resp.Succeeded {
		klog.FromContext(ctx).Info("The data was restored from a snapshot: IDs continue at higher numbers, and free addresses cool down", "skippedIDs", restoreAdvance, "coolingPeriod", b.cooling)
	}
	return b.loadRestored(ctx)
}
