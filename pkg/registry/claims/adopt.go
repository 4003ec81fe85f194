// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

// AdoptDNSNames claims the DNS names of objects that were written by a release without
// such claims, and releases names that such a release left claimed. resources lists the
// resources whose objects have DNS names, so a start reads no others. It is safe while
// other servers write: each claim is added or removed on the condition that its object is
// unchanged since it was read. If two accounts already share a name, both keep it, and
// the audit reports it.
func (b *Backend) AdoptDNSNames(ctx context.Context, resources ...string) error {
	kinds := make([]*kind, len(resources))
	for i, resource := range resources {
		var err error
		if kinds[i], err = b.kind(resource); err != nil {
			return err
		}
	}
	for {
		changed, err := b.adoptDNSNames(ctx, kinds)
		if err != nil {
			return fmt.Errorf("claim DNS names: %w", err)
		}
		if !changed {
			return nil
		}
	}
}

// adoptDNSNames does one round. It returns true if another round is needed because
// objects changed in the meantime.
func (b *Backend) adoptDNSNames(ctx context.Context, kinds []*kind) (again bool, err error) {
	head, err := b.client.Get(ctx, b.layout.schema())
	if err != nil {
		return false, err
	}
	a := &audit{b: b, rev: head.Header.Revision}
	folder := b.layout.claims() + kindDNS + "/"
	held := map[string]*mvccpb.KeyValue{}
	if err := a.each(ctx, folder, claimsPage, func(kv *mvccpb.KeyValue) error {
		held[string(kv.Key)] = kv
		return nil
	}); err != nil {
		return false, err
	}
	// Claims that remain in held at the end belong to no object.
	added, removed := 0, 0
	objects := map[string]int64{}
	for _, k := range kinds {
		err := a.each(ctx, k.prefix, objectsPage, func(kv *mvccpb.KeyValue) error {
			obj, err := k.decode(ctx, string(kv.Key), kv.Value, kv.ModRevision)
			if err != nil {
				return nil //nolint:nilerr // the audit reports it
			}
			owner, err := ownerOf(k.resource, obj)
			if err != nil {
				return err
			}
			for _, c := range k.rules.Claims(obj).Sorted() {
				if c.Kind() != kindDNS {
					continue
				}
				key := b.layout.claim(c)
				objects[string(kv.Key)] = kv.ModRevision
				if _, ok := held[key]; ok {
					delete(held, key)
					continue
				}
				resp, err := b.client.Txn(ctx).
					If(clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision), clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
					Then(clientv3.OpPut(key, owner.String())).
					Commit()
				if err != nil {
					return err
				}
				if !resp.Succeeded {
					again = true
					continue
				}
				added++
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	for key, kv := range held {
		owner, err := parseOwner(kv.Value)
		if err != nil {
			continue // the audit reports it
		}
		k, err := b.kind(owner.Resource)
		if err != nil {
			continue
		}
		object := k.key(owner.Ref)
		resp, err := b.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(object), "=", objects[object]), clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)).
			Then(clientv3.OpDelete(key)).
			Commit()
		if err != nil {
			return false, err
		}
		if resp.Succeeded {
			removed++
		}
	}
	if added+removed > 0 {
		klog.FromContext(ctx).Info("Claimed the DNS names of objects that an earlier release wrote", "added", added, "removed", removed)
	}
	return again, nil
}
