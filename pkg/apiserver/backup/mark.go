// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/registry/claims"
)

// markRestored records in the database of a restored member that its data comes from a
// snapshot, as the next revision of each schema key. Servers do not write until one of
// them has ensured that nothing is assigned again that may have been assigned after the
// snapshot. All members of a cluster get the same revision, because they are created from
// the same snapshot.
func markRestored(memberDir string) error {
	path := filepath.Join(memberDir, "member", "snap", "db")
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(schema.Key.Name())
		if bucket == nil {
			return nil
		}
		last, newest, err := schemaKeys(bucket)
		if err != nil {
			return err
		}
		sub := int64(0)
		for _, kv := range newest {
			rev := mvcc.Revision{Main: last.Main + 1, Sub: sub}
			kv.Value = []byte(claims.MarkRestored(string(kv.Value)))
			kv.ModRevision = rev.Main
			kv.Version++
			value, err := proto.Marshal(kv)
			if err != nil {
				return err
			}
			if err := bucket.Put(mvcc.RevToBytes(rev, mvcc.NewRevBytes()), value); err != nil {
				return err
			}
			sub++
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("mark the data as restored: %w", err)
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

// schemaKeys returns the last revision, and the newest version of each existing schema
// key, sorted by key.
func schemaKeys(bucket *bbolt.Bucket) (last mvcc.Revision, newest []*mvccpb.KeyValue, err error) {
	suffix := []byte(claims.SchemaKeySuffix)
	err = bucket.ForEach(func(k, v []byte) error {
		// The bucket is sorted by revision.
		last = mvcc.BytesToRev(k)
		if !bytes.Contains(v, suffix) {
			return nil
		}
		kv := &mvccpb.KeyValue{}
		if err := proto.Unmarshal(v, kv); err != nil {
			return fmt.Errorf("revision %d: %w", last.Main, err)
		}
		if !bytes.HasSuffix(kv.Key, suffix) {
			return nil
		}
		at := 0
		for at < len(newest) && bytes.Compare(newest[at].Key, kv.Key) < 0 {
			at++
		}
		found := at < len(newest) && bytes.Equal(newest[at].Key, kv.Key)
		switch {
		case mvcc.IsTombstone(k) && found:
			newest = append(newest[:at], newest[at+1:]...)
		case mvcc.IsTombstone(k):
		case found:
			newest[at] = kv
		default:
			newest = append(newest[:at], append([]*mvccpb.KeyValue{kv}, newest[at:]...)...)
		}
		return nil
	})
	return last, newest, err
}
