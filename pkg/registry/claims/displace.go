// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// takenError reports that a requested claim belongs to another object, which may be
// garbage. It never leaves this package.
type takenError struct {
	kind   *kind
	obj    runtime.Object
	holder Owner
	// refusal is the error for the caller if the holder is not garbage.
	refusal error
}

func (e *takenError) Error() string { return e.refusal.Error() }

// refusal returns the error for a requested claim that belongs to another object.
func refusal(k *kind, obj runtime.Object, claim Claim, holder Owner) error {
	err := k.rules.Taken(obj, claim, holder)
	if _, ok := rulesAs[Displacer](k.rules); !ok || err == nil || holder.Resource != k.resource {
		return err
	}
	return &takenError{kind: k, obj: obj, holder: holder, refusal: err}
}

// retry calls the function retry for writes that may displace garbage.
func (b *Backend) retry(ctx context.Context, f func(fresh bool) error) error {
	return retry(ctx, func(fresh bool) error {
		err := f(fresh)
		lost, ok := errors.AsType[*takenError](err)
		if !ok {
			return err
		}
		displaced, err := b.displace(ctx, lost)
		switch {
		case err != nil:
			return err
		case !displaced:
			return lost.refusal
		}
		return &staleError{what: "the holder of a claim was garbage"}
	})
}

// displace deletes the holder of a claim, with all of its claims, if it is garbage. It
// returns false if the holder is entitled to the claim.
func (b *Backend) displace(ctx context.Context, e *takenError) (bool, error) {
	holder, rev, err := b.garbage(ctx, e)
	if err != nil || holder == nil {
		return false, err
	}
	ops := []clientv3.Op{clientv3.OpDelete(rev.key)}
	for _, r := range runs(e.kind.rules.Claims(holder).Sorted()) {
		ops = append(ops, b.releaseOp(r, e.holder, true))
	}
	resp, err := b.client.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(rev.key), "=", rev.mod),
		clientv3.Compare(clientv3.Value(b.layout.schema()), "=", SchemaVersion),
	).Then(ops...).Commit()
	if err != nil {
		return false, writeError(err)
	}
	if resp.Succeeded {
		klog.FromContext(ctx).V(2).Info("Deleted an object whose owner is gone, because another needs what it holds", "object", e.holder.Ref.String(), "uid", e.holder.UID)
	}
	// If the holder has changed since, the next attempt notices it.
	return true, nil
}

// garbage returns the holder of a claim and its revisions, or nil if the holder is
// entitled to the claim. It returns an empty object if the holder no longer exists.
func (b *Backend) garbage(ctx context.Context, e *takenError) (runtime.Object, revisions, error) {
	objs, revs, err := b.read(ctx, []Ref{e.holder.Ref})
	if err != nil {
		return nil, revisions{}, err
	}
	if objs[0] == nil {
		return nil, revisions{}, &staleError{what: "the holder of a claim is gone"}
	}
	m, err := meta.Accessor(objs[0])
	if err != nil {
		return nil, revisions{}, err
	}
	if string(m.GetUID()) != e.holder.UID {
		return nil, revisions{}, &staleError{what: "the holder of a claim is gone"}
	}
	if len(m.GetFinalizers()) > 0 {
		return nil, revisions{}, nil
	}
	rules, ok := rulesAs[Displacer](e.kind.rules)
	if !ok {
		return nil, revisions{}, fmt.Errorf("%s is never garbage", e.kind.resource)
	}
	yes, err := rules.Displaces(ctx, newPlan(b, true, true), e.obj, objs[0])
	if err != nil || !yes {
		return nil, revisions{}, err
	}
	return objs[0], revs[0], nil
}
