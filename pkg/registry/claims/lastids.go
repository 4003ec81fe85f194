// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
)

// LastID is a field of an object that shows the most recently assigned number of a space.
type LastID struct {
	Space Space
	ID    *int32
}

// LastIDShower is implemented by Rules of kinds whose objects show the last IDs.
//
// The field is stored with the object, so each version of the object has the same content
// for all readers and watchers. Every write of the object stores the IDs as of that
// write, without comparing them in the transaction: otherwise, a concurrent assignment
// would make the write fail. An assignment does not write the object either, so an object
// can be outdated (see Outdated) until it is written again.
type LastIDShower interface {
	// LastIDs returns the fields of obj that show last IDs.
	LastIDs(obj runtime.Object) []LastID
}

// ShowsLastIDs reports whether objects with these rules show last IDs.
func ShowsLastIDs(rules Rules) bool {
	_, ok := rulesAs[LastIDShower](rules)
	return ok
}

// showLast sets the last IDs in an object before it is written. They are read after the
// version of the object that the write replaces, so IDs never decrease from one version
// to the next.
func (b *Backend) showLast(ctx context.Context, rules Rules, obj runtime.Object) error {
	shower, ok := rulesAs[LastIDShower](rules)
	if !ok {
		return nil
	}
	fields := shower.LastIDs(obj)
	last, err := b.Last(ctx, spacesOf(fields)...)
	if err != nil {
		return err
	}
	for i, f := range fields {
		*f.ID = last[i]
	}
	return nil
}

// Outdated reports for each object of a kind whether it shows IDs that are no longer the
// last ones.
func (b *Backend) Outdated(ctx context.Context, resource string, objs ...runtime.Object) ([]bool, error) {
	k, err := b.kind(resource)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(objs))
	shower, ok := rulesAs[LastIDShower](k.rules)
	if !ok {
		return out, nil
	}
	var fields []LastID
	var owners []int
	for i, obj := range objs {
		for _, f := range shower.LastIDs(obj) {
			fields, owners = append(fields, f), append(owners, i)
		}
	}
	last, err := b.Last(ctx, spacesOf(fields)...)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		if *f.ID != last[i] {
			out[owners[i]] = true
		}
	}
	return out, nil
}

func spacesOf(fields []LastID) []Space {
	out := make([]Space, len(fields))
	for i, f := range fields {
		out[i] = f.Space
	}
	return out
}

// lastBatch is the number of IDs read by one request. etcd allows 128 operations in a
// transaction by default.
const lastBatch = 100

// Last returns the most recently assigned number of each space, in etcd's own order, and
// 0 for a space without one. Its error is an API status.
func (b *Backend) Last(ctx context.Context, spaces ...Space) ([]int32, error) {
	out := make([]int32, len(spaces))
	for from := 0; from < len(spaces); from += lastBatch {
		part := spaces[from:min(from+lastBatch, len(spaces))]
		ops := make([]clientv3.Op, len(part))
		for i, s := range part {
			ops[i] = clientv3.OpGet(b.layout.last(s))
		}
		resp, err := b.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return nil, apiError(fmt.Errorf("read the last IDs: %w", err))
		}
		for i, r := range resp.Responses {
			kvs := r.GetResponseRange().Kvs
			if len(kvs) == 0 {
				continue
			}
			n, err := strconv.ParseInt(string(kvs[0].Value), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("read the last IDs: %w", err)
			}
			out[from+i] = int32(n)
		}
	}
	return out, nil
}
